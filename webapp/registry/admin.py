from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate


@admin.register(ModelVersion)
class ModelVersionAdmin(admin.ModelAdmin[ModelVersion]):
    """Versions are registered from files; here one of them is made the active one."""

    list_display = ["name", "state", "f1_at_half", "sha256", "created_at"]
    list_filter = ["state"]
    readonly_fields = ["state", "path", "sha256", "card", "parent", "created_at"]
    actions = ["activate"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Activate the selected version", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        """One version detects at a time."""
        if queryset.count() != 1:
            self.message_user(request, "Choose exactly one version: one is active at a time.", messages.ERROR)
            return
        version = queryset.get()
        version_activate(version=version)
        self.message_user(request, f"{version} detects from now on; earlier runs keep the version they were made with.")
