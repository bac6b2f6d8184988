"""The shift of a scanner: found from judged figures, written into weights of their own."""

from __future__ import annotations

from typing import cast

import numpy as np
from django.utils import timezone

from detector.detection.scorer import logit
from detector.errors import WeightsError
from detector.model.card import read_card
from detector.model.checkpoint import load_shifts
from detector.training.calibrate_scanner import calibrate_scanner, find_shift
from webapp.annotations.models import Label
from webapp.jobs.stored import ShardFacts
from webapp.registry.services import version_weights
from webapp.retraining.calibrations import calibrated_name, calibration_finish
from webapp.retraining.models import ScannerCalibration
from webapp.retraining.types import CalibrationFigure, CalibrationResult
from worker.shard import ClaimedShard

_HIGHEST = 1 - 1e-9  # score: a logit of 20, above which scores are stored as 1


def run_calibration(shard: ClaimedShard) -> None:
    """Find the shift, write the weights with it, and register them as a candidate."""
    calibration = ScannerCalibration.objects.select_related("parent", "job__requested_by").get(job=shard.job)
    figures = cast(list[CalibrationFigure], calibration.figures)
    shard.begin(ShardFacts(), total=len(figures))
    weights = version_weights(version=calibration.parent)
    if read_card(weights)["sha256"] != calibration.parent.sha256:
        raise WeightsError(f"the weights {weights.name} have changed since they were registered; register them anew")
    scored = [(_logit(one["score"]) - one["logit_shift"], one) for one in figures if one["score"] is not None]
    present = load_shifts(weights).get(calibration.scanner, 0.0)
    found = find_shift(
        np.array([value for value, _ in scored], dtype=np.float64),
        np.array([one["label"] == Label.MITOTIC for _, one in scored], dtype=bool),
        missed=sum(one["score"] is None and one["label"] == Label.MITOTIC for one in figures),
        present=present,
    )
    calibrate_scanner(
        weights,
        calibration.scanner,
        found,
        calibration.folder / "weights.safetensors",
        name=calibrated_name(calibration.parent, calibration.scanner),
        cases=[one["case"] for one in figures],
        at=timezone.now().isoformat(timespec="seconds"),
    )
    result = cast(CalibrationResult, {**found, "before": present})
    shard.complete(lambda: calibration_finish(calibration=calibration, result=result))


def _logit(score: float) -> float:
    return logit(min(score, _HIGHEST))
