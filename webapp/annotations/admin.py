from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from webapp.annotations.models import Run


@admin.register(Run)
class RunAdmin(admin.ModelAdmin[Run]):
    """The stamp of a run is never edited."""

    list_display = ["slide", "model", "candidate_count", "device", "precision", "code_version", "created_at"]
    list_filter = ["model"]
    search_fields = ["slide__name", "model_sha256"]
    list_select_related = ["slide", "model"]
    fields = readonly_fields = (
        "slide", "job", "model", "model_sha256", "parameters", "mpp_x", "mpp_y", "code_version", "device", "precision",
        "windows_total", "windows_skipped", "candidate_count", "created_at",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
