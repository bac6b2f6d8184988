"""The hotspot: the place whose circle, or square, holds the most figures in a given evaluable area.

The shape grows around its place until it holds that much evaluable area, not geometry: at the rim of tissue, in a
biopsy, in fat it is larger than in the middle of a tumour. It never grows beyond `LIMIT` times the size that it has
where all is evaluable; a place that has less by then holds what it holds.

Places lie on a grid, a tenth of that size apart (80 um for a circle of 2 mm2), where there is something evaluable, and
what is found is exact over them: no other place of the grid holds more figures. Of places with as many, the one with
the most evaluable area, and of these the one that its figures lie closest to, is taken. The next hotspot is the best
place whose shape does not overlap those before it.

All coordinates in here are mm; arrays of positions are (n, 2), x and y.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Shape = Literal["circle", "square"]

LIMIT = 3.0  # of the radius, or side, that the shape has where all is evaluable
PLACES_PER_REACH = 10  # places in a radius, or half a side, of that
_MOST_PLACES = 1_000_000  # of a grid; for a small shape on a large slide the places lie further apart
_GROWTH = 1.1  # of the area, between the sizes at which the evaluable area is summed; between them it is interpolated
_SLACK = 1e-9  # mm; figures so near to the rim are inside
_GROWN = (1.05, 1.25, 1.6, 2.2, LIMIT)  # times the reach: places are looked at in groups that reach about as far
_FINE = 4  # positions along the side of a cell by which it is told how much of it a shape covers
_PAIRS = 400_000  # of figures and places that are looked at together
_TIED = 200  # places with as many figures, of which the best in the middle is chosen


@dataclass(frozen=True)
class Place:
    """Where a shape lies. x, y: its centre; reach: its radius or half its side. inside: indices of the figures in it.

    evaluable_mm2: of tissue that counts in it.
    """

    x: float
    y: float
    reach: float
    evaluable_mm2: float
    inside: Indices

    @property
    def count(self) -> int:
        """How many figures it holds."""
        return len(self.inside)


class Reaches:
    """How far the shape must reach, from each place of a grid, to hold an area of what is evaluable.

    shares: float32 [rows, columns], evaluable share of the cells around the places. cell: (width, height) of a cell.
    reach, held: [rows, columns], that distance and the area held. unlimited: the reach where all is evaluable.
    """

    def __init__(self, shares: NDArray[np.float32], cell: tuple[float, float], shape: Shape, area_mm2: float) -> None:
        self.shape, self.cell, self.area_mm2 = shape, cell, area_mm2
        self.unlimited = reach_of(shape, area_mm2)
        self.reach = np.where(shares > 0, LIMIT * self.unlimited, 0.0)
        self.held = np.zeros(shares.shape)
        done = shares <= 0
        before: Floats = np.zeros(shares.shape)
        size, before_size = area_mm2, 0.0
        while not done.all():
            kernel = _kernel(shape, size / area_mm2, (self.unlimited / cell[0], self.unlimited / cell[1]))
            summed = cv2.filter2D(shares, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
            held = np.asarray(summed, np.float64) * cell[0] * cell[1]
            enough = ~done & (held >= area_mm2 * (1 - 1e-6))
            share = np.clip((area_mm2 - before) / np.maximum(held - before, 1e-12), 0, 1)
            grown = before_size + share * (size - before_size) if before_size else np.full(shares.shape, size)
            self.reach[enough] = reach_of(shape, 1.0) * np.sqrt(grown[enough])
            self.held[enough] = area_mm2
            done |= enough
            if size >= LIMIT**2 * area_mm2:
                self.held[~done] = held[~done]
                return
            before, before_size = held, size
            size = min(size * _GROWTH, LIMIT**2 * area_mm2)

    @property
    def size(self) -> int:
        """Number of places."""
        return self.reach.size

    def xy(self, places: Indices) -> Floats:
        """The middles (n, 2) of these places, numbered row by row."""
        row, column = np.divmod(places, self.reach.shape[1])
        return np.stack([(column + 0.5) * self.cell[0], (row + 0.5) * self.cell[1]], axis=-1)


def reach_of(shape: Shape, area_mm2: float) -> float:
    """Radius of a circle, or half the side of a square, of an area."""
    return math.sqrt(area_mm2 / math.pi) if shape == "circle" else math.sqrt(area_mm2) / 2


def grid_of(width: float, height: float, shape: Shape, area_mm2: float) -> tuple[int, int]:
    """(columns, rows) of the grid of places on a slide of this size."""
    step = max(reach_of(shape, area_mm2) / PLACES_PER_REACH, math.sqrt(width * height / _MOST_PLACES))
    return max(1, round(width / step)), max(1, round(height / step))


def hotspots(xy: Floats, reaches: Reaches, number: int = 3, *, touching: bool = False) -> list[Place]:
    """The place that holds the most of the figures, then the best that does not overlap it, and so on.

    touching: the others only beside one of those before, as fields in a row are. Fewer, or none, where no place holds a
    figure.
    """
    order = np.lexsort(np.asarray(xy, float).reshape(-1, 2).T)  # the order in which figures come changes nothing
    sorted_xy = np.asarray(xy, float).reshape(-1, 2)[order]
    count = _held_figures(sorted_xy, reaches)
    left = np.flatnonzero(count)
    at, reach, held = reaches.xy(left), reaches.reach.ravel()[left], reaches.held.ravel()[left]
    count = count[left]
    free = np.ones(len(left), bool)
    beside = np.ones(len(left), bool)
    places: list[Place] = []
    while len(places) < number and (free & beside).any():
        best = _best(sorted_xy, np.flatnonzero(free & beside), count, held, at, reach, reaches.shape)
        inside = np.flatnonzero(distance(sorted_xy - at[best], reaches.shape) <= reach[best] + _SLACK)
        x, y = at[best].tolist()
        places.append(Place(x, y, float(reach[best]), float(held[best]), np.sort(order[inside])))
        gap = distance(at - at[best], reaches.shape) - reach - reach[best]
        free &= gap >= -_SLACK
        if touching:
            near = gap <= 2 * max(reaches.cell)
            beside = near if len(places) == 1 else beside | near
    return places


def _best(xy: Floats, some: Indices, count: Indices, held: Floats, at: Floats, reach: Floats, shape: Shape) -> int:
    """Of some places, the one with the most figures, the most evaluable area, and its figures nearest to the middle."""
    some = some[count[some] == count[some].max()]
    some = some[held[some] >= held[some].max() - 1e-6]
    spread = []
    for place in some[:_TIED].tolist():
        apart = distance(xy - at[place], shape)
        spread.append(float((apart[apart <= reach[place] + _SLACK] ** 2).sum().round(9)))
    return int(some[int(np.argmin(spread))])


def distance(apart: Floats, shape: Shape) -> Floats:
    """How far a shape must reach to hold what lies so far (..., 2) from its centre."""
    x, y = apart[..., 0], apart[..., 1]
    return np.asarray(np.sqrt(x * x + y * y) if shape == "circle" else np.maximum(np.abs(x), np.abs(y)))


def undecided(xy: Floats, reaches: Reaches, least: int) -> NDArray[np.bool_]:
    """Which figures lie in a place that holds at least so many of them."""
    some = _held_figures(xy, reaches).reshape(reaches.reach.shape) >= least
    lies: NDArray[np.bool_] = np.zeros(len(xy), bool)
    for inside, _, figures in _pairs(xy, reaches, some):
        lies[figures] |= inside.any(axis=0)
    return lies


def _held_figures(xy: Floats, reaches: Reaches) -> Indices:
    """How many figures each place holds."""
    count = np.zeros(reaches.size, np.int64)
    for inside, places, _ in _pairs(xy, reaches, reaches.reach > 0):
        count += np.bincount(places[inside], minlength=reaches.size)
    return count


def _pairs(
    xy: Floats, reaches: Reaches, some: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.bool_], Indices, Indices]]:
    """Each figure beside all of some places [rows, columns] that may hold it, in batches.

    Yields whether it lies inside, and the number of the place where it does, both (places, figures); and the figures.
    """
    rows, columns = reaches.reach.shape
    all_homes = np.floor(xy / reaches.cell).astype(np.int64).clip(0, (columns - 1, rows - 1))
    smallest = 0.0
    for growth in _GROWN:  # most places reach little farther than where all is evaluable, and need not look farther
        reach = growth * reaches.unlimited + _SLACK
        group = some & (reaches.reach > smallest) & (reaches.reach <= reach)
        smallest = reach
        if not group.any():
            continue
        wide, high = (int(reach / side) + 1 for side in reaches.cell)
        near = cv2.dilate(group.astype(np.uint8), np.ones((2 * high + 1, 2 * wide + 1), np.uint8)) > 0
        figures = np.flatnonzero(near[all_homes[:, 1], all_homes[:, 0]])
        home = all_homes[figures]
        within = xy[figures] - (home + 0.5) * reaches.cell
        reached = np.pad(
            np.where(group, reaches.reach + _SLACK, -1.0), ((high, high), (wide, wide)), constant_values=-1.0
        )
        padded = (home[:, 1] + high) * reached.shape[1] + home[:, 0] + wide
        place = home[:, 1] * columns + home[:, 0]
        offsets = np.stack(np.meshgrid(np.arange(-wide, wide + 1), np.arange(-high, high + 1)), axis=-1).reshape(-1, 2)
        offsets = offsets[distance(np.maximum(np.abs(offsets) - 0.5, 0) * reaches.cell, reaches.shape) <= reach]
        batch = max(1, _PAIRS // max(1, len(home)))
        for first in range(0, len(offsets), batch):
            steps = offsets[first : first + batch]
            apart = distance(
                np.moveaxis((steps * reaches.cell).T[:, :, None] - within.T[:, None], 0, -1), reaches.shape
            )
            at = padded + (steps[:, 1] * reached.shape[1] + steps[:, 0])[:, None]
            yield apart <= reached.ravel()[at], place + (steps[:, 1] * columns + steps[:, 0])[:, None], figures


@lru_cache(maxsize=256)
def _kernel(shape: Shape, growth: float, reach: tuple[float, float]) -> Floats:
    """The share of each cell that the shape covers, grown to so many times its area. reach: ungrown, in cells."""
    far = [size * math.sqrt(growth) for size in reach]
    axes = [_fine(size) for size in far]
    x, y = (axis / size for axis, size in zip(axes, far, strict=True))
    inside = distance(np.stack(np.meshgrid(x, y), axis=-1), shape) <= 1
    cells = inside.reshape(len(y) // _FINE, _FINE, len(x) // _FINE, _FINE).mean(axis=(1, 3))
    return np.asarray(cells * (_area_of(shape, far) / cells.sum()))


def _fine(size: float) -> Floats:
    """Positions along one axis, in cells from the middle of a cell, `_FINE` in each cell that the shape may touch."""
    cells = 2 * (int(size + 0.5) + 1) + 1
    return (np.arange(cells * _FINE) + 0.5) / _FINE - cells / 2


def _area_of(shape: Shape, reach: Sequence[float]) -> float:
    """Area of an ellipse, or a rectangle, of these half axes, or half sides."""
    return (math.pi if shape == "circle" else 4.0) * reach[0] * reach[1]
