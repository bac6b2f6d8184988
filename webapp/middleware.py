"""One header that Django does not set by itself."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Our own pages run only our own scripts; the API's documentation page starts Swagger with an inline script.
_POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_POLICY_DOCS = _POLICY + "; script-src 'self' 'unsafe-inline'"


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Pages load scripts, styles and pictures from this server alone."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        docs = request.path.startswith("/api/v1/docs")
        response.headers.setdefault("Content-Security-Policy", _POLICY_DOCS if docs else _POLICY)
        return response

    return middleware
