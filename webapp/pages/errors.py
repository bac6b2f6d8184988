"""Error handlers: HTML pages, and problem details below /api/."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from webapp.api.errors import bare_problem


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: refused by Django itself, such as an unknown host."""
    if _is_api(request):
        return bare_problem(400, "Bad request.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if _is_api(request):
        return bare_problem(403, "You may not do this.")
    return render(request, "problem.html", {"problem": "forbidden"}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no such address, or not visible to the person; the page does not tell which."""
    if _is_api(request):
        return bare_problem(404, "No such address.")
    return render(request, "problem.html", {"problem": "not found"}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: the traceback is in the log, under the X-Request-ID of this answer."""
    if _is_api(request):
        return bare_problem(500, "Server error. The administrator finds it in the log by X-Request-ID.")
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
