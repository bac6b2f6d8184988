"""Addresses of everything."""

from django.contrib import admin
from django.urls import include, path

from webapp.api.metrics import MetricsView

urlpatterns = [
    path("api/v1/", include("webapp.api.urls")),
    path("", include("webapp.access.urls")),  # before the admin, whose sign-in is the one that all have
    path("admin/", admin.site.urls),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("", include("webapp.pages.urls")),
]

handler400 = "webapp.pages.errors.bad_request"
handler403 = "webapp.pages.errors.forbidden"
handler404 = "webapp.pages.errors.not_found"
handler500 = "webapp.pages.errors.server_error"
