"""Signing in with a password, with limits on failures: by name and address, by name, and by address.

Failures are counted in the audit table, over `_WINDOW`. A laboratory shares an address, so an address may fail more
often than one name from it; a name that fails from everywhere is being guessed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from webapp.audit.models import Action, Entry
from webapp.audit.origin import client_address
from webapp.audit.services import record

_WINDOW = timedelta(minutes=15)
_NAME, _ADDRESS = 4, 10  # times as many failures as one name has from one address
_LONGEST = 150  # characters of a name


class LimitedBackend(ModelBackend):
    """Django's, and nobody is let in, right password or not, after too many wrong ones."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None or request is None:
            return super().authenticate(request, username, password, **kwargs)
        name = _plain(username)
        if refused_until(request, name):
            since, address = timezone.now() - _WINDOW, client_address(request)
            known = Entry.objects.filter(action=Action.SIGN_IN_REFUSED, origin=address, at__gt=since)
            if not known.exists():  # once is enough: an address may ask for names without end
                record(Action.SIGN_IN_REFUSED, named=name)
            raise PermissionDenied
        user = super().authenticate(request, username, password, **kwargs)
        if user is None:
            record(Action.SIGN_IN_FAILED, named=name)
        return user


class SignInForm(AuthenticationForm):
    """Says when one may try again."""

    error_messages = {
        "invalid_login": "Wrong name or password. Both are case-sensitive.",
        "inactive": "This account is not in use.",
    }

    def get_invalid_login_error(self) -> forms.ValidationError:
        name = _plain(self.cleaned_data.get("username") or "")
        until = refused_until(self.request, name) if self.request else None
        if until is None:
            return super().get_invalid_login_error()
        minutes = max(1, round((until - timezone.now()).total_seconds() / 60))
        return forms.ValidationError(
            f"Too many wrong passwords. Try again in {minutes} minutes, or ask an administrator to set a new password.",
            code="refused",
        )


def refused_until(request: HttpRequest, name: str, *, at_least: int = 0) -> datetime | None:
    """Until when sign-ins under a name from the address of a request are refused; None where they are not.

    at_least: the limit where SIGN_IN_TRIES sets none.
    """
    address, tries = client_address(request), settings.SIGN_IN_TRIES or at_least
    if not tries:
        return None
    since = timezone.now() - _WINDOW
    failed = Entry.objects.filter(action=Action.SIGN_IN_FAILED, at__gt=since)
    recent = Entry.objects.filter(at__gt=since).order_by("-at")
    changed = recent.filter(action=Action.PASSWORD_CHANGED, object=name).first()
    signed_in = recent.filter(action=Action.SIGNED_IN, who=name, origin=address).first()
    of_name = failed.filter(object=name, at__gt=changed.at if changed else since)
    ends = (
        _end(of_name.filter(origin=address, at__gt=signed_in.at if signed_in else since), tries),
        _end(of_name, tries * _NAME),
        address_refused_until(request),
    )
    return max((end for end in ends if end is not None), default=None)


def address_refused_until(request: HttpRequest) -> datetime | None:
    """Until when sign-ins from the address of a request are refused, whatever the name; None where they are not."""
    failed = Entry.objects.filter(action=Action.SIGN_IN_FAILED, origin=client_address(request))
    since = timezone.now() - _WINDOW
    return _end(failed.filter(at__gt=since), settings.SIGN_IN_TRIES * _ADDRESS) if settings.SIGN_IN_TRIES else None


def way_on(request: HttpRequest, then: str) -> str:
    """Where somebody goes who is signed in: to `then`, an address of this server, or to the worklist."""
    safe = url_has_allowed_host_and_scheme(then, {request.get_host()}, require_https=request.is_secure())
    return then if then and safe else str(settings.LOGIN_REDIRECT_URL)


def _end(failures: QuerySet[Entry], limit: int) -> datetime | None:
    """When the last so many failures are over; None where there are not so many."""
    latest = list(failures.order_by("-at").values_list("at", flat=True)[:limit])
    return latest[-1] + _WINDOW if len(latest) == limit else None


def _plain(name: str) -> str:
    return name[:_LONGEST].replace("\0", "")
