"""The list of background work."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.jobs.selectors import jobs_as_a_list
from webapp.jobs.states import OPEN

_ROWS = 25


@login_required
def jobs(request: HttpRequest) -> HttpResponse:
    """All background work in one list."""
    return render(request, "jobs.html", _jobs(request))


@login_required
def job_rows(request: HttpRequest) -> HttpResponse:
    """The rows alone, fetched again while something is under way."""
    return render(request, "job_rows.html", _jobs(request))


def _jobs(request: HttpRequest) -> dict[str, Any]:
    page = Paginator(jobs_as_a_list(user=request.user), _ROWS).get_page(request.GET.get("page"))
    return {"page": page, "busy": any(job.state in OPEN for job in page.object_list)}
