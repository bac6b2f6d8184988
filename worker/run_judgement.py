"""A candidate against the active version on the locked cases."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any, cast

import cv2

from detector.errors import DataSetError
from detector.evaluation.compare import MitosisFreeSlide, compare_detectors
from detector.frames import LabelledFrame, cases_of
from webapp.jobs.stored import ShardFacts
from webapp.retraining.judgements import judgement_save
from webapp.retraining.models import Judgement, LabelledSet
from webapp.retraining.provenance import removed_now
from webapp.retraining.types import ComparisonVerdict
from webapp.slides.models import Slide
from worker.frames import working_frame
from worker.reviewed_slides import read_slides
from worker.shard import ClaimedShard
from worker.training_data import read_set
from worker.weights import scorer_of, shifts_of

MOST_CROPS = 60  # differing figures that are kept as pictures; all are counted


def run_judgement(shard: ClaimedShard) -> None:
    """Judge, and keep the figures on which the two differ as crops."""
    judgement = Judgement.objects.select_related("version", "active").get(job=shard.job)
    candidate, active = scorer_of(judgement.version), scorer_of(judgement.active)
    imported, free = _locked_frames(judgement), _free_slides(judgement)
    reviewed, parts = read_slides(judgement.reviewed)
    if not imported and not reviewed:
        raise DataSetError("the labelled sets and slides of the locked cases are not there any more; import them again")
    frames = [*imported, *reviewed]
    facts = ShardFacts(device=candidate.device_name, precision=candidate.precision)
    shard.begin(facts, total=len(frames) + len(free))
    compared, differences = compare_detectors(
        candidate, active, cases_of(frames), free=free, progress=shard.progress,
        shifts=(shifts_of(judgement.version), shifts_of(judgement.active)),
    )  # fmt: skip
    judgement.folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(differences[:MOST_CROPS]):
        _, data = cv2.imencode(".jpeg", one.crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        (judgement.folder / f"{number}.jpeg").write_bytes(data.tobytes())
        rows.append({k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(one).items() if k != "crop"})
    result = {
        **compared,
        "free_slides": len(free),
        "cases_imported": len({frame.case for frame in imported}),
        "cases_reviewed": len({frame.case for frame in reviewed}),
        "reviewed_parts": {"looked_at": len(reviewed), "of": parts},
        "left_out": judgement.left_out,
        "differences": rows,
        "differences_total": len(differences),
        "device": candidate.device_name,
        "at": time.time(),
    }
    shard.complete(lambda: judgement_save(judgement=judgement, result=cast(ComparisonVerdict, result)))


def _locked_frames(judgement: Judgement) -> list[LabelledFrame]:
    sets = LabelledSet.objects.filter(frames__case__in=judgement.cases).exclude(pk__in=removed_now().sets).distinct()
    return [frame for one in sets for frame in read_set(str(one.pk), one.sha256, judgement.cases) if frame.exhaustive]


def _free_slides(judgement: Judgement) -> list[MitosisFreeSlide]:
    """Those of the judgement that are still there."""
    slides = Slide.objects.filter(pk__in=judgement.slides, state=Slide.State.READY).select_related("case")
    return [
        MitosisFreeSlide(
            slide.name, slide.case.identifier, slide.tissue_mm2 or 0.0, partial(working_frame, slide), slide.scanner
        )
        for slide in slides.order_by("name")
    ]
