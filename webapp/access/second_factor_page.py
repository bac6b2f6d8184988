"""The page of a person's second factors: an authenticator app, passkeys, recovery codes.

Who must have one and has none sets it up here on the way in, before the session is open.
"""

from __future__ import annotations

import re
from base64 import b32encode
from typing import Any

import segno
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from webapp.access import passkeys
from webapp.access.second_factor import (
    app_begin,
    app_begun,
    app_confirm,
    confirm_password,
    factor_remove,
    has_factor,
    is_asked_of,
    is_trusted,
    passkey_add,
    pending,
    recovery_codes_left,
    recovery_codes_make,
    sign_in,
)
from webapp.core.errors import DomainError, InvalidInput


@never_cache
def second_factor(request: HttpRequest) -> HttpResponse:
    """What the person has, and what they do to it; new recovery codes are shown once."""
    user, on_the_way_in = _person(request)
    if user is None:
        return redirect_to_login(request.get_full_path())
    trusted, problem, codes, then, status = on_the_way_in or is_trusted(request), "", [], "", 200
    if request.method == "POST":
        do = request.POST.get("do", "")
        try:
            if do == "password":
                confirm_password(request, user, request.POST.get("password", ""))
                return redirect("second-factor")
            if not trusted:
                raise DomainError("Enter your password first.")
            codes = _do(request, user, do)
            if on_the_way_in and has_factor(user):
                half = pending(request)
                then = half.then if half else reverse("worklist")
                sign_in(request, user, factor="set up now")
        except DomainError as error:
            problem, status = str(error), error.status
        if not (problem or codes or then or do == "app"):
            return redirect("second-factor")
    told = {"problem": problem, "codes": codes, "then": then, "on_the_way_in": on_the_way_in}
    return render(request, "second_factor.html", {**_facts(request, user, trusted), **told}, status=status)


@require_POST
def passkey_new(request: HttpRequest) -> HttpResponse:
    """What the browser needs to make a passkey."""
    user, on_the_way_in = _person(request)
    if user is None or not (on_the_way_in or is_trusted(request)):
        return HttpResponse("Enter your password first.\n", status=403, content_type="text/plain")
    return passkeys.options_to_make(request, user)


def _person(request: HttpRequest) -> tuple[User | None, bool]:
    """Whose factors these are, and whether they set up the first one on the way in."""
    if request.user.is_authenticated:
        return request.user, False
    half = pending(request)
    if half is None or has_factor(half.user):
        return None, False
    return half.user, True


def _do(request: HttpRequest, user: User, do: str) -> list[str]:
    """Change something; new recovery codes, if there are any. Raises DomainError."""
    given, session = request.POST, request.session.session_key
    if do == "app":
        app_begin(user=user)
    elif do == "app-code":
        return app_confirm(user=user, code=given.get("code", ""), session=session)
    elif do == "passkey":
        made = passkeys.passkey_made(request, user, answer=given.get("answer", ""), name=given.get("name", ""))
        return passkey_add(passkey=made, session=session)
    elif do == "codes":
        if not has_factor(user):
            raise DomainError("Recovery codes stand in for an app or a passkey: add one first.")
        return recovery_codes_make(user=user)
    elif do == "remove":
        which = given.get("which", "")
        if which != "app" and not re.fullmatch("[0-9]{1,18}", which):
            raise InvalidInput("Say what is to be removed.")
        factor_remove(user=user, passkey=None if which == "app" else int(which))
        messages.success(request, "Removed.")
    return []


def _facts(request: HttpRequest, user: User, trusted: bool) -> dict[str, Any]:
    begun = app_begun(user) if request.method == "POST" and trusted else None
    if begun is not None:
        image = segno.make(begun.config_url, error="m").svg_inline(scale=5, border=2, dark="#000", light="#fff")
    return {
        "person": user,
        "trusted": trusted,
        "must": is_asked_of(user),
        "app": user.totpdevice_set.filter(confirmed=True).first(),  # type: ignore[attr-defined]  # of django_otp
        "passkeys": user.passkeys.all(),
        "codes_left": recovery_codes_left(user),
        "no_passkey": passkeys.why_not_here(request),
        "begun": {"image": image, "key": _grouped(begun)} if begun is not None else None,
    }


def _grouped(device: Any) -> str:
    """The key as one types it into an app: base32 in groups of four."""
    key = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))
