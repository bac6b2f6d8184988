"""Narrowing: cells that cannot hold the most figures are ruled out, the others halved. Coordinates are mm."""

from __future__ import annotations

import math

import cv2
import numpy as np

from webapp.results.hotspot.shapes import _SLACK, Flags, Floats, Indices, Roi, Shape, _allowed, _unrolled

_WORK = 50_000  # pairs of figures (and edges of the ROI): rims are searched when there are no more
_PART = 500_000  # pairs that are looked at together
_BINS = 8  # about, for each figure
_FINEST = 1e-5  # of the reach: cells are not halved further


class _Grid:
    """Figures in square bins, and of each bin how many figures a shape with its centre in it holds.

    sure: those that it holds wherever in the bin its centre is; most: those that it may hold. half: half the side of a
    bin, mm. Bins are numbered column by column.
    """

    def __init__(self, x: Floats, y: Floats, shape: Shape, roi: Roi) -> None:
        low_x, low_y, high_x, high_y = roi.area.bounds
        width, height = high_x - low_x, high_y - low_y
        bins = _BINS * max(len(x), 100)
        side = max(math.sqrt(width * height / bins), max(width, height) / bins)
        self._low, self.half = (low_x, low_y), side / 2
        self._columns, self._rows = int(width / side) + 1, int(height / side) + 1
        slack = shape.reach * _SLACK
        in_roi = (x >= low_x - slack) & (x <= high_x + slack) & (y >= low_y - slack) & (y <= high_y + slack)
        column = np.clip(((x - low_x) / side).astype(int), 0, self._columns - 1)
        row = np.clip(((y - low_y) / side).astype(int), 0, self._rows - 1)
        number = (column * self._rows + row)[in_roi]
        held = np.bincount(number, minlength=self._columns * self._rows)
        self._by_bin = np.flatnonzero(in_roi)[np.argsort(number, kind="stable")]
        self._before = np.concatenate([[0], np.cumsum(held)])
        reached = int(shape.reach / side) + 2
        self._steps = np.arange(-reached, reached + 1)
        image = held.reshape(self._columns, self._rows).astype(float)
        # From a point of one bin to a point of another it is a step less, or a step more, than from middle to middle.
        nearest, farthest = np.maximum(np.abs(self._steps) - 1, 0) * side, (np.abs(self._steps) + 1) * side
        self.most, self._may = self._held(image, shape.distance(nearest[:, None], nearest) <= shape.reach + 4 * slack)
        self.sure, self._must = self._held(image, shape.distance(farthest[:, None], farthest) < shape.reach - 4 * slack)
        self._order = np.argsort(-self.most, kind="stable")

    def _held(self, image: Floats, reached: Flags) -> tuple[Indices, Indices]:
        """Figures in the bins that are reached from each bin, and how many rows up and down they go (-1: none)."""
        summed = cv2.filter2D(image, -1, reached.astype(float), borderType=cv2.BORDER_CONSTANT)
        return np.rint(summed).astype(int).ravel(), (reached.sum(1) - 1) // 2

    def cells(self, first: int, number: int) -> Indices:
        """Bins, those that may hold most first."""
        return self._order[first : first + number]

    def middles(self, cells: Indices) -> tuple[Floats, Floats]:
        """The positions in the middle of these bins."""
        column, row = np.divmod(cells, self._rows)
        return self._low[0] + (2 * column + 1) * self.half, self._low[1] + (2 * row + 1) * self.half

    def near(self, cells: Indices) -> tuple[Indices, Indices]:
        """All pairs of a place in `cells`, and a figure that a shape with its centre in that bin holds perhaps."""
        column, row = np.divmod(cells[:, None], self._rows)
        there = np.concatenate([column + self._steps] * 2, axis=1)
        low = np.concatenate([row - self._may, row + np.maximum(self._must + 1, 1)], axis=1)
        high = np.concatenate([row - self._must - 1, row + self._may], axis=1)
        low, high = np.maximum(low, 0), np.minimum(high, self._rows - 1)
        use = (there >= 0) & (there < self._columns) & (low <= high)
        begin, end = self._before[(there * self._rows + low)[use]], self._before[(there * self._rows + high + 1)[use]]
        stretch, position = _unrolled(begin, end)
        return np.nonzero(use)[0][stretch], self._by_bin[position]


def _narrow(
    x: Floats, y: Floats, shape: Shape, roi: Roi, best: int, at: tuple[float, float], grid: _Grid, cells: Indices
) -> tuple[int, tuple[float, float], Indices]:
    """A good place in some cells, and the figures around whose rims a better one may lie.

    Cells of positions are halved. `sure`: figures that every position in a cell holds; `near`: those that some do.
    """
    reach = shape.reach * (1 + _SLACK)
    weight = _pairs(x, shape, roi)
    half = grid.half
    cells = cells[_possible(shape, roi, *grid.middles(cells), half)]
    cell_x, cell_y = grid.middles(cells)
    base = grid.sure[cells]
    cell, figure = grid.near(cells)
    while True:
        slack = half * shape.corner
        d = shape.distance(x[figure] - cell_x[cell], y[figure] - cell_y[cell])
        touched = np.flatnonzero(d <= reach + slack + reach * _SLACK)
        d, cell, figure = d[touched], cell[touched], figure[touched]
        sure = d < reach - slack - reach * _SLACK
        near = ~sure
        middle = base + np.bincount(cell[d <= reach], minlength=len(base))
        base = base + np.bincount(cell[sure], minlength=len(base))
        most = base + np.bincount(cell[near], minlength=len(base))
        rising = np.flatnonzero(middle > best)
        rising = rising[np.lexsort((rising, -middle[rising]))][:512]
        rising = rising[_allowed(shape, roi, cell_x[rising], cell_y[rising])]
        if len(rising):
            best, at = int(middle[rising[0]]), (float(cell_x[rising[0]]), float(cell_y[rising[0]]))
        keep = most > best
        kept = np.flatnonzero(keep)
        keep[kept] = _possible(shape, roi, cell_x[kept], cell_y[kept], half)
        number = np.cumsum(keep) - 1
        going_on = near & keep[cell]
        cell, figure = number[cell[going_on]], figure[going_on]
        cell_x, cell_y, base = cell_x[keep], cell_y[keep], base[keep]
        around = _distinct(figure, len(x))
        if len(around) * weight <= _WORK or half <= shape.reach * _FINEST:
            return best, at, around
        half /= 2
        cell_x = (cell_x[:, None] + half * np.array([-1, 1, -1, 1])).ravel()
        cell_y = (cell_y[:, None] + half * np.array([-1, -1, 1, 1])).ravel()
        base = np.repeat(base, 4)
        cell, figure = (cell[:, None] * 4 + np.arange(4)).ravel(), np.repeat(figure, 4)


def _possible(shape: Shape, roi: Roi, x: Floats, y: Floats, half: float) -> Flags:
    """Whether the shape may lie in the ROI with its centre in these cells, half a side of which is `half`."""
    slack = half * shape.corner
    if slack >= shape.reach:
        return np.ones(len(x), bool)
    # A smaller shape in the middle of the cell lies in every shape of the cell.
    return _allowed(shape, roi, x, y, shape.reach * (1 - _SLACK) - slack, slack)


def _pairs(x: Floats, shape: Shape, roi: Roi) -> float:
    """How many figures (and edges of the ROI) have to be looked at around each figure, about."""
    reached = np.searchsorted(x, x + 2 * shape.reach) - np.searchsorted(x, x - 2 * shape.reach)
    return float(reached.mean()) + 6 * len(roi.edges_from)


def _distinct(indices: Indices, below: int) -> Indices:
    flags = np.zeros(below, bool)
    flags[indices] = True
    return np.flatnonzero(flags)


def _inside(x: Floats, y: Floats, shape: Shape, at_x: float, at_y: float) -> Indices:
    return np.flatnonzero(shape.distance(x - at_x, y - at_y) <= shape.reach * (1 + 3 * _SLACK))
