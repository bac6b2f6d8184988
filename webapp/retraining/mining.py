"""Mining unlabelled slides (3.2): request, storage, verdicts and rejection of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from webapp.annotations.models import Label
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.jobs.stored import MineParameters
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_active
from webapp.retraining.locked_cases import refuse_locked
from webapp.retraining.models import MinedSample, MinedSlide, MiningRun
from webapp.slides.models import Slide


def mining_request(
    *, slides: Sequence[Slide], by: User, model: ModelVersion | None = None,
    first_look: float = settings.MINING_FIRST_LOOK, agreement: float = settings.MINING_AGREEMENT,
) -> MiningRun:  # fmt: skip
    """Queue a mining run over unlabelled slides. Refuses locked cases and slides that are not ready."""
    if not slides:
        raise InvalidInput("Choose at least one slide to mine.")
    for name, value in (("first_look", first_look), ("agreement", agreement)):
        if not 0 < value < 1:
            raise InvalidInput(f"{name} lies between 0 and 1.")
    refuse_locked({slide.case.identifier for slide in slides})
    if unready := [slide.name for slide in slides if slide.state != Slide.State.READY or slide.mpp is None]:
        raise DomainError(f"Not ready to be mined: {', '.join(unready[:5])}. Mine when they are, or without them.")
    model = model or version_active()
    with transaction.atomic():
        parameters = MineParameters(slides=tuple(str(slide.pk) for slide in slides))
        job = job_create(kind=Job.Kind.MINE, by=by, shards=len(slides), parameters=parameters)
        run: MiningRun = MiningRun.objects.create(job=job, model=model, first_look=first_look, agreement=agreement)
        MinedSlide.objects.bulk_create(MinedSlide(run=run, slide=s, index=i) for i, s in enumerate(slides))
    return run


def mined_slide_save(
    *, mined: MinedSlide, samples: Iterable[tuple[float, float, Sequence[float]]], counters: dict[str, int],
    seconds: float,
) -> None:  # fmt: skip
    """Store the samples (x, y, eight confidences) of one slide, each with its number in the random draw."""
    with transaction.atomic():
        MinedSample.objects.filter(run=mined.run, slide=mined.slide).delete()
        MinedSample.objects.bulk_create(
            MinedSample(
                run=mined.run, slide=mined.slide, x=x, y=y, scores=list(scores), least=min(scores),
                draw=_draw(f"{mined.run_id}:{mined.index}:{number}"),
            )
            for number, (x, y, scores) in enumerate(samples)
        )  # fmt: skip
        MinedSlide.objects.filter(pk=mined.pk).update(counters=counters, seconds=seconds)


def mined_sample_judge(*, sample: MinedSample, label: Label, by: User) -> MinedSample:
    """Give a verdict on a mined sample. One that is not mitotic, or unsure, is left out of training."""
    if label not in Label.values:
        raise InvalidInput(f"A verdict is one of {', '.join(value or 'empty' for value in Label.values)}.")
    with transaction.atomic():
        before = {"sample": sample.pk, "verdict": sample.verdict}
        sample.verdict, sample.verdict_by, sample.verdict_at = label, by, timezone.now()
        sample.save(update_fields=["verdict", "verdict_by", "verdict_at"])
        record(Action.MINED_JUDGED, sample.run, who=by, before=before, after={**before, "verdict": label})
    return sample


def mined_samples_reject(
    *, run: MiningRun, by: User, sample: int | None = None, slide: UUID | None = None, below: float | None = None
) -> int:
    """Leave samples out of training: one, those of a slide, or those with a least confidence below a value."""
    samples = run.samples.exclude(rejected__in=MinedSample.BY_RULE)
    if sample is not None:
        samples, why = samples.filter(pk=sample), MinedSample.Rejected.ONE
    elif slide is not None:
        samples, why = samples.filter(slide=slide), MinedSample.Rejected.SLIDE
    elif below is not None:
        samples, why = samples.filter(least__lt=below), MinedSample.Rejected.SCORE
    else:
        raise InvalidInput("Name what to reject: a sample, a slide, or a confidence (below).")
    with transaction.atomic():
        count = samples.update(rejected=why, rejected_by=by, rejected_at=timezone.now())
        chosen = {"sample": sample, "slide": slide, "below": below}
        record(Action.MINED_JUDGED, run, who=by, after={"rejected": count, **chosen})
    return count


def mined_samples_restore(*, run: MiningRun) -> int:
    """Undo all rejections of a mining run; verdicts stay."""
    rejected = run.samples.exclude(rejected=MinedSample.Rejected.NO)
    with transaction.atomic():
        count = rejected.update(rejected=MinedSample.Rejected.NO, rejected_by=None, rejected_at=None)
        record(Action.MINED_JUDGED, run, before={"rejected": count})
    return count


def _draw(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48
