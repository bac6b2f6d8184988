"""Addresses of everything."""

from django.contrib import admin
from django.urls import include, path

from webapp.api.metrics import MetricsView

urlpatterns = [
    path("api/v1/", include("webapp.api.urls")),
    path("admin/", admin.site.urls),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("", include("webapp.access.urls")),
    path("", include("webapp.viewer.urls")),
]

handler400 = "webapp.handlers.bad_request"
handler403 = "webapp.handlers.forbidden"
handler404 = "webapp.handlers.not_found"
handler500 = "webapp.handlers.server_error"
