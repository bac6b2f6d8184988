"""The pages. They read through selectors and change nothing themselves: buttons call the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from detector.slide.reader import MAX_FLAT_PIXELS
from webapp.annotations.selectors import run_current
from webapp.jobs.health import health_of_jobs, parts_of_server
from webapp.jobs.selectors import jobs_shown
from webapp.jobs.states import OPEN
from webapp.registry.models import ModelVersion
from webapp.results.selectors import worklist_rows as select_worklist_rows
from webapp.slides.models import Slide, Study
from webapp.slides.services import may_set_mpp

_ROWS = 25


@login_required
def worklist(request: HttpRequest) -> HttpResponse:
    """What there is to read, and where slides are dropped in."""
    studies = Study.objects.visible_to(request.user).order_by("pk")
    context = {
        **_worklist(request),
        "studies": studies,
        "max_upload_gb": settings.MAX_UPLOAD_BYTES // 1024**3,
        "max_flat_megapixels": MAX_FLAT_PIXELS // 10**6,
    }
    return render(request, "worklist.html", context)


@login_required
def worklist_rows(request: HttpRequest) -> HttpResponse:
    """The rows alone, fetched again while something is under way."""
    return render(request, "worklist_rows.html", _worklist(request))


@login_required
def slide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Look at a slide, find its mitoses, read the count."""
    found: Slide = get_object_or_404(Slide.objects.visible_to(request.user).select_related("case__study"), pk=pk)
    run = run_current(slide=found)
    config = {
        "slide": str(found.pk),
        "width": found.width,
        "height": found.height,
        "mpp": found.mpp,
        "state": found.state,
        "run": str(run.pk) if run else None,
        "defaultScore": settings.DEFAULT_MIN_SCORE,
        "floor": settings.STORED_SCORE_FLOOR,
    }
    may = may_set_mpp(slide=found, user=request.user)  # type: ignore[arg-type]
    return render(request, "slide.html", {"slide": found, "run": run, "config": config, "may_set_mpp": may})


@login_required
def jobs(request: HttpRequest) -> HttpResponse:
    """All background work in one list."""
    return render(request, "jobs.html", _jobs(request))


@login_required
def job_rows(request: HttpRequest) -> HttpResponse:
    """The rows alone, fetched again while something is under way."""
    return render(request, "job_rows.html", _jobs(request))


@login_required
def health(request: HttpRequest) -> HttpResponse:
    """What is slow and what is stuck, and who works; for staff."""
    if not request.user.is_staff:
        raise PermissionDenied
    wrong = [part["say"] for part in parts_of_server().values() if not part["ok"]]
    return render(request, "health.html", {"wrong": wrong, "health": health_of_jobs()})


@login_required
def models(request: HttpRequest) -> HttpResponse:
    """Model versions and what is known of them."""
    return render(request, "models.html", {"models": ModelVersion.objects.all()})


def _worklist(request: HttpRequest) -> dict[str, Any]:
    search = request.GET.get("search", "").strip()
    slides = Slide.objects.visible_to(request.user).select_related("case__study")
    if search:
        slides = slides.search(search, request.user)
    page = Paginator(slides.order_by("-uploaded_at"), _ROWS).get_page(request.GET.get("page"))
    rows = select_worklist_rows(slides=list(page.object_list), min_score=settings.DEFAULT_MIN_SCORE)
    busy = any(row["job"] for row in rows)
    return {"page": page, "rows": rows, "busy": busy, "search": search, "min_score": settings.DEFAULT_MIN_SCORE}


def _jobs(request: HttpRequest) -> dict[str, Any]:
    page = Paginator(jobs_shown(user=request.user), _ROWS).get_page(request.GET.get("page"))
    return {"page": page, "busy": any(job.state in OPEN for job in page.object_list)}
