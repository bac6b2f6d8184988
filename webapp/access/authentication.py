"""Authentication by API token or browser session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import knox.auth
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from webapp.access.models import ProviderIdentity
from webapp.access.second_factor import has_factor, is_asked_of, lets_in
from webapp.access.services import token_used
from webapp.core.cached_sql import CachedSql

_NOTED_EVERY = timedelta(minutes=1)
# In the model's order, as `from_db` needs them; other fields are deferred.
_PERSON = ("id", "password", "is_superuser", "username", "is_staff", "is_active")


def _by_token(*, digest: str, now: datetime) -> QuerySet[Any, Any]:
    living = AuthToken.objects.filter(Q(expiry=None) | Q(expiry__gt=now), digest=digest, user__is_active=True)
    names = (*(f"user__{name}" for name in _PERSON), "digest", "use__used_at")
    return cast("QuerySet[Any, Any]", living.values_list(*names))


def _by_key(*, key: str, now: datetime) -> QuerySet[Any, Any]:
    return Session.objects.filter(session_key=key, expire_date__gt=now).values_list("session_data")


def _by_id(*, pk: int) -> QuerySet[Any, Any]:
    return User.objects.filter(pk=pk, is_active=True).values_list(*_PERSON)


_tokens, _sessions, _people = CachedSql(_by_token), CachedSql(_by_key), CachedSql(_by_id)


class TokenAuthentication(knox.auth.TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """Knox's token authentication in one query; a token that is not ASCII is an invalid one.

    Expired tokens are invalid; they are deleted when their owner makes a new one.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, None]:
        rows = _tokens(digest=hash_token(token.decode()), now=timezone.now()) if token.isascii() else []
        if not rows:
            raise AuthenticationFailed("Invalid token.")
        *person, digest, used_at = rows[0]
        if used_at is not None and timezone.is_naive(used_at):  # as SQLite gives it
            used_at = used_at.replace(tzinfo=UTC)
        if used_at is None or timezone.now() - used_at > _NOTED_EVERY:
            transaction.on_commit(lambda: token_used(token=digest), robust=True)
        user = _person(tuple(person))
        if is_asked_of(user) and not (has_factor(user) or ProviderIdentity.objects.filter(user=user).exists()):
            raise AuthenticationFailed("You must have a second factor here: sign in in a browser, and set one up.")
        return user, None


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """The same in the OpenAPI description."""

    target_class = TokenAuthentication  # type: ignore[assignment]


def authenticated_user(request: HttpRequest) -> User | AnonymousUser:
    """The user of a request's token or session, as DRF would say, by prepared queries: for tiles and counts. Raises
    AuthenticationFailed for a wrong token.
    """
    if (by_token := TokenAuthentication().authenticate(request)) is not None:
        return cast(User, by_token[0])
    if (key := request.session.session_key) is None:
        return AnonymousUser()
    for (data,) in _sessions(key=key, now=timezone.now()):
        session = request.session.decode(data)
        for row in _people(pk=int(session.get(SESSION_KEY, 0))):
            user = _person(row)
            if constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
                return user if lets_in(session, user) else AnonymousUser()
    return request.user  # it tells strangers from people whose session was signed with a key replaced since


def _person(row: tuple[Any, ...]) -> User:
    return User.from_db(connection.alias, _PERSON, row)
