"""First-stage threshold for 100 % recall (`set_recall_threshold`), and what the cascade loses (`measure_recall`).

The fine network of section 3.1 is the teacher: its map of every cell of a frame is what the cascade must reproduce.

Letters in shape comments: n components, r x q map cells (one every 8 px).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from detector import paper
from detector.detection.detect import FIGURE_RIM, Cells, Detections, cells_of, place, with_figures, without_rim
from detector.detection.scorer import Scorer, logit
from detector.detection.windows import Rectangle, map_size
from detector.frames import Case, LabelledFrame, Points, Rgb
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class TeacherOutput:
    """A labelled frame, the fine logits [r, q], float32, of its every map cell, and the cells with their figures."""

    frame: LabelledFrame
    logits: Logits
    cells: Cells

    def image(self) -> Rgb:
        """uint8 [h, w, 3]: the pixels under all map cells, the mirror padding of 64 px included."""
        return without_rim(_with_rim(self.frame))

    def components(self, coarse_logits: Logits) -> Components:
        """Connected components of the fine map that may be figures. coarse_logits: [r, q] of the same frame."""
        labels, count = ndimage.label(self.logits >= logit(paper.PEAK_FLOOR), structure=np.ones((3, 3)))
        index = np.arange(1, count + 1)
        peaks = np.array(ndimage.maximum_position(self.logits, labels, index), dtype=np.intp).reshape(-1, 2)
        coarse = np.asarray(ndimage.maximum(coarse_logits, labels, index), dtype=np.float64)
        figures = np.full(self.logits.shape, -np.inf)
        if self.cells.figures is not None:
            figures[tuple(self.cells.m_xy[:, ::-1].T)] = np.nan_to_num(self.cells.figures, nan=-np.inf)
        xy = (peaks[:, ::-1] * paper.OUTPUT_STRIDE).astype(np.float64)
        return Components(xy, np.asarray(ndimage.maximum(figures, labels, index), dtype=np.float64), coarse)

    def detections(self, logits: Logits, floor: float = paper.STORED_SCORE_FLOOR) -> Detections:
        """Peaks, px of the frame, in a map [r, q] of this frame with a score of at least `floor`."""
        return place(cells_of(logits, floor), self.frame.array_frame())


@dataclass(frozen=True)
class Components:
    """Connected components (8 neighbours) of map cells. xy: (n, 2), px of the frame, of the cell with the highest fine
    logit. figure: (n,), log odds of the best figure in it, -inf for none. coarse: (n,), its highest coarse logit.

    The cascade rescores a whole component as soon as it rescores one cell of it (`rescore_regions`), so the highest
    coarse logit decides.
    """

    xy: Points
    figure: NDArray[np.float64]
    coarse: NDArray[np.float64]


@dataclass(frozen=True)
class CascadeRecall:
    """Detections of a cascade on some frames, against the fine network on every cell. Field names are stored in cards.

    at_half, at_floor: detections of the fine network with a score of at least 0.5, and of at least the stored score.
    lost_*: those of them without a detection of the cascade at the same place with the same score. added: detections
    that only the cascade has. looked_at: share of the cells that the fine network scored.
    """

    frames: int
    at_half: int
    lost_at_half: int
    at_floor: int
    lost_at_floor: int
    added: int
    looked_at: float


def score_frames(fine: ResNet12, cases: Sequence[Case], figures: FigureScale | None = None) -> list[TeacherOutput]:
    """The fine network's map of every exhaustively labelled frame, in fp32 on the CPU. figures: scale of the scores."""
    scorer = Scorer(fine, figures=figures, device="cpu", precision="fp32")
    outputs = []
    for frame in (frame for case in cases for frame in case.frames if frame.exhaustive):
        image = _with_rim(frame)
        logits = scorer.logits(without_rim(image))
        outputs.append(TeacherOutput(frame, logits, with_figures(scorer, image, logits)))
    return outputs


def recall_threshold(components: Iterable[Components]) -> float:
    """Highest logit of the coarse network at which it still passes all that the fine one detects at 0.5; 0 for none."""
    half = logit(paper.SCORE_THRESHOLD)
    return min((float(coarse) for some in components for coarse in some.coarse[some.figure >= half]), default=0.0)


def set_recall_threshold(coarse: ResNet12, outputs: Sequence[TeacherOutput], *, never_less: bool = False) -> None:
    """Shift the bias of `coarse`, in place, so that logits from 0 up have 100 % recall of the fine network's detections
    at 0.5 on these frames, with `paper.COARSE_MARGIN` to spare for others.

    never_less: the shift may only raise its logits, so that it never passes fewer cells than before.
    """
    scorer, bias = Scorer(coarse, device="cpu", precision="fp32"), coarse.classifier.bias
    assert bias is not None
    with torch.no_grad():
        components = (output.components(scorer.logits(output.image())) for output in outputs)
        shift = paper.COARSE_MARGIN - recall_threshold(components)
        bias[1] += max(shift, 0.0) if never_less else shift


def measure_recall(scorer: Scorer, outputs: Sequence[TeacherOutput]) -> CascadeRecall:
    """What the cascade of a scorer detects on some frames, against its fine network on every cell."""
    count, cells, rescored = np.zeros(5, dtype=int), 0, 0
    for output in outputs:
        image, frame = _with_rim(output.frame), output.frame.array_frame()
        logits = scorer.cascade_logits(without_rim(image), paper.PEAK_FLOOR)
        both = output.cells, with_figures(scorer, image, logits)
        fine, cascade = (place(some, frame).at_least(paper.STORED_SCORE_FLOOR) for some in both)
        half, lost = fine.scores >= paper.SCORE_THRESHOLD, ~_in_both(fine, cascade)
        count += [half.sum(), (half & lost).sum(), len(half), lost.sum(), (~_in_both(cascade, fine)).sum()]
        cells, rescored = cells + output.logits.size, rescored + int(np.isfinite(logits).sum())
    at_half, lost_at_half, at_floor, lost_at_floor, added = count.tolist()
    share = round(rescored / max(cells, 1), 4)
    return CascadeRecall(len(outputs), at_half, lost_at_half, at_floor, lost_at_floor, added, share)


def _with_rim(frame: LabelledFrame) -> Rgb:
    """The pixels under all map cells, with the rim that figures are scored with."""
    pixels = frame.array_frame()
    return pixels.read(*Rectangle(0, 0, *map_size(pixels), windows=1).around(FIGURE_RIM))


def _in_both(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """(n,) which of some detections are among the others: within a tenth of a pixel and a thousandth of the score."""
    rows, other_rows = (np.column_stack([found.xy * 0.01, found.scores]) for found in (some, others))
    apart = np.abs(rows[:, None] - other_rows[None]).max(axis=2, initial=0)  # (some, others)
    return np.asarray((apart < 1e-3).any(axis=1))
