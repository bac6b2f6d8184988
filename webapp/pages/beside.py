"""Two slides beside each other, or one slide under two runs, moved together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.annotations.models import Run
from webapp.pages.slide import run_asked
from webapp.slides.models import Slide
from webapp.slides.opened import slide_page_opened


@login_required
def beside(request: HttpRequest, pk: UUID, other: UUID) -> HttpResponse:
    """`?left=` and `?right=` name the runs whose candidates are drawn, the newest of each slide by default."""
    sides = [_side(request, "left", pk), _side(request, "right", other)]
    return render(request, "beside.html", {"sides": sides})


def _side(request: HttpRequest, side: str, pk: UUID) -> dict[str, Any]:
    shown = Slide.objects.visible_to(request.user).filter(state__in=(Slide.State.READY, Slide.State.NEEDS_MPP))
    slide: Slide = get_object_or_404(shown.select_related("case__study"), pk=pk)
    slide_page_opened(slide=slide, user=request.user)
    runs = Run.objects.filter(slide=slide).select_related("model")
    run = run_asked(runs, request.GET[side]) if side in request.GET else runs.first()
    config = {"slide": str(pk), "width": slide.width, "height": slide.height, "mpp": slide.mpp}
    return {"name": side, "slide": slide, "run": run, "config": {**config, "run": str(run.pk) if run else None}}
