"""Calibration: the logits are shifted so that score 0.5, from which detections count, is where F1 is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from detector import paper
from detector.detection.cascade_recall import measure_recall, score_frames, set_recall_threshold
from detector.detection.scorer import Scorer, logit
from detector.evaluation.evaluate import evaluate, measure_held_out
from detector.frames import Case
from detector.model.card import Calibration, refuse_training_cases
from detector.model.checkpoint import load_coarse, load_shifts, load_weights, save_weights
from detector.model.network import ResNet12


@torch.no_grad()
def calibrate(network: ResNet12, cases: Sequence[Case], *, device: str = "auto") -> Calibration:
    """Shift the logits so that 0.5 lies in the middle of the thresholds with an F1 of at least 98 % of the best.

    Changes the network in place and returns the calibration for the card. F1 at 0.5 on the same cases is optimistic
    afterwards; max F1 does not change.
    """
    before = evaluate(Scorer(network, device=device, precision="fp32"), cases)
    curve = [(threshold, counts.f1) for threshold, counts in before.curve()]
    best = max((f1 for _, f1 in curve), default=0.0)
    good = [logit(min(threshold, 0.999)) for threshold, f1 in curve if f1 >= paper.CALIBRATED_F1 * best]
    shift = -float(np.median(good)) if best else 0.0
    bias = network.classifier.bias
    assert bias is not None
    bias[1] += shift
    return {
        "on": [case.name for case in cases],
        "logit_shift": round(shift, 4),
        "f1_at_0.5_before": round(before.counts().f1, 4),
    }


def calibrate_weights(weights: Path, cases: Sequence[Case], held_out: Sequence[Case], out: Path) -> Path:
    """Write `weights` calibrated on some cases to `out`, with its card; what the card measures is on `held_out`.

    The threshold of a coarse network is lowered where the shift needs it. Shifts of single scanners are kept: they come
    on top. Raises ValueError where the weights were
    trained on a held-out case.
    """
    refuse_training_cases(weights, {case.name for case in held_out})
    out.parent.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
    network, card = load_weights(weights)
    card |= {"name": out.stem, "calibration": calibrate(network, cases)}
    measure_held_out(card, Scorer(network, precision="fp32"), held_out)
    coarse = load_coarse(weights)
    if coarse is not None:
        outputs = score_frames(network, cases)
        set_recall_threshold(coarse, outputs, never_less=True)
        scorer = Scorer(network, coarse=coarse, device="cpu", precision="fp32")
        card.setdefault("coarse", {})["kept"] = {"calibrated_on": asdict(measure_recall(scorer, outputs))}
    save_weights(network, out, card, coarse=coarse, shifts=load_shifts(weights))
    return out
