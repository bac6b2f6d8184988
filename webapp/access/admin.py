from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from knox.models import AuthToken

from webapp.access.models import ProviderIdentity


class AdministratorsAlone(admin.ModelAdmin[Any]):
    """Of all studies at once, or of other people: for superusers."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and super().has_delete_permission(request, obj)


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(AdministratorsAlone):
    """Links an account that is here already to a person at the hospital's provider."""

    list_display = ["user", "issuer", "subject"]
    list_select_related = ["user"]
    search_fields = ["user__username", "subject"]


# Tokens are made and revoked by their owners, on their page; an administrator ends them with the password.
admin.site.unregister(AuthToken)
