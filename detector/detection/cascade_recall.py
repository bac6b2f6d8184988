"""How far a coarse network is to be trusted in a cascade: where it points (`trust`), and what is lost (`compare`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from detector import paper
from detector.detection.detect import Cells, Detections, place
from detector.detection.scorer import Scorer, logit
from detector.detection.windows import Rectangle, map_size
from detector.frames import Case, Hpf, Points, Rgb
from detector.model.network import ResNet12

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """A whole frame and what the fine network says of its every cell. logits: [r, q]."""

    hpf: Hpf
    logits: Logits

    def image(self) -> Rgb:
        """The pixels under all cells of the map, the mirror padding included."""
        return _under_the_map(self.hpf)

    def spots(self, pointing: Logits) -> Spots:
        """What the fine network finds from the stored score up, and what a map of the coarse one says there."""
        spots, count = ndimage.label(self.logits >= logit(paper.STORED_SCORE_FLOOR), structure=np.ones((3, 3)))
        index = np.arange(1, count + 1)
        peaks = np.array(ndimage.maximum_position(self.logits, spots, index), dtype=np.intp).reshape(-1, 2)
        highest = np.asarray(ndimage.maximum(pointing, spots, index), dtype=np.float64)
        return Spots((peaks[:, ::-1] * paper.OUTPUT_STRIDE).astype(np.float64), self.logits[tuple(peaks.T)], highest)

    def detections(self, logits: Logits, floor: float = paper.STORED_SCORE_FLOOR) -> Detections:
        """Those of a map of this frame with at least the score `floor`."""
        rows, columns = np.nonzero(logits >= logit(floor))
        m_xy = np.stack([columns, rows], axis=1).astype(np.int32)
        return place(Cells(m_xy, logits[rows, columns]), self.hpf.frame())


@dataclass(frozen=True)
class Spots:
    """Groups of cells that touch. xy: (n, 2), px of the frame, of the best cell. fine, coarse: (n,), highest logits.

    One cell of a spot that is pointed at leads to all its others (`look_closer`), so its highest one is what counts.
    """

    xy: Points
    fine: Logits
    coarse: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """What a cascade finds on some frames, against the fine network on every cell.

    at_half, at_floor: detections of the fine network from 0.5 up, and from the stored score up. lost_*: those of them
    that the cascade has not, at the same place with the same score. added: what only the cascade has. looked_at: share
    of the cells that it scored.
    """

    frames: int
    at_half: int
    lost_at_half: int
    at_floor: int
    lost_at_floor: int
    added: int
    looked_at: float


def known(fine: ResNet12, cases: Sequence[Case]) -> list[Known]:
    """The whole frames of some cases as the fine network sees them, in fp32 on the CPU."""
    scorer = Scorer(fine, device="cpu", precision="fp32")
    whole = [hpf for case in cases for hpf in case.hpfs if hpf.exhaustive]
    return [Known(hpf, scorer.logits(_under_the_map(hpf))) for hpf in whole]


def least_pointing(spots: Iterable[Spots]) -> float:
    """The logit of the coarse network from which it points at all that the fine one detects at 0.5."""
    half = logit(paper.SCORE_THRESHOLD)
    return min((float(pointing) for some in spots for pointing in some.coarse[some.fine >= half]), default=0.0)


def trust(coarse: ResNet12, frames: Sequence[Known], *, never_less: bool = False) -> None:
    """Shift the logits of `coarse` so that from 0 up it points at all that the fine network detects at 0.5 here.

    With `paper.COARSE_MARGIN` to spare for frames that are not among these. never_less: it may point at more than
    before, but not at less.
    """
    looks, bias = Scorer(coarse, device="cpu", precision="fp32"), coarse.classifier.bias
    assert bias is not None
    with torch.no_grad():
        more = paper.COARSE_MARGIN - least_pointing(frame.spots(looks.logits(frame.image())) for frame in frames)
        bias[1] += max(more, 0.0) if never_less else more


def compare(scorer: Scorer, frames: Sequence[Known]) -> Comparison:
    """What the cascade of a scorer finds on some frames, against its fine network alone."""
    count, cells, looked_at = np.zeros(5, dtype=int), 0, 0
    for frame in frames:
        some = scorer.logits_from(frame.image(), paper.STORED_SCORE_FLOOR)
        alone, cascade = frame.detections(frame.logits), frame.detections(some)
        half, lost = alone.scores >= paper.SCORE_THRESHOLD, ~_among(alone, cascade)
        count += [half.sum(), (half & lost).sum(), len(half), lost.sum(), (~_among(cascade, alone)).sum()]
        cells, looked_at = cells + frame.logits.size, looked_at + int(np.isfinite(some).sum())
    at_half, lost_at_half, at_floor, lost_at_floor, added = count.tolist()
    share = round(looked_at / max(cells, 1), 4)
    return Comparison(len(frames), at_half, lost_at_half, at_floor, lost_at_floor, added, share)


def _under_the_map(hpf: Hpf) -> Rgb:
    frame = hpf.frame()
    return frame.read(*Rectangle(0, 0, *map_size(frame), windows=1).region)


def _among(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """Which of some detections are among the others too: within a tenth of a pixel and a thousandth of the score."""
    rows, other_rows = (np.column_stack([found.xy * 0.01, found.scores]) for found in (some, others))
    apart = np.abs(rows[:, None] - other_rows[None]).max(axis=2, initial=0)  # (some, others)
    return np.asarray((apart < 1e-3).any(axis=1))
