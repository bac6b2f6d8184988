"""Where what is done comes from: the request that is answered, else the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

_View = Callable[[HttpRequest], HttpResponse]
_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


def answered_request(get_response: _View) -> _View:
    """Middleware: what is recorded while a request is answered is of its person and its address."""

    def middleware(request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return get_response(request)
        finally:
            _request.reset(token)

    return middleware


def client_address(request: HttpRequest) -> str:
    """The address of a client: of the connection, or behind PROXIES proxies what the outermost of them has seen."""
    proxies: int = settings.PROXIES
    if proxies:
        named = [one.strip() for one in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if one.strip()]
        if len(named) >= proxies:
            return str(named[-proxies])[:45]
    return str(request.META.get("REMOTE_ADDR", ""))[:45]


def person_now() -> User | None:
    """Who is signed in with the request that is answered."""
    user = getattr(_request.get(), "user", None)
    return user if isinstance(user, User) and user.is_authenticated else None


def origin_now() -> str:
    """The address of the client, else the program."""
    request = _request.get()
    if request is not None:
        return client_address(request)
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])[:100]
