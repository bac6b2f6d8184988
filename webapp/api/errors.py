"""One form for every error of the API: problem details (RFC 9457)."""

from __future__ import annotations

import json
import logging
from http.client import responses
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from detector.errors import SlideError
from webapp.api.idempotency import HEADER
from webapp.core.errors import DomainError
from webapp.core.faults import fault_of

NOT_FOUND = "There is no such thing, or it is not yours to see."
_log = logging.getLogger(__name__)
_PHRASES = {**responses, 460: "Checksum Mismatch"}  # the latter is tus's own


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to an expected error; None lets an unexpected one go to the log, with status 500."""
    if isinstance(error, DomainError):
        return problem(error.status, str(error))
    if isinstance(error, RequestDataTooBig):
        keyed = HEADER in context["request"].headers
        where = f"with an {HEADER}; send it without one" if keyed else "here"
        return problem(413, f"This body is too large to be sent {where}.")
    if isinstance(error, RecursionError):
        return problem(400, "JSON is nested too deeply.")
    if isinstance(error, SlideError) and fault_of(error) is None:
        return problem(409, f"The file of this slide cannot be read. {error.reason}")
    response = exception_handler(error, context)
    if response is None:
        return _of_machine(error)
    extra: dict[str, Any] = {}
    if isinstance(error, exceptions.ValidationError):
        detail = "Some of what was sent cannot be used; `errors` says what and why."
        extra["errors"] = response.data
    elif isinstance(error, Http404):
        detail = NOT_FOUND
    elif isinstance(error, PermissionDenied):
        detail = "You may not do this."
    else:
        assert isinstance(error, exceptions.APIException)
        detail = str(error.detail)
    answer = problem(response.status_code, detail, **extra)
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        if name in response.headers:
            answer[name] = response.headers[name]
    return answer


def _of_machine(error: Exception) -> Response | None:
    fault = fault_of(error)
    if fault is None:
        return None
    set_rollback()
    _log.error("%s", fault.say, exc_info=error)
    answer = problem(fault.status, fault.say)
    if fault.retry is not None:
        answer["Retry-After"] = str(fault.retry)
    return answer


def problem(status: int, detail: str, **extra: Any) -> Response:
    """An RFC 9457 body. detail: one sentence for the person who asked."""
    return Response({**_body(status, detail), **extra}, status=status, content_type="application/problem+json")


def bare_problem(status: int, detail: str) -> HttpResponse:
    """The same form outside of the API's views."""
    return HttpResponse(json.dumps(_body(status, detail)), status=status, content_type="application/problem+json")


def _body(status: int, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": _PHRASES[status], "status": status, "detail": detail}
