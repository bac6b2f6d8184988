"""The health page, for staff."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.core.confinement import is_confined, threads_not_confined
from webapp.jobs.health import health_of_jobs, parts_of_server


@login_required
def health(request: HttpRequest) -> HttpResponse:
    """Parts that are down, queues, workers, and what is slow or stuck."""
    if not request.user.is_staff:
        raise PermissionDenied
    wrong = [part["say"] for part in parts_of_server().values() if not part["ok"]]
    return render(
        request,
        "health.html",
        {
            "free": is_confined() is False,
            "free_threads": threads_not_confined(),
            "wrong": wrong,
            "health": health_of_jobs(),
        },
    )
