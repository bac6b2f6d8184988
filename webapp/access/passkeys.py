"""Passkeys (WebAuthn): made in the browser, checked by the webauthn package.

A passkey belongs to the host name that it was made at, and the browser offers it at no other; one of an address in
digits, or without HTTPS, it does not make. It asks for finger, face or PIN, so it is a second factor and a first one.
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from typing import Any

import webauthn
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from webapp.access.models import Passkey
from webapp.core.errors import DomainError
from webapp.core.names import named
from webapp.core.redis import ask_redis

_CHALLENGE = "passkey_challenge"  # a cookie
_SECONDS = 300  # that it holds
_ID = re.compile("[A-Za-z0-9_-]{1,1400}")
_WRONG = (WebAuthnException, ValueError, TypeError, LookupError, AttributeError)  # of what the browser sends
_NAMES = ("id", "rawId", "type", "response")


class NoPasskey(DomainError):
    """The browser's answer is not one of a passkey that is known here."""

    status = 403


def why_not_here(request: HttpRequest) -> str:
    """Why passkeys cannot be had at the address that is open; empty where they can."""
    host = _host(request)
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        if request.is_secure() or host == "localhost":
            return ""
        return "Passkeys need HTTPS."
    return "Passkeys need a host name: open Mitoscope by its name, not by an address in digits."


def options_to_make(request: HttpRequest, user: User) -> HttpResponse:
    """What the browser is asked to make a passkey with."""
    options = webauthn.generate_registration_options(
        rp_id=_host(request),
        rp_name="Mitoscope",
        user_id=str(user.pk).encode(),
        user_name=user.get_username(),
        exclude_credentials=_descriptors(user),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return _with_challenge(options)


def passkey_made(request: HttpRequest, user: User, *, answer: str, name: str) -> Passkey:
    """The passkey that the browser has made, not saved yet. Raises NoPasskey, and DomainError for its name."""
    wanted = _wanted(request, answer)
    try:
        verified = webauthn.verify_registration_response(**wanted)
    except _WRONG as error:
        raise NoPasskey(f"This passkey cannot be used ({error}). Try again.") from error
    return Passkey(
        user=user,
        name=named(name or "passkey", what="passkey", longest=100),
        credential=bytes_to_base64url(verified.credential_id),
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
    )


def options_to_show(request: HttpRequest, user: User | None) -> HttpResponse:
    """What the browser is asked to show a passkey with. user: whose; of anybody where it is None."""
    options = webauthn.generate_authentication_options(
        rp_id=_host(request),
        allow_credentials=_descriptors(user) if user else None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return _with_challenge(options)


def person_of(request: HttpRequest, answer: str) -> User:
    """Whose passkey the browser has shown. Raises NoPasskey."""
    wanted = _wanted(request, answer)
    with transaction.atomic():
        known = Passkey.objects.select_for_update(of=("self",)).select_related("user")
        passkey = known.filter(credential=str(wanted["credential"]["id"]), user__is_active=True).first()
        if passkey is None:
            raise NoPasskey("This passkey is not known here.")
        try:
            verified = webauthn.verify_authentication_response(
                **wanted,
                credential_public_key=bytes(passkey.public_key),
                credential_current_sign_count=passkey.sign_count,
            )
        except _WRONG as error:
            raise NoPasskey(f"This passkey was not accepted ({error}). Try again.") from error
        passkey.sign_count, passkey.used_at = verified.new_sign_count, timezone.now()
        passkey.save(update_fields=["sign_count", "used_at"])
    return passkey.user


def _wanted(request: HttpRequest, answer: str) -> dict[str, Any]:
    """The browser's answer, and what it must fit. Raises NoPasskey."""
    return {
        "expected_challenge": _challenge(request),
        "credential": _credential(answer),
        "expected_rp_id": _host(request),
        "expected_origin": f"{request.scheme}://{request.get_host()}",
        "require_user_verification": True,
    }


def _descriptors(user: User) -> list[PublicKeyCredentialDescriptor]:
    known = user.passkeys.values_list("credential", flat=True)
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(credential)) for credential in known]


def _with_challenge(options: Any) -> HttpResponse:
    """The options as JSON, their challenge in a signed cookie: strangers ask, and a session for each would be kept."""
    answer = HttpResponse(webauthn.options_to_json(options), content_type="application/json")
    answer.set_signed_cookie(
        _CHALLENGE,
        bytes_to_base64url(options.challenge),
        max_age=_SECONDS,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Strict",
    )
    return answer


def _challenge(request: HttpRequest) -> bytes:
    """The challenge that was given out; it serves once, as long as Redis is there."""
    challenge = request.get_signed_cookie(_CHALLENGE, "", max_age=_SECONDS)
    fresh = ask_redis(lambda redis: bool(redis.set(f"passkey:{challenge}", 1, nx=True, ex=_SECONDS)))
    if not challenge or fresh is False:
        raise NoPasskey("This took too long. Try again.")
    return base64url_to_bytes(str(challenge))


def _credential(answer: str) -> dict[str, Any]:
    try:
        credential: Any = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise NoPasskey("The browser did not answer with a passkey. Try again.") from error
    whole = isinstance(credential, dict) and all(name in credential for name in _NAMES)
    if not whole or not _ID.fullmatch(str(credential["id"])):
        raise NoPasskey("The browser did not answer with a passkey. Try again.")
    return dict(credential)


def _host(request: HttpRequest) -> str:
    name = request.get_host()
    return name if name.endswith("]") else name.rsplit(":", 1)[0]
