"""Blinded readings: one's own, those of a study, and what readers disagree on."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from webapp.api.readings import ReaderStudySerializer, reader_study, slides_seen
from webapp.core.errors import DomainError, InvalidInput
from webapp.core.tables import rounded
from webapp.pages.csv_file import csv_file
from webapp.pages.pagination import MOST_CHOICES, SAMPLES, page_of
from webapp.readings.selectors import (
    agreements,
    disputes_of,
    figure_rows,
    is_open,
    read_slides,
    readings_of,
    slide_rows,
    slides_read,
    slides_unread,
)
from webapp.readings.services import MOST_WASH_OUT, reading_open
from webapp.slides.models import Reading, Study
from webapp.slides.roles import ROLES, Right, may

_ROUNDS = {"shown": [True], "hidden": [False], "hidden-shown": [False, True], "shown-shown": [True, True]}
_AGREEMENT = (
    "first", "second", "slides", "figures", "agreement", "Cohen's kappa", "mean difference", "low", "high",
    "scored slides", "same score", "kappa of scores",
)  # fmt: skip
_FIGURES = ("case", "slide", "x", "y", "rater", "label")
_SLIDES = ("case", "slide", "rater", "mitotic figures", "per mm²", "mitotic score")


@login_required
def readings(request: HttpRequest) -> HttpResponse:
    """What the person reads blinded, in order. POST `open` goes to the own copy of a slide."""
    mine = readings_of(request.user)
    if request.method == "POST":
        asked = request.POST.get("open", "")
        reading: Reading = get_object_or_404(mine, pk=int(asked) if asked.isdecimal() else 0)
        try:
            return redirect("slide", pk=reading_open(reading=reading).pk)
        except DomainError as error:
            messages.error(request, str(error))
            return redirect("readings")
    page = page_of(request, mine)
    left = [one for one in mine if one.done_at is None]
    rows = [{"reading": one, "open": is_open(one)} for one in page.object_list]
    return render(request, "readings.html", {"page": page, "rows": rows, "left": len(left), "of": mine.count()})


@login_required
def study_readings(request: HttpRequest, pk: int) -> HttpResponse:
    """Who reads which slides, how well they agree, and for managers the way to begin; `?csv=` is one of the tables."""
    study: Study = get_object_or_404(Study.objects.visible_to(request.user), pk=pk)
    manages = may(Right.MANAGE, user=request.user, study=pk)
    if request.method == "POST":
        if not manages:
            raise PermissionDenied
        try:
            made = _begin(request, study)
            messages.success(request, f"{made} readings begin. Each reader finds them under My readings.")
        except DomainError as error:
            messages.error(request, str(error))
        return redirect("study-readings", pk=pk)
    seen = slides_seen(request.user, study)
    read = read_slides(slides=seen)
    pairs, together = agreements(read)
    rows = [
        (
            *(one.first, one.second, one.slides, one.figures, rounded(one.agreed), rounded(one.kappa)),
            *(rounded(one.difference), *map(rounded, one.limits or (None, None))),
            *(one.scores, rounded(one.same_score), rounded(one.score_kappa)),
        )
        for one in pairs
    ]
    if "csv" in request.GET:
        tables: dict[str, list[tuple[Any, ...]]] = {
            "agreement": [_AGREEMENT, *rows],
            "figures": [_FIGURES, *figure_rows(read)],
            "slides": [_SLIDES, *slide_rows(read)],
        }
        if request.GET["csv"] not in tables:
            raise Http404
        return csv_file(f"study-{pk}-{request.GET['csv']}", tables[request.GET["csv"]])
    members = study.memberships.filter(role__in=ROLES[Right.JUDGE], user__is_active=True).select_related("user")
    context = {
        "study": study,
        "manages": manages,
        "page": page_of(request, slides_read(study=study)),
        "over": len(read),
        "columns": _AGREEMENT,
        "rows": rows,
        "together": together,
        "now": timezone.now(),
        "disputes": disputes_of(slides=seen).count(),
        "members": [one.user for one in members.order_by("user__username")],
        "unread": slides_unread(study=study)[:MOST_CHOICES] if manages else [],
        "rounds": "hidden" if study.candidates_hidden else "shown",
        "most_wash_out": MOST_WASH_OUT,
    }
    return render(request, "study_readings.html", context)


@login_required
def disagreements(request: HttpRequest, pk: int) -> HttpResponse:
    """The figures on which blinded readers disagree, settled by keys."""
    study: Study = get_object_or_404(Study.objects.visible_to(request.user), pk=pk)
    page = page_of(request, disputes_of(slides=slides_seen(request.user, study)), SAMPLES)
    rows = [
        {"figure": one, "mine": any(said.by_id == request.user.pk for said in one.said)} for one in page.object_list
    ]
    judges = may(Right.JUDGE, user=request.user, study=pk)
    return render(request, "disagreements.html", {"study": study, "page": page, "rows": rows, "may_judge": judges})


def _begin(request: HttpRequest, study: Study) -> int:
    """Begin what the form asks for, by the checks of the API; how many readings that makes. Raises InvalidInput."""
    sent = request.POST
    asked = ReaderStudySerializer(
        data={
            "slides": sent.getlist("slides"),
            "readers": sent.getlist("readers"),
            "rounds": _ROUNDS.get(sent.get("rounds", ""), [True]),
            "wash_out_days": sent.get("wash_out_days") or 0,
            "shuffled": "shuffled" in sent,
        }
    )
    if not asked.is_valid():
        field, why = next(iter(asked.errors.items()))
        raise InvalidInput(f"{field.replace('_', ' ')}: {_first(why)}")
    values: dict[str, Any] = asked.validated_data
    return len(reader_study(study, by=cast(User, request.user), **values))


def _first(why: Any) -> str:
    while isinstance(why, list | dict):
        why = next(iter(why.values() if isinstance(why, dict) else why))
    return str(why)
