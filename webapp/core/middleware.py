"""Request id and log, what holds a NUL, methods of pages, bodies without a length or of strangers, security policy."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from webapp.core.logs import log_about
from webapp.core.names import refuse_nul, refuse_nul_in_form

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Swagger starts with an inline script; OpenSeadragon makes one style element, known by its hash.
_LOOSER = (
    (re.compile("/api/v1/docs"), "; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"),
    (
        re.compile("/slides/[^/]+/(beside/[^/]+/)?$"),
        "; style-src 'self' 'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='",
    ),
)
_SLOW_SECONDS = 1.0
_STRANGERS_BYTES, _FORM_BYTES = 16_384, 4 << 20
# Logged only when slow or wrong.
_MANY = re.compile(r"^/(static/|api/v1/(health|slides/[^/]+/(tiles_files|mitosis-count))/)")

_STREAMED = re.compile(r"^/api/v1/(uploads/|dicomweb/\d+/studies)")  # bodies that are read as they come
_SECRET = re.compile("^(/password/(?:reset|invitation)/).+")  # who has the address can set the password

_View = Callable[[HttpRequest], HttpResponse]
_log = logging.getLogger(__name__)


def request_log(get_response: _View) -> _View:
    """One line for each request: what was asked, by whom, the answer, how long it took.

    X-Request-ID of a proxy is taken over; the answer has it, and so has every line that is logged on the way.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if re.fullmatch(r"[\w.-]{1,64}", given) else uuid4().hex
        began = time.monotonic()
        with log_about(request=request_id):
            response = get_response(request)
            seconds = time.monotonic() - began
            slow = seconds > _SLOW_SECONDS
            if slow or response.status_code >= 400 or not _MANY.match(request.path):
                user, path = getattr(request, "user", None), _SECRET.sub(r"\1...", request.path)
                _log.log(
                    logging.WARNING if slow or response.status_code >= 500 else logging.INFO,
                    "%s %s %d in %d ms%s",
                    *(
                        request.method,
                        path,
                        response.status_code,
                        seconds * 1000,
                        ", slow" if slow else "",
                    ),
                    extra={"status": response.status_code, "ms": round(seconds * 1000), "user": user and user.pk},
                )
        response["X-Request-ID"] = request_id
        return response

    return middleware


def bodies_without_length(get_response: _View) -> _View:
    """What the API is sent in pieces, and without a length, is read as any other body, which Django does not do.

    A long one is read where bodies are streams alone; elsewhere it is asked for with its length.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" not in request.META or not request.path.startswith("/api/"):
            return get_response(request)
        body = request.META["wsgi.input"]
        if not _STREAMED.match(request.path):
            try:
                begin = body.read(_STRANGERS_BYTES + 1)
            except OSError:
                return HttpResponse("The body broke off.\n", status=400, content_type="text/plain")
            if len(begin) > _STRANGERS_BYTES:
                return HttpResponse("Send so much with a Content-Length.\n", status=411, content_type="text/plain")
            request.META["CONTENT_LENGTH"], body = str(len(begin)), io.BytesIO(begin)
        request._stream = body  # where Django's own reads a request from
        return get_response(request)

    return middleware


def plain_address(get_response: _View) -> _View:
    """An address, a cookie or a form that holds a NUL is answered with 400. The API looks at its bodies itself."""

    def middleware(request: HttpRequest) -> HttpResponse:
        refuse_nul(request)
        return get_response(request)

    def process_view(request: HttpRequest, *_: Any) -> None:
        if request.method == "POST" and not request.path.startswith("/api/"):
            refuse_nul_in_form(request)

    middleware.process_view = process_view  # type: ignore[attr-defined]  # as Django looks for it
    return middleware


def methods_of_pages(get_response: _View) -> _View:
    """Pages are looked at and forms are sent; other methods are for the API."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.method not in {"GET", "HEAD", "POST"} and not request.path.startswith("/api/"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        return get_response(request)

    return middleware


def bodies_of_strangers(get_response: _View) -> _View:
    """What somebody sends who is not signed in is short, a form is not long, and each is refused before it is read
    where it is. The API asks who it is before it reads.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        unclear = "HTTP_TRANSFER_ENCODING" in request.META or not length.isdigit()
        if request.path.startswith("/api/"):
            return get_response(request)
        if (unclear or int(length) > _STRANGERS_BYTES) and SESSION_KEY not in request.session:
            return HttpResponse("Sign in before you send so much.\n", status=413, content_type="text/plain")
        if unclear or int(length) > _FORM_BYTES:
            return HttpResponse("No form is so large.\n", status=413, content_type="text/plain")
        return get_response(request)

    return middleware


def content_security_policy(get_response: _View) -> _View:
    """Pages load scripts, styles and pictures from this server alone; no script and no style stands in them."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        looser = next((more for path, more in _LOOSER if path.match(request.path)), "")
        response.headers.setdefault("Content-Security-Policy", _POLICY + looser)
        return response

    return middleware
