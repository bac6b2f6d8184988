"""What Django answers where no view did: pages for people, problem details below /api/."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from webapp.api.errors import bare_problem


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django itself refuses, such as a host that it does not serve."""
    if _is_api(request):
        return bare_problem(400, "This request cannot be understood.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The person may not do this."""
    if _is_api(request):
        return bare_problem(403, "You may not do this.")
    return render(request, "problem.html", {"problem": "forbidden"}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address that is none, or what is not the reader's to see: which of the two a page does not say."""
    if _is_api(request):
        return bare_problem(404, "There is no such address.")
    return render(request, "problem.html", {"problem": "not found"}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours; its traceback is in the log, under the X-Request-ID of this answer."""
    if _is_api(request):
        return bare_problem(500, "Something went wrong here. The administrator finds it in the log by X-Request-ID.")
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
