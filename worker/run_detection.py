"""One shard of a detection: claim (done before), read, detect, keep the cells; the last shard merges them."""

from __future__ import annotations

import io
import logging
import time
from typing import Any

import numpy as np
from django.db import connection, transaction

from detector import paper
from detector.detection.detect import Cells, place, scan
from detector.detection.windows import plan_windows
from detector.version import code_version
from webapp.annotations.services import run_save
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import JobStopped, job_is_complete, shard_begin, shard_finish, shard_progress
from webapp.registry.models import ModelVersion
from worker.frames import working_frame
from worker.memory import peak_memory_mb
from worker.patience import AWAY, patiently
from worker.weights import readers, scorer_of

_PROGRESS_SECONDS = 1.0

_log = logging.getLogger(__name__)


def run_detection(shard: Shard) -> None:
    """Score the shard's rectangles and keep the cells above the floor."""
    job, slide, began = shard.job, shard.job.slide, time.monotonic()
    model = ModelVersion.objects.get(pk=job.parameters["model"])
    assert slide is not None, "a detection is of a slide"
    shard_progress(shard=shard)
    scorer = scorer_of(model)
    facts: dict[str, Any] = {"device": scorer.device_name, "precision": scorer.precision}
    facts["cascade"] = scorer.uses_cascade(job.parameters["floor"])
    shard_begin(shard=shard, facts=facts)
    with working_frame(slide) as frame:
        plan = plan_windows(frame).part(shard.index, job.shards.count())
        said = 0.0

        def progress(done: int) -> None:
            nonlocal said
            if time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                try:
                    shard_progress(shard=shard, done=done, total=plan.windows_total, skipped=plan.windows_skipped)
                except AWAY as error:  # no reason to stop computing; the next word of progress may get through
                    _log.warning("shard %s: the database is away: %s", shard.pk, error)
                    connection.close()

        progress(plan.windows_skipped)
        cells = scan(scorer, frame, plan, floor=job.parameters["floor"], progress=progress, readers=readers())
    total, skipped, result = plan.windows_total, plan.windows_skipped, _packed(cells)
    facts |= {"seconds": round(time.monotonic() - began, 2), "peak_memory_mb": peak_memory_mb()}

    def finish() -> None:
        with transaction.atomic():
            shard_progress(shard=shard, done=total, total=total, skipped=skipped)
            shard_finish(shard=shard, result=result, facts=facts)

    patiently(finish)


def merge_detection(shard_pk: int) -> None:
    """Join the cells of all shards, suppress once, and write the run; nothing to do unless the job is complete."""
    job = Job.objects.select_related("slide").filter(shards__pk=shard_pk).first()
    if job is None or not job_is_complete(job_pk=job.pk):
        return
    slide, shards = job.slide, list(job.shards.all())
    model = ModelVersion.objects.get(pk=job.parameters["model"])
    assert slide is not None
    assert slide.mpp is not None
    cells = Cells.concatenate([_unpacked(shard.result) for shard in shards if shard.result])
    with working_frame(slide) as frame:
        found = place(cells, frame).at_least(job.parameters["floor"])
    stamp: dict[str, Any] = {
        "model": model,
        "model_sha256": model.sha256,
        "parameters": {
            "floor": job.parameters["floor"],
            "window": paper.WINDOW_SIZE,
            "overlap": paper.WINDOW_OVERLAP,
            "mirror_pad": paper.MIRROR_PAD,
            "nms_radius_um": paper.NMS_RADIUS * paper.WORKING_MPP,
            "working_mpp": list(frame.mpp),
            "glass_mean_rgb": paper.GLASS_MEAN_RGB,
            "shards": len(shards),
            # Of a job that began before there was one, its shards say nothing.
            "cascade": any(shard.facts.get("cascade", False) for shard in shards),
        },
        "mpp_x": slide.mpp[0],
        "mpp_y": slide.mpp[1],
        "code_version": code_version(),
        "device": ", ".join(sorted({shard.facts["device"] for shard in shards})),
        "precision": ", ".join(sorted({shard.facts["precision"] for shard in shards})),
        "windows_total": sum(shard.windows_total for shard in shards),
        "windows_skipped": sum(shard.windows_skipped for shard in shards),
    }
    rows = [(x, y, score) for (x, y), score in zip(found.xy.tolist(), found.scores.tolist(), strict=True)]
    try:
        run_save(job=job, stamp=stamp, candidates=rows)
    except JobStopped:
        return


def _packed(cells: Cells) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, m_xy=cells.m_xy, logits=cells.logits)
    return out.getvalue()


def _unpacked(data: bytes | memoryview) -> Cells:
    with np.load(io.BytesIO(bytes(data)), allow_pickle=False) as arrays:
        return Cells(arrays["m_xy"], arrays["logits"])
