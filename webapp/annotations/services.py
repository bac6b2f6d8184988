"""Asking for detections, and writing them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from webapp.annotations.models import Candidate, Run
from webapp.errors import DomainError
from webapp.jobs.models import Job
from webapp.jobs.services import JobStopped, job_create, job_succeed
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_active
from webapp.slides.models import Slide


def detection_request(*, slide: Slide, by: User | None, model: ModelVersion | None = None) -> Job:
    """Queue the detection of a slide by a model version (the active one by default)."""
    if slide.state == Slide.State.NEEDS_MPP:
        raise DomainError("The um/px of this slide is not known; enter it first, then mitoses can be found.")
    if slide.state != Slide.State.READY:
        raise DomainError(f"This slide is {slide.get_state_display()}; mitoses can be found when it is ready.")
    model = model or version_active()
    parameters = {"model": str(model.pk), "floor": settings.STORED_SCORE_FLOOR}
    return job_create(kind=Job.Kind.DETECT, slide=slide, by=by, parameters=parameters, shards=settings.DETECT_SHARDS)


def detection_request_if_wanted(*, slide: Slide) -> Job | None:
    """Queue the detection that was asked for with the upload, once the slide is ready for it."""
    if slide.state != Slide.State.READY or not slide.wants_detection:
        return None
    with transaction.atomic():
        job = detection_request(slide=slide, by=slide.uploaded_by)
        Slide.objects.filter(pk=slide.pk).update(wants_detection=False)
    return job


def run_save(*, job: Job, stamp: dict[str, Any], candidates: Iterable[tuple[float, float, float]]) -> Run:
    """Write the candidates (x, y, score) of a job and end it, in one transaction. JobStopped where it ended before."""
    with transaction.atomic():
        if not job_succeed(job=job):
            raise JobStopped(f"{job.pk} was merged or stopped by somebody else")
        rows = list(candidates)
        run: Run = Run.objects.create(slide_id=job.slide_id, job=job, candidate_count=len(rows), **stamp)
        Candidate.objects.bulk_create(
            (Candidate(run=run, x=x, y=y, score=score) for x, y, score in rows), batch_size=5000
        )
    return run
