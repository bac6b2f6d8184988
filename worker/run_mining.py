"""One slide of a mining run: mine it, keep its samples; the last one ends the job."""

from __future__ import annotations

import time
from dataclasses import asdict

from django.db import transaction

from detector.detection.windows import plan_windows
from detector.mine import mine_slide
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import job_is_complete, job_succeed, shard_begin, shard_finish, shard_progress
from webapp.retraining.mining import mined_slide_save
from webapp.retraining.models import MinedSlide
from worker.frames import working_frame
from worker.memory import peak_memory_mb
from worker.patience import patiently
from worker.weights import scorer_of

_PROGRESS_SECONDS = 1.0


def run_mining(shard: Shard) -> None:
    """Mine the slide at the shard's index; one that was deleted in the meantime has nothing."""
    began = time.monotonic()
    run = shard.job.mining_run
    mined = MinedSlide.objects.filter(run=run, index=shard.index).select_related("slide", "run").first()
    if mined is None:
        patiently(lambda: shard_finish(shard=shard))
        return
    scorer = scorer_of(run.model)
    facts: dict[str, object] = {"device": scorer.device_name, "precision": scorer.precision}
    shard_begin(shard=shard, facts=facts)
    with working_frame(mined.slide) as frame:
        plan = plan_windows(frame)
        total, skipped = plan.windows_total, plan.windows_skipped
        said = 0.0

        def progress(done: int) -> None:
            nonlocal said
            if time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                shard_progress(shard=shard, done=done, total=total, skipped=skipped)

        samples, counters = mine_slide(
            scorer, frame, prefilter_score=run.first_look, tta_consensus=run.agreement, progress=progress
        )
    seconds = round(time.monotonic() - began, 2)
    rows = [(sample.x, sample.y, sample.scores) for sample in samples]

    def finish() -> None:
        with transaction.atomic():
            shard_progress(shard=shard, done=total, total=total, skipped=skipped)
            shard_finish(shard=shard, facts={**facts, "seconds": seconds, "peak_memory_mb": peak_memory_mb()})
            mined_slide_save(mined=mined, samples=rows, counters=asdict(counters), seconds=seconds)

    patiently(finish)


def end_mining(shard_pk: int) -> None:
    """End the job whose last slide is done; nothing to do for any other."""
    job = Job.objects.filter(shards__pk=shard_pk).first()
    if job is not None and job_is_complete(job_pk=job.pk):
        job_succeed(job=job)
