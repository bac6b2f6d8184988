"""Views for what is asked for by the thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import NotAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.access.authentication import person_asking


class DirectView(APIView):
    """GET goes past what DRF does around a call (negotiating the form of the answer, a request object of its own): it
    would cost several times what the answer does. Who asks is looked up, calls are counted and errors are told as
    everywhere. `get` is given who asks.
    """

    get: Callable[..., HttpResponse]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return cast(HttpResponse, super().dispatch(request, *args, **kwargs))
        try:
            user = request.user = person_asking(request)
            if not user.is_authenticated:
                raise NotAuthenticated
            self.check_throttles(cast(Request, request))
            return self.get(request, user, *args, **kwargs)
        except Exception as error:
            answer = self.handle_exception(error)
            headers = {**dict(answer.items()), "Content-Type": "application/problem+json"}
            return HttpResponse(JSONRenderer().render(answer.data), status=answer.status_code, headers=headers)
