"""One slide of a mining run: mine it, keep its samples; the last one ends the job."""

from __future__ import annotations

from dataclasses import asdict

from detector.detection.windows import plan_windows
from detector.mine import mine_slide
from webapp.jobs.models import Job
from webapp.jobs.services import job_is_complete, job_succeed
from webapp.jobs.stored import ShardFacts
from webapp.retraining.mining import mined_slide_save
from webapp.retraining.models import MinedSlide
from worker.frames import working_frame
from worker.shard import ClaimedShard
from worker.weights import fit_of, scorer_of


def run_mining(shard: ClaimedShard) -> None:
    """Mine the slide at the shard's index; one that was deleted meanwhile has nothing."""
    run = shard.job.mining_run
    mined = MinedSlide.objects.filter(run=run, index=shard.index).select_related("slide", "run").first()
    if mined is None:
        shard.complete(ends_job=False)
        return
    scorer = scorer_of(run.model)
    shard.begin(ShardFacts(device=scorer.device_name, precision=scorer.precision))
    with working_frame(mined.slide) as frame:
        plan = plan_windows(frame)
        shard.plan(total=plan.windows_total, skipped=plan.windows_skipped)
        scorer = fit_of(run.model, mined.slide, frame).scorer(scorer)
        samples, counters = mine_slide(
            scorer,
            frame,
            prefilter_score=run.first_look,
            tta_consensus=run.agreement,
            progress=shard.progress,
        )
    rows = [(sample.x, sample.y, sample.scores) for sample in samples]
    seconds = shard.seconds
    shard.complete(
        lambda: mined_slide_save(mined=mined, samples=rows, counters=asdict(counters), seconds=seconds), ends_job=False
    )


def end_mining(shard_pk: int) -> None:
    """End the job whose last slide is done; nothing to do for any other."""
    job = Job.objects.filter(shards__pk=shard_pk).first()
    if job is not None and job_is_complete(job_pk=job.pk):
        job_succeed(job=job)
