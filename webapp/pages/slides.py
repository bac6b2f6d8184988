"""The lists of slides: the worklist, all slides, the cases, one case."""

from __future__ import annotations

import itertools
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from detector.slide.reader import MAX_FLAT_PIXELS
from webapp.core.errors import InvalidInput
from webapp.exchange.exports import FORMATS
from webapp.pages.pagination import page_of
from webapp.readings.selectors import readings_of
from webapp.results.filters import Filters, scanners_of, slides_filtered
from webapp.results.worklist import Group, groups, in_group
from webapp.results.worklist import worklist_rows as select_worklist_rows
from webapp.retraining.patients import case_losses
from webapp.slides.models import Case, Slide, SlideQuerySet, Study
from webapp.slides.roles import Right, may, studies_of
from webapp.slides.selectors import readers_of

_PAIRS = 10  # of a case, that may be opened side by side


@login_required
def worklist(request: HttpRequest) -> HttpResponse:
    """Slides by what they wait for, and the upload."""
    context = {
        **_worklist(request),
        "studies": studies_of(request.user, Right.UPLOAD),
        "to_read_blinded": readings_of(request.user).filter(done_at=None).count(),
        "is_member": Study.objects.visible_to(request.user).exists(),
        "is_alone": request.user.is_superuser and not User.objects.exclude(pk=request.user.pk).exists(),
        "max_upload_gb": settings.MAX_UPLOAD_BYTES // 1024**3,
        "max_flat_megapixels": MAX_FLAT_PIXELS // 10**6,
    }
    return render(request, "worklist.html", context)


@login_required
def worklist_rows(request: HttpRequest) -> HttpResponse:
    """The rows alone; the page refetches them while a job runs."""
    return render(request, "worklist_rows.html", _worklist(request))


@login_required
def slides(request: HttpRequest) -> HttpResponse:
    """Every slide, the newest first."""
    found, asked = _found(request)
    studies = studies_of(request.user, Right.MANAGE)
    return render(
        request, "slides.html", {**_rows(request, found), **asked, "studies": studies, "exports": FORMATS.items()}
    )


@login_required
def cases(request: HttpRequest) -> HttpResponse:
    """Every case, with how many slides it has."""
    search = request.GET.get("search", "").strip()
    found = Case.objects.visible_to(request.user).select_related("study").filter(identifier__icontains=search)
    counted = found.annotate(
        slide_count=Count("slides", distinct=True, filter=Q(slides__original=None)), newest=Max("slides__uploaded_at")
    )
    page = page_of(request, counted.order_by("study__name", "identifier"))
    return render(request, "cases.html", {"page": page, "search": search})


@login_required
def case(request: HttpRequest, pk: int) -> HttpResponse:
    """One patient: all slides, side by side."""
    found: Case = get_object_or_404(Case.objects.visible_to(request.user).select_related("study"), pk=pk)
    rows = _rows(
        request, Slide.objects.visible_to(request.user).filter(case=found).select_related("case__study", "reader")
    )
    manages = may(Right.MANAGE, user=request.user, study=found.study_id)
    lost = case_losses(case=found) if manages and "delete" in request.GET else None
    shown = [row.slide for row in rows["rows"] if row.slide.state in {Slide.State.READY, Slide.State.NEEDS_MPP}]
    beside = list(itertools.combinations(shown, 2))[:_PAIRS]
    context = {"case": found, "manages": manages, "lost": lost, "beside": beside, **rows}
    return render(request, "case.html", context)


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
    """The slides that pass the filters, and the context of the filter form."""
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
    """The context of one page of slides. count: of all slides, where it is known already."""
    page = page_of(request, found.order_by("-uploaded_at"), count=count)
    shown = list(page.object_list)
    rows = select_worklist_rows(slides=shown, user=request.user, min_score=settings.DEFAULT_MIN_SCORE)
    busy = any(row.job for row in rows)
    return {"page": page, "rows": rows, "busy": busy, "min_score": settings.DEFAULT_MIN_SCORE}
