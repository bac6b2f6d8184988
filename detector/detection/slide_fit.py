"""How weights fit a slide: the shift of its scanner, and whether its stain and scanner are among those known.

A slide whose stain lies outside of the training range is scored at every cell: the coarse network of a cascade was
distilled on stains within it, and its threshold set there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector import paper
from detector.detection.scorer import Scorer
from detector.frames import LabStatistics, lab_statistics
from detector.model.card import Card
from detector.model.stains import stain_outside
from detector.slide import Frame
from detector.slide.tissue import tissue_mask

_BLOCK = 64  # px of the picture of the slide in which tissue is looked for


@dataclass(frozen=True)
class SlideFit:
    """logit_shift: of the slide's scanner, 0 without one. scanner_known, stain_known: None where the card does not say
    what is known. stain: of the slide's tissue, None where it was not measured or there is no tissue."""

    logit_shift: float = 0.0
    scanner_known: bool | None = None
    stain_known: bool | None = None
    stain: LabStatistics | None = None

    def scorer(self, scorer: Scorer) -> Scorer:
        """The scorer for this slide: with the shift of its scanner, and without the cascade where the stain is not
        known."""
        return scorer.adjusted(logit_shift=self.logit_shift, cascade=self.stain_known is not False)

    def parameters(self) -> dict[str, Any]:
        """For the stamp of a run, ready for JSON: `logit_shift`, and what is known of scanner and stain."""
        stain = self.stain and {
            "mean": [round(value, 2) for value in self.stain.mean],
            "deviation": [round(value, 2) for value in self.stain.deviation],
        }
        said = {"scanner_known": self.scanner_known, "stain_known": self.stain_known, "stain": stain}
        return {"logit_shift": self.logit_shift, **{key: value for key, value in said.items() if value is not None}}


def fit_slide(frame: Frame, scanner: str, card: Card, shifts: Mapping[str, float]) -> SlideFit:
    """How weights fit a slide. scanner: its name, as `detector.slide.scanner_of` gives it. shifts: of the weights.

    The stain is measured only where the card has the range of those trained on.
    """
    scanners, known = card.get("scanners"), card.get("stains")
    stain = slide_stain(frame) if known else None
    return SlideFit(
        logit_shift=shifts.get(scanner, 0.0),
        scanner_known=scanner in scanners if scanners else None,
        stain_known=not stain_outside(stain, known) if stain and known else None,
        stain=stain,
    )


def slide_stain(frame: Frame) -> LabStatistics | None:
    """The stain of a slide's tissue, comparable with that of labelled frames; None where there is no tissue.

    A picture of the slide at 1/64 says where tissue is; there, at most `paper.STAIN_REGIONS` regions evenly spread
    over the slide are read at the working resolution, as the deviation depends on it, and the median of their
    statistics is taken, so that folds, ink and clots do not move it.
    """
    size = paper.STAIN_REGION
    picture = np.clip(frame.block_means(_BLOCK).round(), 0, 255).astype(np.uint8)
    mask = tissue_mask(picture, _BLOCK * paper.WORKING_MPP)
    side = size // _BLOCK
    places: list[tuple[float, int, int]] = []
    for row in range(0, mask.shape[0], side):
        for column in range(0, mask.shape[1], side):
            share = float(mask[row : row + side, column : column + side].sum()) / side**2
            places.append((share, column * _BLOCK, row * _BLOCK))
    levels = ([place for place in places if place[0] >= least] for least in (paper.STAIN_TISSUE, paper.FRAME_TISSUE))
    chosen = next(filter(None, levels), [place for place in [max(places)] if place[0] > 0])
    if not chosen:
        return None
    spread = np.unique(np.linspace(0, len(chosen) - 1, min(len(chosen), paper.STAIN_REGIONS)).round().astype(int))
    rows = []
    for _, x, y in (chosen[index] for index in spread):
        image = frame.read(x, y, min(size, frame.size[0] - x), min(size, frame.size[1] - y))
        one = lab_statistics([image])
        rows.append([*one.mean, *one.deviation])
    middle = [float(value) for value in np.median(rows, axis=0)]
    return LabStatistics((middle[0], middle[1], middle[2]), (middle[3], middle[4], middle[5]))
