from __future__ import annotations

from typing import cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.access.admin import AdministratorsAlone
from webapp.core.errors import DomainError
from webapp.registry.models import ModelVersion, Promotion
from webapp.registry.services import version_promote, version_roll_back


class ReasonForm(ActionForm):
    reason = forms.CharField(required=False, label="Reason")


@admin.register(ModelVersion)
class ModelVersionAdmin(AdministratorsAlone):
    """Versions come from files or trainings; here one is made active."""

    list_display = ["name", "state", "f1_at_half", "sha256", "created_at"]
    list_filter = ["state"]
    readonly_fields = ["state", "path", "sha256", "card", "parent", "created_at"]
    action_form = ReasonForm
    actions = ["activate"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Make the selected version active", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        """One version is active at a time."""
        if queryset.count() != 1:
            self.message_user(request, "Choose exactly one version: one is active at a time.", messages.ERROR)
            return
        version = queryset.get()
        try:
            version_promote(version=version, by=cast(User, request.user), reason=request.POST.get("reason", ""))
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        self.message_user(request, f"{version} is the active version now; earlier runs keep theirs.")


@admin.register(Promotion)
class PromotionAdmin(AdministratorsAlone):
    """The history of active versions, never edited. The newest can be rolled back."""

    list_display = ["version", "replaced", "by", "at", "reason"]
    list_select_related = ["version", "replaced", "by"]
    fields = readonly_fields = ("version", "replaced", "by", "at", "reason")
    actions = ["roll_back"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @admin.action(description="Roll back: the version that it replaced is active again", permissions=["change"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Promotion]) -> None:
        """The newest promotion alone."""
        if list(queryset) != list(Promotion.objects.all()[:1]):
            self.message_user(request, "Choose the newest promotion: a rollback is one step.", messages.ERROR)
            return
        try:
            promotion = version_roll_back(by=cast(User, request.user))
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        self.message_user(request, f"{promotion.version} is the active version again.")
