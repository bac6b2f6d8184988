"""The list of jobs."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.jobs.selectors import jobs_as_a_list
from webapp.jobs.states import OPEN
from webapp.pages.pagination import page_of


@login_required
def jobs(request: HttpRequest) -> HttpResponse:
    """All jobs that the person may see."""
    return render(request, "jobs.html", _jobs(request))


@login_required
def job_rows(request: HttpRequest) -> HttpResponse:
    """The rows alone; the page refetches them while a job runs."""
    return render(request, "job_rows.html", _jobs(request))


def _jobs(request: HttpRequest) -> dict[str, Any]:
    page = page_of(request, jobs_as_a_list(user=request.user))
    return {"page": page, "busy": any(job.state in OPEN for job in page.object_list)}
