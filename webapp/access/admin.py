from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from knox.models import AuthToken

from webapp.access.models import ProviderIdentity


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(admin.ModelAdmin[ProviderIdentity]):
    """Links an account that is here already to a person at the hospital's provider; for administrators."""

    list_display = ["user", "issuer", "subject"]
    list_select_related = ["user"]
    search_fields = ["user__username", "subject"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.has_module_permission(request)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


# Tokens are made and revoked by their owners, on their page; an administrator ends them with the password.
admin.site.unregister(AuthToken)
