"""Error handlers: HTML pages, and problem details below /api/."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.views import defaults

from webapp.api.errors import bare_problem
from webapp.core.faults import fault_of


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
    """A fault of the machine by its sentence, with 503 or 507; else 500. The traceback is in the log, under the
    X-Request-ID of this answer."""
    if (fault := fault_of(sys.exc_info()[1])) is not None:
        headers = {"Retry-After": str(fault.retry)} if fault.retry is not None else {}
        if _is_api(request):
            answer = bare_problem(fault.status, fault.say)
        else:
            answer = HttpResponse(loader.render_to_string("fault.html", {"fault": fault}), status=fault.status)
        for name, value in headers.items():
            answer[name] = value
        return answer
    if _is_api(request):
        return bare_problem(500, "Server error. The administrator finds it in the log by X-Request-ID.")
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
