from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.db.models import FloatField, Model, QuerySet
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from knox.models import AuthToken

from webapp.access.models import ProviderIdentity
from webapp.access.second_factor import factors_reset
from webapp.audit.models import Action
from webapp.audit.services import record

_LOOKUPS = ("", "__exact", "__id__exact", "__pk__exact", "__in", "__isnull", "__gte", "__lt")


class Recorded(admin.ModelAdmin[Any]):
    """Records what the fields were and are that are changed here; passwords without a value. Numbers are shown with
    four digits: an area or a score has no more that mean anything."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By the filters that are shown alone: by others one could read letter by letter what is not shown."""
        shown = {one[0] if isinstance(one, tuple) else one for one in self.get_list_filter(request)}
        asked = {lookup.removesuffix(how) for how in _LOOKUPS}
        return bool(shown & asked) and super().lookup_allowed(lookup, value, request)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self.shortly(one) for one in super().get_list_display(request)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [self.shortly(one) for one in super().get_readonly_fields(request, obj)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        shown = set(self.get_readonly_fields(request, obj))
        return [short if (short := self.shortly(one)) in shown else one for one in super().get_fields(request, obj)]

    def shortly(self, column: Any) -> Any:
        """A column as it is, or of a number with digits behind the point what shows it with four."""
        return _rounded(cast(Hashable, self.model), column) if isinstance(column, str) else column

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        names = [name for name in form.changed_data if "password" not in name] if change else []
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if names:
                was, now = ({name: _said(of.get(name)) for name in names} for of in (form.initial, form.cleaned_data))
                record(Action.ADMIN, obj, before=was, after=now)


@cache
def _rounded(model: Hashable, column: str) -> Any:
    try:
        field = cast(type[Model], model)._meta.get_field(column)
    except FieldDoesNotExist:
        return column
    if not isinstance(field, FloatField):
        return column

    def shown(row: Any) -> str:
        value = getattr(row, field.attname)
        return "-" if value is None else f"{value:.4g}"

    return admin.display(description=field.verbose_name, ordering=field.name)(shown)


def _said(value: Any) -> Any:
    """A value of a form, in words where it is of several rows."""
    return list(map(str, value)) if isinstance(value, list | QuerySet) else str(value)


class ChangedByAdministrators(Recorded):
    """Staff may look, superusers alone change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser) and super().has_delete_permission(request, obj)


class AdministratorsAlone(ChangedByAdministrators):
    """Of all studies at once, or of other people: for superusers."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(AdministratorsAlone):
    """Links an account that is here already to a person at the hospital's provider."""

    list_display = ["user", "issuer", "subject"]
    list_select_related = ["user"]
    search_fields = ["user__username", "subject"]


class PersonAdmin(ChangedByAdministrators, UserAdmin[User]):
    """People. Staff look, to choose members of their studies: who may change people could make a superuser of
    themselves. Second factors of one who has lost them can be taken away.
    """

    actions = ["take_factors_away"]

    @admin.action(description="Take second factors away (lost phone or passkey)", permissions=["change"])
    def take_factors_away(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """They sign in with the password alone, and set a new one up where they must."""
        for user in queryset:
            factors_reset(user=user)
        self.message_user(request, f"Second factors taken away: {', '.join(map(str, queryset))}.")


class GroupAdmin(AdministratorsAlone, BaseGroupAdmin):
    """Groups of permissions."""


admin.site.unregister(Group)
admin.site.register(Group, GroupAdmin)
admin.site.unregister(User)
admin.site.register(User, PersonAdmin)
# Tokens and second factors are made and taken away by their owners, on their pages; an administrator ends tokens with
# the password, and factors by the action of people.
for _model in (AuthToken, TOTPDevice, StaticDevice):
    admin.site.unregister(_model)
