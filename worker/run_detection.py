"""One shard of a detection: claim (done before), read, detect, keep the cells; the last shard merges them."""

from __future__ import annotations

import io
import logging

import numpy as np
from django.conf import settings

from detector import paper
from detector.detection.atypical import atypical_on_slide
from detector.detection.detect import Cells, place, scan
from detector.detection.windows import plan_windows
from detector.version import code_version
from webapp.annotations.services import RunStamp, run_save
from webapp.jobs.models import Job
from webapp.jobs.services import JobStopped, job_is_complete
from webapp.jobs.stored import DetectParameters, ShardFacts
from webapp.registry.models import ModelVersion
from webapp.results.count import count_ahead
from worker.frames import working_frame
from worker.shard import ClaimedShard
from worker.weights import atypical_scorer_of, fit_of, readers, scorer_of

_log = logging.getLogger(__name__)


def run_detection(shard: ClaimedShard) -> None:
    """Score the shard's rectangles, with the shift of the slide's scanner, and keep the cells above the floor."""
    job, slide = shard.job, shard.job.slide
    asked = DetectParameters.from_json(job.parameters)
    model = ModelVersion.objects.get(pk=asked.model)
    assert slide is not None, "a detection is of a slide"
    with working_frame(slide) as frame:
        fit = fit_of(model, slide, frame)
        scorer = fit.scorer(scorer_of(model))
        cascade = scorer.uses_cascade(paper.PEAK_FLOOR)
        shard.begin(
            ShardFacts(device=scorer.device_name, precision=scorer.precision, cascade=cascade, fit=fit.parameters())
        )
        plan = plan_windows(frame).part(shard.index, job.shards.count())
        shard.plan(total=plan.windows_total, skipped=plan.windows_skipped)
        cells = scan(scorer, frame, plan, progress=shard.progress, readers=readers())
    shard.complete(result=_packed(cells), ends_job=False)


def merge_detection(shard_pk: int) -> None:
    """Join the cells of all shards, suppress once, and write the run; nothing to do unless the job is complete."""
    job = Job.objects.select_related("slide__case__study").filter(shards__pk=shard_pk).first()
    if job is None or not job_is_complete(job_pk=job.pk):
        return
    slide, shards = job.slide, list(job.shards.all())
    asked, facts = DetectParameters.from_json(job.parameters), [ShardFacts.from_json(s.facts) for s in shards]
    model = ModelVersion.objects.get(pk=asked.model)
    assert slide is not None
    assert slide.mpp is not None
    cells = Cells.concatenate([_unpacked(shard.result) for shard in shards if shard.result])
    with working_frame(slide) as frame:
        found = place(cells, frame).at_least(asked.floor)
        scorer = atypical_scorer_of(model) if slide.case.study.atypical else None
        counted = int((found.scores >= settings.DEFAULT_MIN_SCORE).sum())  # best first
        likely = atypical_on_slide(scorer, frame, found.xy[:counted]).tolist() if scorer else []
    stamp = RunStamp(
        model=model,
        model_sha256=model.sha256,
        parameters={
            "floor": asked.floor,
            "window": paper.WINDOW_SIZE,
            "overlap": paper.WINDOW_OVERLAP,
            "mirror_pad": paper.MIRROR_PAD,
            "nms_radius_um": paper.um(paper.NMS_RADIUS),
            "working_mpp": list(frame.mpp),
            "glass_brightness": paper.GLASS_BRIGHTNESS,
            "glass_stain": paper.GLASS_STAIN,
            "frame_edge": paper.FRAME_EDGE if frame.cut else 0,
            "shards": len(shards),
            # Of a job that began before there was one, its shards say nothing.
            "cascade": any(fact.cascade for fact in facts),
            **next((fact.fit for fact in facts if fact.fit), {"logit_shift": 0.0}),
        },
        mpp_x=slide.mpp[0],
        mpp_y=slide.mpp[1],
        code_version=code_version(),
        device=", ".join(sorted({fact.device or "" for fact in facts})),
        precision=", ".join(sorted({fact.precision or "" for fact in facts})),
        windows_total=sum(shard.units_total for shard in shards),
        windows_skipped=sum(shard.units_skipped for shard in shards),
    )
    rows = [(x, y, score) for (x, y), score in zip(found.xy.tolist(), found.scores.tolist(), strict=True)]
    try:
        run = run_save(job=job, stamp=stamp, candidates=rows, atypical=likely)
    except JobStopped:
        return
    try:
        count_ahead(run=run)
    except Exception:  # the run is there; who opens the slide counts, or is told why not
        _log.exception("the count of run %s could not be made ahead", run.pk)


def _packed(cells: Cells) -> bytes:
    out = io.BytesIO()
    assert cells.figures is not None
    np.savez_compressed(out, m_xy=cells.m_xy, logits=cells.logits, figures=cells.figures)
    return out.getvalue()


def _unpacked(data: bytes | memoryview) -> Cells:
    with np.load(io.BytesIO(bytes(data)), allow_pickle=False) as arrays:
        if "figures" not in arrays:  # of a job that began before there were any: its peaks are its figures
            return Cells(arrays["m_xy"], arrays["logits"], arrays["logits"])
        return Cells(arrays["m_xy"], arrays["logits"], arrays["figures"])
