"""The slide page: viewer, detection, review, count."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from webapp.annotations.models import Run
from webapp.exchange.exports import FORMATS
from webapp.results.question import Counting, question
from webapp.slides.blinding import refusal
from webapp.slides.models import Reading, Slide
from webapp.slides.opened import slide_page_opened
from webapp.slides.roles import Right, may
from webapp.slides.selectors import readers_by_study
from webapp.slides.services import may_set_mpp

# One and ten fields of 0.5 and 0.55 mm diameter, and round areas.
_AREAS_MM2 = ("0.196", "0.237", "0.5", "1", "1.96", "2", "2.37", "3")
# Preloaded by the page: the browser fetches them at once, not one import after the other.
_VIEWER = settings.BASE_DIR / "static" / "viewer"
_MODULES = sorted(path.relative_to(_VIEWER).as_posix() for path in _VIEWER.rglob("*.js"))


@login_required
def slide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Viewer, detection, review and count of one slide."""
    slides = Slide.objects.visible_to(request.user).select_related("case__study", "reader")
    if Reading.objects.filter(slide=pk, reader=request.user.pk, over_at=None).exists():
        return redirect("readings")  # which the person reads on a copy
    found: Slide = get_object_or_404(slides, pk=pk)
    slide_page_opened(slide=found, user=request.user)
    runs = Run.objects.filter(slide=found).select_related("model")
    asked = request.GET.get("run")
    run = run_asked(runs, asked) if asked else runs.first()
    rights = {right: may(right, user=request.user, study=found.case.study_id) for right in (Right.JUDGE, Right.UPLOAD)}
    refused = refusal(found, request.user) if rights[Right.JUDGE] else None  # type: ignore[arg-type]
    config = {
        "slide": str(found.pk),
        "width": found.width,
        "height": found.height,
        "mpp": found.mpp,
        "state": found.state,
        "run": str(run.pk) if run else None,
        "defaultScore": settings.DEFAULT_MIN_SCORE,
        "floor": settings.STORED_SCORE_FLOOR,
        "matchUm": settings.MATCH_RADIUS_UM,
        "person": request.user.get_username(),
        "atypical": found.case.study.atypical,
        "mayJudge": rights[Right.JUDGE] and refused is None,
    }
    context = {
        "slide": found,
        "shown": found.state in {Slide.State.READY, Slide.State.NEEDS_MPP},
        "run": run,
        "others": [other for other in runs if other != run],
        "config": config,
        "modules": _MODULES,
        "exports": FORMATS.items(),
        "counting": {
            "rules": settings.SCORE_RULES.values(),
            "asked": question(study=Counting.of(found.case.study)),
            "areas": _AREAS_MM2,
            "shapes": {"circle": "circle", "square": "square", "fields": "ten fields"}.items(),
        },
        "readers": readers_by_study(slides=[found], user=request.user)[found.case.study_id],
        "may_judge": config["mayJudge"],
        "may_upload": rights[Right.UPLOAD] and found.original_id is None,
        "reading": Reading.objects.filter(copy=found).first(),
        "refused": refused,
        "may_set_mpp": may_set_mpp(slide=found, user=request.user),  # type: ignore[arg-type]
    }
    return render(request, "slide.html", context)


def run_asked(runs: QuerySet[Run], asked: str) -> Run:
    """The run with this id; Http404 where there is none."""
    try:
        return get_object_or_404(runs, pk=asked)
    except ValidationError as error:  # no id at all
        raise Http404 from error
