"""Sign-in by a provider of the hospital (OpenID Connect: Keycloak, Entra, ...), where OIDC_ISSUER is set.

The authorization code flow with PKCE, state and nonce, by Authlib. A person is known by issuer and subject, never by
name or mail address: an account that is here already is linked by an administrator, not by whoever has the same name
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from joserfc.errors import JoseError
from requests import RequestException

from webapp.access.models import ProviderIdentity
from webapp.access.sign_in import address_refused_until
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError
from webapp.core.names import plain_name

_LONGEST = 150  # characters of a name
_LONGEST_SUBJECT, _LONGEST_ADDRESS = 255, 254
_SECONDS = 10  # that the provider may take
_ASKING = BoundedSemaphore(1)  # of a process: one in four of its threads


class SignInFailed(DomainError):
    """The provider, or what it says, does not let the person in."""

    status = 403


@contextmanager
def _few_at_once() -> Iterator[None]:
    """A provider that hangs must not hold the threads of the site. Raises SignInFailed."""
    if not _ASKING.acquire(timeout=1):
        raise SignInFailed(f"{settings.OIDC_NAME} is busy, or does not answer. Try again in a moment.")
    try:
        yield
    finally:
        _ASKING.release()


def begin(request: HttpRequest, callback: str) -> HttpResponse:
    """Send the browser to the provider, which sends it back to `callback`. Raises SignInFailed."""
    try:
        with _few_at_once():
            answer: HttpResponse = _provider().authorize_redirect(request, callback)
    except (AuthlibBaseError, RequestException, RuntimeError, ValueError) as error:
        raise SignInFailed(f"The sign-in of {settings.OIDC_NAME} does not answer. Try again later.") from error
    return answer


def claims_of(request: HttpRequest) -> Mapping[str, Any]:
    """What the provider says of the person who comes back from it. Raises SignInFailed.

    A failure is recorded where the sign-in was begun here: a picture on a page elsewhere could call this address.
    """
    if f"_state_provider_{request.GET.get('state', '')}" not in request.session:
        raise SignInFailed("This sign-in was not begun in this browser, or long ago. Try again.")
    try:
        with _few_at_once():
            token = _provider().authorize_access_token(request)
    except (AuthlibBaseError, JoseError, RequestException, RuntimeError, ValueError, KeyError) as error:
        if address_refused_until(request) is None:  # once it fails too often it is not told of any more
            record(Action.SIGN_IN_FAILED, named=settings.OIDC_NAME, after={"why": str(error)[:300]})
        raise SignInFailed(f"{settings.OIDC_NAME} did not sign you in ({error}). Try again.") from error
    claims: Mapping[str, Any] = token.get("userinfo") or {}
    if not claims.get("sub"):
        raise SignInFailed(f"{settings.OIDC_NAME} does not say who you are.")
    return claims


def person_of(claims: Mapping[str, Any]) -> User:
    """The account of who these claims are of; a new one for who comes for the first time. Raises SignInFailed."""
    issuer, subject = str(claims.get("iss") or settings.OIDC_ISSUER), str(claims["sub"])
    if len(issuer) > _LONGEST_SUBJECT or len(subject) > _LONGEST_SUBJECT or "\0" in issuer + subject:
        raise SignInFailed(f"{settings.OIDC_NAME} names you in a way that cannot be kept; tell an administrator.")
    known = ProviderIdentity.objects.filter(issuer=issuer, subject=subject).select_related("user").first()
    if known is not None:
        if not known.user.is_active:
            record(Action.SIGN_IN_REFUSED, known.user, who=known.user, after={"why": "the account is not in use"})
            raise SignInFailed("This account is not in use; ask an administrator.")
        return known.user
    name = _said(claims, "preferred_username") or _said(claims, "email") or _said(claims, "sub")
    if not name:
        raise SignInFailed(f"{settings.OIDC_NAME} does not say who you are.")
    if User.objects.filter(username=name).exists():
        record(Action.SIGN_IN_REFUSED, named=name, after={"why": "an account of this name is here already"})
        raise SignInFailed(
            f"There is an account called {name} already. Ask an administrator to link it to yours at "
            f"{settings.OIDC_NAME} (subject {subject})."
        )
    with transaction.atomic():
        user: User = User.objects.create_user(
            name,
            email=_mail_address(claims),
            first_name=_said(claims, "given_name"),
            last_name=_said(claims, "family_name"),
        )
        ProviderIdentity.objects.create(user=user, issuer=issuer, subject=subject)
    return user


def _said(claims: Mapping[str, Any], claim: str) -> str:
    return plain_name(str(claims.get(claim) or ""))[:_LONGEST].strip()


def _mail_address(claims: Mapping[str, Any]) -> str:
    """ "" where it is none."""
    address = str(claims.get("email") or "").strip()
    try:
        validate_email(address)
    except ValidationError:
        return ""
    return address if len(address) <= _LONGEST_ADDRESS else ""


def _provider() -> Any:
    return _client(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)


@cache
def _client(issuer: str, client_id: str, secret: str) -> Any:
    return OAuth().register(
        "provider",
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": settings.OIDC_SCOPE, "code_challenge_method": "S256", "default_timeout": _SECONDS},
    )
