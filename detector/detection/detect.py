"""Testing (3.1): windows, scores, suppression at 30 px, threshold.

"We pad (64 pixels) images by mirroring and use overlapping (120 pixels) windows ... Once we have the probability maps
of all windows ..., we stitch and re-size them to the original image size. This is followed by NMS with radius of 30
pixels ... Finally, we remove all detections with score below 0.5."

The map is not enlarged to the size of the slide (8 billion cells would need 32 GB): suppression ranks the cells
themselves, and a detection is placed between them by the mean of the cells around its peak, weighted by score.

The score of a detection is not the paper's, that of its peak (`find_peaks`): a figure scores very differently by how it
is turned and lies in the grid. It is the mean over flips, rotations and the cells around (`Scorer.figure_logits`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from detector import paper
from detector.detection.nms import suppress
from detector.detection.scorer import Scorer, logit, score_prefetched, sigmoid
from detector.detection.windows import WindowPlan, plan_windows
from detector.frames import Rgb
from detector.slide import Frame, WorkingFrame

FIGURE_RIM = paper.FIGURE_CELLS // 2 * paper.OUTPUT_STRIDE  # px around an image, for the cells around its outer peaks
_SIDE = paper.PATCH_SIZE + 2 * FIGURE_RIM  # of what a figure is scored on, px


class Cancelled(Exception):
    """Raised by a progress callback to stop a scan or a training."""


Floats = NDArray[np.float64]
Logits = NDArray[np.float32]
Progress = Callable[[int], None]  # told how many windows are done


@dataclass(frozen=True)
class Cells:
    """Map cells at or above the floor. m_xy: int32 (n, 2), (column, row). logits: float32 (n,).

    figures: float32 (n,), the log odds of the figure whose peak the cell is, NaN for other cells; None where figures
    were not scored, so that every cell stands for itself.
    """

    m_xy: NDArray[np.int32]
    logits: NDArray[np.float32]
    figures: NDArray[np.float32] | None = None

    @staticmethod
    def concatenate(parts: list[Cells]) -> Cells:
        """The cells of disjoint parts of one image."""
        if not parts:
            none = np.empty(0, dtype=np.float32)
            return Cells(np.empty((0, 2), dtype=np.int32), none, none)
        figures = [part.figures for part in parts if part.figures is not None]
        return Cells(
            np.concatenate([p.m_xy for p in parts]),
            np.concatenate([p.logits for p in parts]),
            np.concatenate(figures) if figures else None,
        )


@dataclass(frozen=True)
class Detections:
    """Candidates, best first. xy: float (n, 2), level-0 px of the slide (or px of the frame). scores: (n,) in 0..1."""

    xy: NDArray[np.float64]
    scores: NDArray[np.float64]

    def at_least(self, score: float) -> Detections:
        """Those with a score of at least `score`. A lower one never suppresses a higher one, so this may come last."""
        keep = self.scores >= score
        return Detections(self.xy[keep], self.scores[keep])

    def rows(self) -> list[dict[str, float]]:
        """Ready for JSON: x and y to a hundredth of a pixel, the score to five digits."""
        return [
            {"x": round(x, 2), "y": round(y, 2), "score": round(score, 5)}
            for (x, y), score in zip(self.xy.tolist(), self.scores.tolist(), strict=True)
        ]


def scan(
    scorer: Scorer,
    frame: Frame,
    plan: WindowPlan,
    *,
    floor: float = paper.PEAK_FLOOR,
    figures: bool = True,
    progress: Progress | None = None,
    readers: int = 1,
) -> Cells:
    """All cells of the plan's windows with a score of at least `floor`; see `score_prefetched`.

    figures: whether the figures at the peaks among them are scored too. readers: threads that read; one keeps up with
    a CPU, a GPU wants more. The order of the cells does not depend on it.
    """
    parts, done = [], plan.windows_skipped
    if progress is not None and done:
        progress(done)
    # The largest first, so that the threads end at about the same time.
    rectangles = sorted(plan.rectangles, key=lambda rectangle: -rectangle.windows)
    reads = [functools.partial(frame.read, *rectangle.around(FIGURE_RIM if figures else 0)) for rectangle in rectangles]
    score = functools.partial(score_cells, scorer, floor=floor, figures=figures)
    # Closed before the file of the frame is, which its threads may still be reading when `progress` stops the scan.
    with closing(score_prefetched(reads, score, lanes=scorer.concurrency(floor), readers=readers)) as scored:
        for rectangle, cells in zip(rectangles, scored, strict=True):
            m_corner = np.array([rectangle.m_left, rectangle.m_top], dtype=np.int32)
            parts.append(replace(cells, m_xy=cells.m_xy + m_corner))
            done += rectangle.windows
            if progress is not None:
                progress(done)
    return Cells.concatenate(parts)


def score_cells(scorer: Scorer, image: Rgb, *, floor: float, figures: bool) -> Cells:
    """The cells of an image [h, w, 3] with a score of at least `floor`, m_xy in its own map.

    figures: whether figures are scored; the image then has a rim of one more cell to each side.
    """
    logits = scorer.cascade_logits(without_rim(image) if figures else image, floor)
    return with_figures(scorer, image, logits, floor) if figures else cells_of(logits, floor)


def without_rim(image: Rgb) -> Rgb:
    """The pixels under a map, of an image with the rim that figures are scored with."""
    return image[FIGURE_RIM:-FIGURE_RIM, FIGURE_RIM:-FIGURE_RIM]


def cells_of(logits: Logits, floor: float) -> Cells:
    """The cells of a map [r, q] with a score of at least `floor`."""
    rows, columns = np.nonzero(logits >= logit(floor))
    return Cells(np.stack([columns, rows], axis=1).astype(np.int32), logits[rows, columns])


def with_figures(scorer: Scorer, image: Rgb, logits: Logits, floor: float = paper.PEAK_FLOOR) -> Cells:
    """The cells of a map [r, q] with a score of at least `floor`, and the scores of the figures at their peaks.

    image: uint8 [h, w, 3], the pixels under the map and a rim of one more cell to each side. Where there are more peaks
    than `paper.FIGURE_PER_CELLS` allows, the less likely keep their score as they lie.
    """
    cells = cells_of(logits, floor)
    columns, rows = cells.m_xy.T
    around = sliding_window_view(np.pad(logits, paper.FIGURE_CELLS // 2, mode="edge"), (paper.FIGURE_CELLS,) * 2)
    around = around[rows, columns].reshape(len(rows), paper.FIGURE_CELLS**2)
    as_it_lies = scorer.figures.logits(around.mean(axis=1))
    worth = (around.max(axis=1) <= cells.logits) & (as_it_lies >= logit(paper.FIGURE_FIRST_LOOK))
    found = np.where(worth, as_it_lies, np.nan).astype(np.float32)
    most = max(paper.FIGURES_LEAST, logits.size // paper.FIGURE_PER_CELLS)
    turned = np.argsort(-np.where(worth, as_it_lies, -np.inf), kind="stable")[: min(most, int(worth.sum()))]
    corners = cells.m_xy[turned] * paper.OUTPUT_STRIDE
    crops = [image[y : y + _SIDE, x : x + _SIDE] for x, y in corners.tolist()]
    found[turned] = scorer.figures.logits(scorer.figure_logits(crops))
    return replace(cells, figures=found)


def place(cells: Cells, frame: Frame, *, radius: float | None = None) -> Detections:
    """Suppress the peaks of figures, or else all cells, and place each survivor, in level-0 px of the frame's slide.

    radius: um; by default the paper's 30 px, which are 7.5 um whatever the resolution. The cells may come in any
    order and from any number of shards. Nothing within `paper.FRAME_EDGE` of the border of a frame is a detection.
    """
    radius = paper.um(paper.NMS_RADIUS) if radius is None else radius
    um_per_cell = paper.OUTPUT_STRIDE * np.array(frame.mpp)
    um = cells.m_xy * um_per_cell
    ranks = (cells.logits if cells.figures is None else cells.figures).astype(np.float64)
    ranked = np.flatnonzero(~np.isnan(ranks))
    peaks = ranked[suppress(um[ranked], ranks[ranked], radius)]
    scores = sigmoid(cells.logits.astype(np.float64))
    if len(peaks):
        # Only cells at the storage floor or above weigh in, so that a lower floor does not move detections.
        strong = np.flatnonzero(scores >= paper.STORED_SCORE_FLOOR)
        near = (
            cKDTree(um[strong]).query_ball_point(um[peaks], paper.um(paper.REFINE_RADIUS))
            if len(strong)
            else [[]] * len(peaks)
        )
        placed = np.empty((len(peaks), 2))
        for i, (peak, neighbours) in enumerate(zip(peaks, near, strict=True)):
            members = np.union1d(strong[np.asarray(neighbours, dtype=np.intp)], [peak])
            placed[i] = np.average(cells.m_xy[members], axis=0, weights=scores[members])
        end = np.array(frame.size) * frame.mpp  # um; the centre of a last cell may lie beyond
        placed, keep = _kept_apart(np.minimum(placed * um_per_cell, end), np.minimum(um[peaks], end), radius)
        placed, peaks = placed[keep] / um_per_cell, peaks[keep]
    else:
        placed = np.empty((0, 2))
    scale = frame.scale if isinstance(frame, WorkingFrame) else 1.0
    xy = placed * paper.OUTPUT_STRIDE * scale
    limit = np.array(frame.slide.size if isinstance(frame, WorkingFrame) else frame.size)
    xy, edge = np.clip(xy, 0, limit), paper.FRAME_EDGE * scale if frame.cut else 0.0
    inside = np.flatnonzero(((xy >= edge) & (xy <= limit - edge)).all(axis=1))
    return Detections(xy[inside], sigmoid(ranks[peaks[inside]]))


def _kept_apart(placed: Floats, peaks: Floats, radius: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Positions (n, 2) of which none is within the radius of another, and which of the n are kept. All in one unit.

    placed, peaks: (n, 2), best first. Placement moves a detection from its peak; one that comes too near to a better
    one stays at its peak, and is suppressed where the better one has come too near even to that. So none depends on a
    worse one.
    """
    placed, keep = placed.copy(), np.ones(len(placed), dtype=bool)
    near: dict[int, set[int]] = {}
    pairs = cKDTree(np.concatenate([placed, peaks])).query_pairs(radius, output_type="ndarray") % max(1, len(placed))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]  # each is near its own peak
    for worse, better in zip(pairs.max(axis=1).tolist(), pairs.min(axis=1).tolist(), strict=True):
        near.setdefault(worse, set()).add(better)
    for one in sorted(near):
        better = placed[[other for other in near[one] if keep[other]]]
        ways = (way for way in (placed[one], peaks[one]) if (np.hypot(*(better - way).T) > radius).all())
        if (way := next(ways, None)) is None:
            keep[one] = False
        else:
            placed[one] = way
    return placed, keep


def detect(
    scorer: Scorer, frame: Frame, *, min_score: float = paper.SCORE_THRESHOLD, progress: Progress | None = None
) -> Detections:
    """Detections of an image or slide with a score of at least `min_score`: `scan`, then `place`.

    What has a score below `paper.FIGURE_FIRST_LOOK` as it lies is no detection. progress: called with the number of
    windows done, may raise `Cancelled`.
    """
    cells = scan(scorer, frame, plan_windows(frame), progress=progress)
    return place(cells, frame).at_least(min_score)


def find_peaks(
    scorer: Scorer, frame: Frame, *, min_score: float = paper.SCORE_THRESHOLD, radius: float | None = None
) -> Detections:
    """The peaks of the map with a score of at least `min_score`, as the paper's detections have it.

    radius: um, see `place`.
    """
    floor = min(min_score, paper.STORED_SCORE_FLOOR)
    cells = scan(scorer, frame, plan_windows(frame), floor=floor, figures=False)
    return place(cells, frame, radius=radius).at_least(min_score)
