"""A POST with an `Idempotency-Key` is done once: sent again, the same answer comes again."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.access.models import Answer
from webapp.access.services import answer_begin, answer_keep

HEADER = "Idempotency-Key"
_HEADERS_KEPT = ("Content-Type", "Location", "Upload-Offset", "Mitoscope-Slide")


class _Replay(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Idempotent(APIView):
    """For views whose POSTs change something. Only successful answers are kept: a refused call changed nothing."""

    _answer: Answer | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method != "POST" or HEADER not in request.headers:
            return super().dispatch(request, *args, **kwargs)
        self._read_body(request)  # nobody is kept waiting by a transaction while a slow client sends
        with transaction.atomic():
            response = super().dispatch(request, *args, **kwargs)
            if response.status_code >= 300:
                transaction.set_rollback(True)
            elif self._answer is not None and self._answer.status is None:
                self._keep(response)
        return response

    def _read_body(self, request: HttpRequest) -> None:
        """Of who may call at all; it is refused from others, in a moment, without being read."""
        with contextlib.suppress(APIException, RequestDataTooBig):  # both come again, and are said
            if self.initialize_request(request).user.is_authenticated:
                request.body  # noqa: B018  read from here on

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST" and (key := request.headers.get(HEADER)) is not None:
            sent = (request.get_full_path(), request.content_type or "", request._request.body)
            parts = [part.encode() if isinstance(part, str) else part for part in sent]
            fingerprint = hashlib.sha256(b"\0".join(parts)).hexdigest()
            self._answer = answer_begin(user=cast(User, request.user), key=key, fingerprint=fingerprint)
            if self._answer.status is not None:
                raise _Replay(self._answer)

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, _Replay):
            answer = exc.answer
            response = HttpResponse(bytes(answer.body), status=answer.status, headers=answer.headers)
            response["Idempotency-Replayed"] = "true"
            return response
        return super().handle_exception(exc)

    def _keep(self, response: HttpResponseBase) -> None:
        assert self._answer is not None and isinstance(response, HttpResponse)
        if isinstance(response, Response):
            response.render()
        headers = {name: response[name] for name in _HEADERS_KEPT if name in response}
        answer_keep(answer=self._answer, status=response.status_code, headers=headers, body=response.content)
