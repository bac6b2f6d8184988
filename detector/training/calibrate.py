"""Calibration: one scale of scores for all sources, on which 0.5 is near the best F1 of each.

A network's logits have no scale of their own: a batch with one mitosis to four or five hard negatives teaches a prior
that no slide has. Scale and shift (`FigureScale`) are set afterwards, on slides of every source that were not learnt
from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from detector import paper
from detector.detection.cascade_recall import measure_recall, score_frames, set_recall_threshold
from detector.detection.scorer import Scorer
from detector.evaluation.evaluate import evaluate, measure_held_out, reliability
from detector.evaluation.metrics import Evaluation
from detector.frames import Case
from detector.model.card import Calibration, LeftOut, refuse_training_cases
from detector.model.checkpoint import load_beside, load_weights, save_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12

Floats = NDArray[np.float64]


def fit_scale(evaluations: Mapping[str, Evaluation], before: FigureScale) -> FigureScale:
    """The scale on which 0.5 serves all sources. evaluations: of each source, with scores on the scale `before`.

    0.5 becomes the middle of the thresholds at which F1, as a share of the best of each source, is on average at least
    98 % of what one threshold for all can reach. The steepness is the most likely one for what was a mitosis and what
    not, with that threshold fixed; every source weighs the same. `before` where nothing was found.
    """
    means = {source: _means(one, before) for source, one in evaluations.items() if _can_be_found(one)}
    if not means:
        return before
    thresholds = np.unique(np.concatenate(list(means.values())))
    shares = np.mean([_f1_shares(evaluations[source], means[source], thresholds) for source in means], axis=0)
    middle = float(np.median(thresholds[shares >= paper.CALIBRATED_F1 * shares.max()]))
    hits = {source: np.concatenate([frame.hits for frame in evaluations[source].frames]) for source in means}

    def unlikelihood(scale: float) -> float:
        logits = {source: scale * (means[source] - middle) for source in means}
        return float(np.mean([np.logaddexp(0, np.where(hits[s], -logits[s], logits[s])).mean() for s in means]))

    scale = float(minimize_scalar(unlikelihood, bounds=paper.FIGURE_SCALES, method="bounded").x)
    return FigureScale(scale, -scale * middle)


def calibrate(
    network: ResNet12, cases: Sequence[Case], figures: FigureScale | None = None, *, device: str = "auto"
) -> tuple[FigureScale, Calibration]:
    """The scale of scores for all sources of these cases, and what the card says of it. figures: the scale before,
    which does not change the result.

    F1 at 0.5 on the same cases is optimistic afterwards; max F1 does not change.
    """
    scale = FigureScale()  # on which much is turned that another would leave as it lies
    found = evaluate(Scorer(network, figures=scale, device=device, precision="fp32"), cases)
    parts = found.by_source()
    fitted = fit_scale(parts, scale)
    before = found.rescored(lambda scores: _moved(scores, scale, figures or scale))
    said: Calibration = {
        "on": [case.name for case in cases],
        "scale": round(fitted.scale, 4),
        "shift": round(fitted.shift, 4),
        "f1_at_0.5_before": round(before.counts().f1, 4),
        "reliability": {
            source: reliability(one.rescored(lambda s: _moved(s, scale, fitted))) for source, one in parts.items()
        },
    }
    return fitted, said


def calibrate_weights(
    weights: Path,
    cases: Sequence[Case],
    held_out: Sequence[Case],
    out: Path,
    *,
    course: Path | None = None,
    left_out: LeftOut | None = None,
) -> Path:
    """Write `weights` calibrated on some cases to `out`, with its card; what the card measures is on `held_out`.

    course: weights of the same training with the held-out cases left out, where `weights` have learnt from them: the
    scale is set, and everything measured, with these. The threshold of a coarse network is lowered where what is
    detected now needs it. Shifts of single scanners are kept: they come on top. left_out: for the card, as it is.
    Raises ValueError where what is measured was trained on a held-out case.
    """
    refuse_training_cases(course or weights, {case.name for case in held_out})
    out.parent.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
    network, card = load_weights(weights)
    measured, measured_card = load_weights(course) if course else (network, card)
    beside = load_beside(weights)
    figures, said = calibrate(measured, cases, beside["figures"])
    card |= {"name": out.stem, "calibration": said}
    if left_out:
        card["left_out"] = left_out
    measure_held_out(card, Scorer(measured, figures=figures, precision="fp32"), held_out)
    if course:
        card["measured_by"] = {
            "name": measured_card.get("name"),
            "sha256": measured_card["sha256"],
            "iterations": measured_card.get("iterations"),
            "data": measured_card.get("data"),
        }
    coarse = beside["coarse"]
    if coarse is not None:
        outputs = score_frames(network, cases, figures)
        set_recall_threshold(coarse, outputs, never_less=True)
        scorer = Scorer(network, coarse=coarse, figures=figures, device="cpu", precision="fp32")
        card.setdefault("coarse", {})["kept"] = {"calibrated_on": asdict(measure_recall(scorer, outputs))}
    beside["figures"] = figures
    save_weights(network, out, card, **beside)
    return out


def _can_be_found(evaluation: Evaluation) -> bool:
    return any(frame.truths for frame in evaluation.frames) and any(frame.hits.any() for frame in evaluation.frames)


def _means(evaluation: Evaluation, scale: FigureScale) -> Floats:
    """Mean logits of all detections of an evaluation, frame by frame."""
    return scale.means(np.concatenate([frame.scores for frame in evaluation.frames]))


def _moved(scores: Floats, before: FigureScale, after: FigureScale) -> Floats:
    """Scores on one scale, on another."""
    return after.scores(before.means(scores))


def _f1_shares(evaluation: Evaluation, means: Floats, thresholds: Floats) -> Floats:
    """F1 of a source at each of some thresholds, rising, as a share of its best."""
    hits = np.concatenate([frame.hits for frame in evaluation.frames])
    truths = sum(frame.truths for frame in evaluation.frames)
    order = np.argsort(means)
    first = np.searchsorted(means[order], thresholds)  # detections from there on are at the threshold or above
    right = np.append(hits[order][::-1].cumsum()[::-1], 0)[first]
    f1 = 2 * right / np.maximum(len(means) - first + truths, 1)
    return np.asarray(f1 / f1.max())
