"""APIView without DRF's per-request cost, for tiles and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import NotAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.access.authentication import authenticated_user


class FastView(APIView):
    """GET without content negotiation and DRF's request object, which cost several times the answer itself.

    Authentication, throttling and problem details are those of every view. `get` is called with the user.
    """

    get: Callable[..., HttpResponse]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return cast(HttpResponse, super().dispatch(request, *args, **kwargs))
        try:
            user = request.user = authenticated_user(request)
            if not user.is_authenticated:
                raise NotAuthenticated
            self.check_throttles(cast(Request, request))
            return self.get(request, user, *args, **kwargs)
        except Exception as error:
            answer = self.handle_exception(error)
            headers = {**dict(answer.items()), "Content-Type": "application/problem+json"}
            return HttpResponse(JSONRenderer().render(answer.data), status=answer.status_code, headers=headers)
