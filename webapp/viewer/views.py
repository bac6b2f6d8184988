"""The pages. They read through selectors and change nothing themselves: buttons call the API."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Count, Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from detector.slide.reader import MAX_FLAT_PIXELS
from webapp.annotations.models import Run
from webapp.errors import InvalidInput
from webapp.jobs.health import health_of_jobs, parts_of_server
from webapp.jobs.selectors import jobs_as_a_list
from webapp.jobs.states import OPEN
from webapp.registry.models import ModelVersion
from webapp.results.exports import FORMATS
from webapp.results.filters import Filters, scanners_of, slides_filtered
from webapp.results.selectors import worklist_rows as select_worklist_rows
from webapp.results.worklist import Group, groups, in_group, reading_progress
from webapp.retraining.provenance import sources_of
from webapp.slides.models import Case, Slide, SlideQuerySet, Study
from webapp.slides.selectors import readers_by_study, readers_of
from webapp.slides.services import may_set_mpp

_ROWS = 25
# Of one and of ten fields of 0.5 and 0.55 mm, and round ones.
_AREAS_MM2 = ("0.196", "0.237", "0.5", "1", "1.96", "2", "2.37", "3")
# Named in the page, so that the browser fetches them at once instead of finding them one after the other.
_VIEWER = settings.BASE_DIR / "static" / "viewer"
_MODULES = sorted(path.relative_to(_VIEWER).as_posix() for path in _VIEWER.rglob("*.js"))


@login_required
def worklist(request: HttpRequest) -> HttpResponse:
    """What needs a reader, and where slides are dropped in."""
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
def slides(request: HttpRequest) -> HttpResponse:
    """Every slide, the newest first."""
    found, asked = _found(request)
    studies = Study.objects.visible_to(request.user).order_by("name")
    return render(
        request, "slides.html", {**_rows(request, found), **asked, "studies": studies, "exports": FORMATS.items()}
    )


@login_required
def cases(request: HttpRequest) -> HttpResponse:
    """Every case, with how many slides it has."""
    search = request.GET.get("search", "").strip()
    found = Case.objects.visible_to(request.user).select_related("study").filter(identifier__icontains=search)
    counted = found.annotate(slide_count=Count("slides", distinct=True), newest=Max("slides__uploaded_at"))
    page = Paginator(counted.order_by("study__name", "identifier"), _ROWS).get_page(request.GET.get("page"))
    return render(request, "cases.html", {"page": page, "search": search})


@login_required
def case(request: HttpRequest, pk: int) -> HttpResponse:
    """One patient: all slides, side by side."""
    found: Case = get_object_or_404(Case.objects.visible_to(request.user).select_related("study"), pk=pk)
    rows = _rows(request, Slide.objects.filter(case=found).select_related("case__study", "reader"))
    return render(request, "case.html", {"case": found, **rows})


@login_required
def slide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Look at a slide, find its mitoses, read the count."""
    slides = Slide.objects.visible_to(request.user).select_related("case__study", "reader")
    found: Slide = get_object_or_404(slides, pk=pk)
    runs = Run.objects.filter(slide=found).select_related("model")
    asked = request.GET.get("run")
    run = _run(runs, asked) if asked else runs.first()
    config = {
        "slide": str(found.pk),
        "width": found.width,
        "height": found.height,
        "mpp": found.mpp,
        "state": found.state,
        "run": str(run.pk) if run else None,
        "defaultScore": settings.DEFAULT_MIN_SCORE,
        "floor": settings.STORED_SCORE_FLOOR,
        "person": request.user.get_username(),
    }
    context = {
        "slide": found,
        "shown": found.state in {Slide.State.READY, Slide.State.NEEDS_MPP},
        "run": run,
        "others": [other for other in runs if other != run],
        "config": config,
        "modules": _MODULES,
        "exports": FORMATS.items(),
        "counting": {"rules": settings.SCORE_RULES.values(), "rule": settings.SCORE_RULE, "areas": _AREAS_MM2},
        "readers": readers_by_study(slides=[found], user=request.user)[found.case.study_id],
        "may_set_mpp": may_set_mpp(slide=found, user=request.user),  # type: ignore[arg-type]
    }
    return render(request, "slide.html", context)


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


@login_required
def model(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One model version: what it was made from, what it was measured at, and where it has been used."""
    found = get_object_or_404(ModelVersion.objects.select_related("parent"), pk=pk)
    runs = Run.objects.visible_to(request.user).filter(model=found).select_related("slide")
    context = {
        "model": found,
        "sources": sources_of(version=found),
        "judgements": found.judgements.select_related("active").exclude(result=None).defer("result"),
        "promotions": found.promotions.select_related("by", "replaced"),
        "runs": runs[:_ROWS],
        "run_count": runs.count(),
        "card": json.dumps(found.card, indent=2),
    }
    return render(request, "model.html", context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """There is no such page, or it is not the reader's to see: which of the two is not said."""
    return render(request, "problem.html", {"problem": "not found"}, status=404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The reader may not do this."""
    return render(request, "problem.html", {"problem": "forbidden"}, status=403)


def _worklist(request: HttpRequest) -> dict[str, Any]:
    found, asked = _found(request)
    counts = groups(found, user=request.user, min_score=settings.DEFAULT_MIN_SCORE)
    show = request.GET.get("show", "")
    group = Group(show) if show in Group.values else Group.OPEN_ONES
    shown = in_group(found, group, user=request.user, min_score=settings.DEFAULT_MIN_SCORE)
    rows = _rows(request, shown, counts[group])
    tabs = [{"group": one, "count": counts[one]} for one in Group]
    return {**rows, **asked, "busy": rows["busy"] or counts[Group.WAITING] > 0, "group": group, "tabs": tabs}


def _found(request: HttpRequest) -> tuple[SlideQuerySet, dict[str, Any]]:
    """The slides that fit what was asked for, and what the form of the filters shows."""
    slides = Slide.objects.visible_to(request.user).select_related("case__study", "reader")
    problem = ""
    try:
        filters = Filters.of(request.GET)
    except InvalidInput as error:
        filters, problem = Filters(), str(error)
    found = slides_filtered(slides=slides, user=request.user, filters=filters, min_score=settings.DEFAULT_MIN_SCORE)
    asked = {
        "filters": filters,
        "filtered": filters != Filters(search=filters.search),
        "filter_problem": problem,
        "search": filters.search,
        "states": Slide.State.choices,
        "scanners": scanners_of(slides),
        "people": readers_of(studies=Study.objects.visible_to(request.user)),
    }
    return found, asked


def _rows(request: HttpRequest, found: QuerySet[Slide], count: int | None = None) -> dict[str, Any]:
    """A page of slides. count: how many there are, where that is known already."""
    paginator = Paginator(found.order_by("-uploaded_at"), _ROWS)
    if count is not None:
        paginator.count = count
    page = paginator.get_page(request.GET.get("page"))
    shown = list(page.object_list)
    rows = select_worklist_rows(slides=shown, min_score=settings.DEFAULT_MIN_SCORE)
    readers = readers_by_study(slides=shown, user=request.user)
    progress = reading_progress(shown, min_score=settings.DEFAULT_MIN_SCORE)
    for row in rows:
        row["judged"], row["of"] = progress.get(row["slide"].pk, (0, 0))
        row["readers"] = readers[row["slide"].case.study_id]
    busy = any(row["job"] for row in rows)
    return {"page": page, "rows": rows, "busy": busy, "min_score": settings.DEFAULT_MIN_SCORE}


def _run(runs: QuerySet[Run], asked: str) -> Run:
    try:
        return get_object_or_404(runs, pk=asked)
    except ValidationError as error:  # no id at all
        raise Http404 from error


def _jobs(request: HttpRequest) -> dict[str, Any]:
    page = Paginator(jobs_as_a_list(user=request.user), _ROWS).get_page(request.GET.get("page"))
    return {"page": page, "busy": any(job.state in OPEN for job in page.object_list)}
