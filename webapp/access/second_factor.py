"""What a person shows beside the password: a code of an authenticator app (TOTP, RFC 6238), a passkey, a recovery code.

Everybody may set one up; SECOND_FACTOR says who must. A session that lacks one where it must have one is nobody's: the
person signs in anew, and sets it up in doing so. Who comes from the hospital's provider is asked there, not here.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, login
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from webapp.access.models import Passkey
from webapp.access.sign_in import refused_until
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.audit.signals import FACTOR_KEY
from webapp.core.errors import DomainError, InvalidInput

CODES = 10  # recovery codes
_PENDING, _PASSWORD_AT = "sign_in_pending", "password_at"  # in the session, besides FACTOR_KEY
_APP_CODE, _RECOVERY_CODE = re.compile("[0-9]{6}"), re.compile("[0-9a-f]{6}-?[0-9a-f]{6}")
_GUESSES = 20  # of codes in a quarter of an hour, where SIGN_IN_TRIES sets no limit
_PENDING_SECONDS = 600  # between password and second factor
_TRUSTED_SECONDS = 900  # in which factors are changed without the password once more


class WrongCode(DomainError):
    """No code of this person, or one that was used before."""

    status = 403


@dataclass(frozen=True)
class Pending:
    """Who has given the password and not yet the second factor, and where they want to go."""

    user: User
    then: str


class SessionPerson(AuthenticationMiddleware):
    """Django's; who lacks a second factor that they must have is not signed in."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        found = request.user
        request.user = SimpleLazyObject(  # type: ignore[assignment]
            lambda: found if lets_in(request.session, found) else AnonymousUser()
        )


def is_asked_of(user: User | AnonymousUser) -> bool:
    """Whether this person must have a second factor."""
    if settings.SECOND_FACTOR == "administrators":
        return user.is_superuser or user.is_staff
    return user.is_authenticated and settings.SECOND_FACTOR == "everybody"


def lets_in(session: Mapping[str, Any], user: User | AnonymousUser) -> bool:
    """Whether a session, as stored, has the second factor that its person must have."""
    return FACTOR_KEY in session or not is_asked_of(user)


def has_factor(user: User) -> bool:
    """Whether this person has set one up; recovery codes alone are none."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists() or user.passkeys.exists())


def recovery_codes_left(user: User) -> int:
    """How many of the recovery codes are not used up."""
    return int(StaticToken.objects.filter(device__user=user).count())


def ask_for_factor(request: HttpRequest, user: User, *, then: str) -> None:
    """Keep in mind that this person has given the password."""
    request.session.flush()
    mark = {"user": user.pk, "password": user.get_session_auth_hash(), "at": time.time(), "then": then}
    request.session[_PENDING] = mark


def pending(request: HttpRequest) -> Pending | None:
    """Who is between password and second factor; nobody after ten minutes, or when the password was changed."""
    mark = request.session.get(_PENDING)
    if not mark or time.time() - mark["at"] > _PENDING_SECONDS:
        return None
    user = User.objects.filter(pk=mark["user"], is_active=True).first()
    if user is None or not constant_time_compare(mark["password"], user.get_session_auth_hash()):
        return None
    return Pending(user, mark["then"])


def forget_pending(request: HttpRequest) -> None:
    """Somebody begins anew."""
    request.session.pop(_PENDING, None)


def sign_in(request: HttpRequest, user: User, *, factor: str = "", password: bool = True) -> None:
    """Open a session. factor: what was shown besides the password. password: whether it was given just now."""
    request.session.pop(_PENDING, None)
    if SESSION_KEY in request.session:
        request.session.flush()
    if factor:
        request.session[FACTOR_KEY] = factor
    if password:
        request.session[_PASSWORD_AT] = time.time()
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])


def is_trusted(request: HttpRequest) -> bool:
    """Whether the password was given so lately that factors may be changed without it."""
    return bool(time.time() - request.session.get(_PASSWORD_AT, 0) < _TRUSTED_SECONDS)


def confirm_password(request: HttpRequest, user: User, password: str) -> None:
    """Let a signed-in person change their factors. Wrong ones are counted as those of the sign-in. Raises WrongCode."""
    _refuse_guesses(request, user)
    if not user.check_password(password):
        record(Action.SIGN_IN_FAILED, named=user.get_username())
        raise WrongCode("Wrong password.")
    request.session[_PASSWORD_AT] = time.time()


def check_code(request: HttpRequest, user: User, code: str) -> str:
    """What kind of code of the person it is, "app" or "recovery code"; each serves once. Raises WrongCode."""
    _refuse_guesses(request, user)
    code = code.replace(" ", "").lower()
    kind = TOTPDevice if _APP_CODE.fullmatch(code) else StaticDevice if _RECOVERY_CODE.fullmatch(code) else None
    right = False
    if kind is not None:
        with transaction.atomic():
            device = kind.objects.select_for_update().filter(user=user, confirmed=True).first()
            right = device is not None and device.verify_token(code.replace("-", ""))
    if not right:
        record(Action.SIGN_IN_FAILED, named=user.get_username(), after={"why": "second factor"})
        raise WrongCode("Wrong code, or one that was used before. Wait for the next one.")
    return "recovery code" if kind is StaticDevice else "app"


def app_begin(*, user: User) -> TOTPDevice:
    """A new key for an authenticator app, which counts once a code of it is shown; the one begun before is gone."""
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    device: TOTPDevice = TOTPDevice.objects.create(user=user, name="authenticator app", confirmed=False)
    return device


def app_begun(user: User) -> TOTPDevice | None:
    """The key that waits for its first code."""
    begun: TOTPDevice | None = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    return begun


def app_confirm(*, user: User, code: str, session: str | None = None) -> list[str]:
    """From now on codes of this key are asked for; it takes the place of another app. The first recovery codes.

    session: the key of the person's own, which goes on. Raises WrongCode.
    """
    with transaction.atomic():
        device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
        code = code.replace(" ", "")
        right = device is not None and _APP_CODE.fullmatch(code) and device.verify_token(code)
        if right:
            TOTPDevice.objects.filter(user=user, confirmed=True).delete()
            device.confirmed = True
            device.save()
            return _added(user, "authenticator app", session)
    raise WrongCode("This is not the code of the app. Is the clock of the phone right? Wait for the next one.")


def passkey_add(*, passkey: Passkey, session: str | None = None) -> list[str]:
    """Keep a passkey; its person's first recovery codes where they have none. session: as in `app_confirm`."""
    with transaction.atomic():
        if Passkey.objects.filter(credential=passkey.credential).exists():
            raise InvalidInput("This passkey is here already.")
        passkey.save()
        return _added(passkey.user, f"passkey {passkey.name}", session)


def recovery_codes_make(*, user: User) -> list[str]:
    """New recovery codes, shown this once; the old ones end."""
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name="recovery codes", confirmed=True)
        codes = [f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for _ in range(CODES)]
        StaticToken.objects.bulk_create([StaticToken(device=device, token=code.replace("-", "")) for code in codes])
        record(Action.SECOND_FACTOR, user, after={"recovery codes": CODES})
    return codes


def factor_remove(*, user: User, passkey: int | None) -> None:
    """Take away a passkey, or the app (None); with the last of them the recovery codes go.

    Raises DomainError where the person must have one and it is the last.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        rows = TOTPDevice.objects.filter(user=user) if passkey is None else user.passkeys.filter(pk=passkey)
        name = "authenticator app" if passkey is None else f"passkey {getattr(rows.first(), 'name', '')}"
        if not rows.delete()[0]:
            raise DomainError("It is gone already.")
        if not has_factor(user):
            if is_asked_of(user):
                raise DomainError("You must have a second factor: add another one before you remove this.")
            StaticDevice.objects.filter(user=user).delete()
        record(Action.SECOND_FACTOR, user, before={"removed": name})


def factors_reset(*, user: User) -> int:
    """Take all factors of a person away who has lost them; how many there were."""
    with transaction.atomic():
        count = int(TOTPDevice.objects.filter(user=user, confirmed=True).count()) + user.passkeys.count()
        for rows in (TOTPDevice.objects.filter(user=user), StaticDevice.objects.filter(user=user), user.passkeys.all()):
            rows.delete()
        _end_sessions(user)
        record(Action.SECOND_FACTOR, user, before={"removed": "all"})
    return count


def _added(user: User, name: str, session: str | None) -> list[str]:
    record(Action.SECOND_FACTOR, user, after={"added": name})
    _end_sessions(user, but=session)
    return [] if recovery_codes_left(user) else recovery_codes_make(user=user)


def _end_sessions(user: User, *, but: str | None = None) -> None:
    """End what was opened without the factors that there are now."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=but).iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()


def _refuse_guesses(request: HttpRequest, user: User) -> None:
    if refused_until(request, user.get_username(), at_least=_GUESSES):
        raise WrongCode("Too many wrong passwords or codes. Try again in a quarter of an hour.")
