"""Windows of the map: which are computed, which are skipped as glass, and in what rectangles they are read.

`m_` coordinates are cells of the probability map: cell (column c, row r) is the patch centred on the working pixel
(8 c, 8 r), so with the mirror padding of 64 px the first cell is centred on the corner of the image (3.1 Testing).
A window owns 49 x 49 cells, which are exactly the cells of a 512 px window at the paper's overlap of 120 px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.slide import Frame
from detector.slide.tissue import measure_glass, stain

Floats = NDArray[np.floating]

WINDOW_STEP = paper.WINDOW_SIZE - paper.WINDOW_OVERLAP  # 392 px
WINDOW_CELLS = WINDOW_STEP // paper.OUTPUT_STRIDE  # 49


@dataclass(frozen=True)
class Rectangle:
    """Cells [m_top, m_bottom) x [m_left, m_right) of neighbouring windows, read and scored in one go."""

    m_left: int
    m_top: int
    m_right: int
    m_bottom: int
    windows: int

    @property
    def region(self) -> tuple[int, int, int, int]:
        """(w_x, w_y, width, height) of the pixels under these cells, the mirror padding included."""
        x, y = self.m_left * paper.OUTPUT_STRIDE, self.m_top * paper.OUTPUT_STRIDE
        width = (self.m_right - self.m_left - 1) * paper.OUTPUT_STRIDE + paper.PATCH_SIZE
        height = (self.m_bottom - self.m_top - 1) * paper.OUTPUT_STRIDE + paper.PATCH_SIZE
        return x - paper.MIRROR_PAD, y - paper.MIRROR_PAD, width, height

    def around(self, rim: int) -> tuple[int, int, int, int]:
        """`region` with a rim of so many px on each side."""
        x, y, width, height = self.region
        return x - rim, y - rim, width + 2 * rim, height + 2 * rim


@dataclass(frozen=True)
class WindowPlan:
    """What will be computed of an image. windows_total = windows of all rectangles + windows_skipped."""

    rectangles: tuple[Rectangle, ...]
    windows_total: int
    windows_skipped: int

    def part(self, index: int, count: int) -> WindowPlan:
        """Shard `index` of `count`: neighbouring rectangles with about the same number of windows in each shard."""
        ends = np.cumsum([r.windows for r in self.rectangles])
        middle = ends - [r.windows / 2 for r in self.rectangles]
        shard = (middle * count / max(ends[-1], 1)).astype(int) if len(ends) else np.empty(0, dtype=int)
        mine = tuple(r for r, owner in zip(self.rectangles, shard, strict=True) if owner == index)
        skipped = self.windows_skipped if index == 0 else 0
        return WindowPlan(mine, sum(r.windows for r in mine) + skipped, skipped)


def map_size(frame: Frame) -> tuple[int, int]:
    """(columns, rows) of the probability map: one cell every 8 px, both edges included."""
    return frame.size[0] // paper.OUTPUT_STRIDE + 1, frame.size[1] // paper.OUTPUT_STRIDE + 1


def plan_windows(frame: Frame) -> WindowPlan:
    """Windows with tissue, joined to rectangles. The same image gives the same plan, whoever asks."""
    m_columns, m_rows = map_size(frame)
    kept = ~glass_windows(frame)
    rectangles, side = [], paper.RECTANGLE_WINDOWS
    for top in range(0, kept.shape[0], side):
        for left in range(0, kept.shape[1], side):
            block = kept[top : top + side, left : left + side]
            for y0, y1, x0, x1 in _cover(block):
                rectangles.append(
                    Rectangle(
                        m_left=(left + x0) * WINDOW_CELLS,
                        m_top=(top + y0) * WINDOW_CELLS,
                        m_right=min((left + x1) * WINDOW_CELLS, m_columns),
                        m_bottom=min((top + y1) * WINDOW_CELLS, m_rows),
                        windows=(y1 - y0) * (x1 - x0),
                    )
                )
    return WindowPlan(tuple(rectangles), kept.size, int((~kept).sum()))


def glass_windows(frame: Frame) -> NDArray[np.bool_]:
    """True [rows, columns] for windows of which every block (`paper.GLASS_BLOCK`) looks like the glass.

    Decided on a small picture of the slide; where that leaves a doubt, on every pixel of the window.
    """
    means, m_size = frame.block_means(paper.GLASS_BLOCK), map_size(frame)
    colour = glass_colour(means)
    glass = glass_windows_of(bare_blocks(means, colour, doubt=-1), m_size)
    doubtful = glass_windows_of(bare_blocks(means, colour, doubt=1), m_size) & ~glass
    for row, column in np.argwhere(doubtful):
        blocks = _blocks(row, means.shape[0]), _blocks(column, means.shape[1])
        exact = frame.exact_block_means(paper.GLASS_BLOCK, *blocks)
        glass[row, column] = bare_blocks(exact, colour[blocks]).all()
    return glass


def glass_colour(means: Floats) -> Floats:
    """The colour of the slide's glass at each block. means: [rows, columns, 3], RGB, of all blocks of the slide."""
    return measure_glass(np.clip(means.round(), 0, 255).astype(np.uint8)).rgb


def bare_blocks(means: Floats, colour: Floats, *, doubt: int = 0) -> NDArray[np.bool_]:
    """True [rows, columns] for blocks nearly as bright as glass and without stain. means, colour: [rows, columns, 3].

    doubt: 1 for those that may be, -1 for those that are however wrong the means are, within `paper.GLASS_DOUBT`.
    """
    brightness, stained = (doubt * slack for slack in paper.GLASS_DOUBT)
    bright = means.mean(axis=2) > (paper.GLASS_BRIGHTNESS - brightness) * colour.mean(axis=2)
    return np.asarray(bright & (stain(means, colour) < paper.GLASS_STAIN + stained))


def glass_windows_of(bright: NDArray[np.bool_], m_size: tuple[int, int]) -> NDArray[np.bool_]:
    """True for windows whose blocks are all bright. bright: of each block. m_size: (columns, rows) of the map."""
    columns, rows = (-(-cells // WINDOW_CELLS) for cells in m_size)
    glass = np.empty((rows, columns), dtype=bool)
    for row in range(rows):
        for column in range(columns):
            glass[row, column] = bright[_blocks(row, bright.shape[0]), _blocks(column, bright.shape[1])].all()
    return glass


def _blocks(window: int, count: int) -> slice:
    """Of `count` blocks in a row, or a column, those that its nth window touches; at least one."""
    start = window * WINDOW_STEP - paper.MIRROR_PAD
    first = min(max(start // paper.GLASS_BLOCK, 0), count - 1)
    return slice(first, max((start + paper.WINDOW_SIZE - 1) // paper.GLASS_BLOCK + 1, first + 1))


def _cover(kept: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Disjoint rectangles (top, bottom, left, right) that together cover exactly the true cells."""
    free = kept.copy()
    found = []
    while free.any():
        top, left = (int(v) for v in np.argwhere(free)[0])
        right = left + 1
        while right < free.shape[1] and free[top, right]:
            right += 1
        bottom = top + 1
        while bottom < free.shape[0] and free[bottom, left:right].all():
            bottom += 1
        free[top:bottom, left:right] = False
        found.append((top, bottom, left, right))
    return found
