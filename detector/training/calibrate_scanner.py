"""Calibration for one scanner: a shift of its scores' log odds, from figures that people judged on its slides.

As in `calibrate`, score 0.5 is put into the middle of the thresholds with an F1 of at least 98 % of the best; here F1
is that of the judged figures, and the other slides keep their scores. The network does not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.errors import DataSetError
from detector.model.card import ScannerShift
from detector.model.checkpoint import load_beside, load_weights, save_weights

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def find_shift(logits: Floats, mitotic: Flags, *, missed: int = 0, present: float = 0.0) -> ScannerShift:
    """The shift at which score 0.5 lies in the middle of the thresholds with at least 98 % of the best F1.

    logits: (n,), log odds of the scores of the judged figures that the network has found, without any shift. mitotic:
    (n,), their verdicts.
    missed: mitotic figures that it has not found, so that no threshold finds them. present: the shift up to now, for
    `f1_before`. Raises DataSetError for fewer than `paper.SCANNER_FIGURES` figures, for verdicts that are all the same,
    and for logits that are no finite numbers.
    """
    if len(logits) < paper.SCANNER_FIGURES:
        raise DataSetError(
            f"there are {len(logits)} judged figures with a score, and a shift takes at least {paper.SCANNER_FIGURES}; "
            "judge more candidates on slides of this scanner"
        )
    if not np.isfinite(logits).all():
        raise DataSetError("the score of a judged figure is no finite number; detect on its slide again")
    if mitotic.all() or not mitotic.any():
        every = "mitotic" if mitotic.all() else "not mitotic"
        raise DataSetError(
            f"all {len(logits)} judged figures with a score are {every}, so no threshold tells them apart; "
            "judge candidates of the other kind as well"
        )
    thresholds = np.unique(logits)
    scores = np.array([_f1(logits, mitotic, missed, threshold) for threshold in thresholds])
    middle = float(np.median(thresholds[scores >= paper.CALIBRATED_F1 * scores.max()]))
    shift = math.ceil(-middle * 1e4) / 1e4  # upwards, so that a figure at the threshold itself stays above it
    return {
        "logit_shift": shift,
        "mitotic": int(mitotic.sum()) + missed,
        "non_mitotic": int((~mitotic).sum()),
        "missed": missed,
        "f1_before": round(_f1(logits, mitotic, missed, -present), 4),
        "f1_after": round(_f1(logits, mitotic, missed, -shift), 4),
    }


def calibrate_scanner(
    weights: Path, scanner: str, found: ScannerShift, out: Path, *, name: str, cases: Sequence[str] = (), at: str = ""
) -> Path:
    """Write `weights` with a scanner's shift to `out` (.safetensors), with its card. The network and what else there is
    stay: the coarse network, the shifts of other scanners, and the card, whose metrics are those without a shift.

    found: of `find_shift`. name: of the new weights. cases: names of the cases of the figures. at: ISO 8601.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    network, card = load_weights(weights)
    beside = load_beside(weights)
    entry: ScannerShift = {**found, "cases": sorted(set(cases)), "at": at}
    card["name"] = name
    card["scanner_shifts"] = {**card.get("scanner_shifts", {}), scanner: entry}
    beside["shifts"][scanner] = found["logit_shift"]
    save_weights(network, out, card, **beside)
    return out


def _f1(logits: Floats, mitotic: Flags, missed: int, threshold: float) -> float:
    """F1 of the figures with a logit of at least the threshold, the missed ones being in vain at each."""
    found = logits >= threshold
    right = int((found & mitotic).sum())
    return 2 * right / max(1, int(found.sum()) + int(mitotic.sum()) + missed)
