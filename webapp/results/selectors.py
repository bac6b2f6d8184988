"""Counting: the number of mitotic figures of a slide, and what it rests on."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery

from webapp.annotations.models import Run
from webapp.annotations.selectors import candidates_in
from webapp.jobs.models import Job
from webapp.jobs.states import OPEN, State
from webapp.slides.models import Slide


def mitosis_count(*, slide: Slide, run: Run, min_score: float) -> dict[str, Any]:
    """The count of a run at a threshold. Without um/px there is no area, hence no density, and `reason` says so."""
    count = candidates_in(run=run, min_score=min_score).count()
    tissue_mm2 = slide.tissue_mm2
    per_mm2 = count / tissue_mm2 if tissue_mm2 else None
    if slide.mpp is None:
        reason = "The um/px of this slide is not known."
    elif not tissue_mm2:
        reason = "No tissue was found on this slide."
    else:
        reason = ""
    return {
        "slide": slide.pk,
        "run": run.pk,
        "min_score": min_score,
        "count": count,
        "tissue_mm2": tissue_mm2,
        "count_per_mm2": per_mm2,
        "reason": reason,
        "ai": {"count": count, "count_per_mm2": per_mm2},
        "reviewed": None,
        "model": {"name": run.model.name, "sha256": run.model_sha256},
        "parameters": run.parameters,
        "mpp": [run.mpp_x, run.mpp_y],
        "code_version": run.code_version,
        "detected_at": run.created_at,
        "use": "research use only",
    }


def worklist_rows(*, slides: list[Slide], min_score: float) -> list[dict[str, Any]]:
    """Of each slide: its count by the newest run, None before there is one, and the job that is under way on it."""
    newest = Run.objects.filter(slide=OuterRef("slide")).order_by("-created_at").values("pk")[:1]
    runs = Run.objects.filter(slide__in=slides, pk=Subquery(newest))
    over = Count("candidates", filter=Q(candidates__score__gte=min_score))
    counts = dict(runs.annotate(over=over).values_list("slide_id", "over"))
    jobs = {job.slide_id: job for job in Job.objects.filter(slide__in=slides, state__in=OPEN).order_by("-created_at")}
    failed = {
        job.slide_id: job
        for job in Job.objects.filter(slide__in=slides, state=State.FAILED, run=None).order_by("created_at")
    }
    return [
        {
            "slide": slide,
            "count": counts.get(slide.pk),
            "per_mm2": counts[slide.pk] / slide.tissue_mm2 if slide.pk in counts and slide.tissue_mm2 else None,
            "job": jobs.get(slide.pk),
            "failed": failed.get(slide.pk) if slide.pk not in counts else None,
        }
        for slide in slides
    ]
