"""Addresses of everything."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("webapp.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("webapp.viewer.urls")),
]
