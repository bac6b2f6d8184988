"""How far a circle, or square, must reach from each place of a slide to hold an area of what is evaluable.

It grows around its place until it holds that much evaluable area, not geometry: at the rim of tissue, in a biopsy, in
fat it is larger than in the middle of a tumour. It never grows beyond `LIMIT` times the size that it has where all is
evaluable; a place that has less by then holds what it holds.

Places lie on a grid, a tenth of that size apart (80 um for a circle of 2 mm2), where there is something evaluable.

All coordinates in here are mm; arrays of positions are (n, 2), x and y.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Literal
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from webapp.annotations.evaluable import Evaluable

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Shape = Literal["circle", "square"]

LIMIT = 3.0  # of the radius, or side, that the shape has where all is evaluable
ENOUGH = 0.98  # of the area asked for; with less a sample is small
SLACK = 1e-9  # mm; what is so near to the rim is inside
_PLACES_PER_REACH = 10  # places in a radius, or half a side, of that
_MOST_PLACES = 1_000_000  # of a grid; for a small shape on a large slide the places lie further apart
_GROWTH = 1.1  # of the area, between the sizes at which the evaluable area is summed; between them it is interpolated
_NOISE = 1e-4  # of an area: more than transforms in single precision are off by
_FINE = 4  # positions along the side of a cell by which it is told how much of it a shape covers


class Reaches:
    """How far the shape must reach, from each place of a grid, to hold an area of what is evaluable.

    shares: float32 [rows, columns], evaluable share of the cells around the places. cell: (width, height) of a cell.
    reach, held: [rows, columns], that distance and the area held. unlimited: the reach where all is evaluable; usual:
    the shortest, in the midst of tissue, that most places share.
    """

    def __init__(self, shares: NDArray[np.float32], cell: tuple[float, float], shape: Shape, area_mm2: float) -> None:
        self.shape, self.cell, self.area_mm2 = shape, cell, area_mm2
        self.unlimited = reach_of(shape, area_mm2)
        reach, held = np.where(shares > 0, LIMIT * self.unlimited, 0.0).ravel(), np.zeros(shares.size)
        self.reach: Floats = reach.reshape(shares.shape)
        self.held: Floats = held.reshape(shares.shape)
        left = np.flatnonzero(shares > 0)
        held_by = _sums(shares, shape, (self.unlimited / cell[0], self.unlimited / cell[1]))
        before, before_size = np.zeros(len(left)), 0.0
        size = area_mm2 / max(float(shares.max(initial=0.0)), LIMIT**-2)  # it cannot be less
        self.usual = reach_of(shape, size)
        while len(left):
            now = held_by(size / area_mm2, left) * (cell[0] * cell[1])
            enough = now >= area_mm2 * (1 - _NOISE)
            filled = left[enough]
            if before_size:
                share = (area_mm2 - before[enough]) / np.maximum(now[enough] - before[enough], 1e-12)
                reach[filled] = reach_of(shape, 1.0) * np.sqrt(before_size + share.clip(0, 1) * (size - before_size))
            else:
                reach[filled] = self.usual
            held[filled] = area_mm2
            left, before = left[~enough], now[~enough]
            if size >= LIMIT**2 * area_mm2:
                held[left] = before.clip(0)
                return
            before_size, size = size, min(size * _GROWTH, LIMIT**2 * area_mm2)

    @property
    def size(self) -> int:
        """Number of places."""
        return self.reach.size

    @cached_property
    def usually(self) -> NDArray[np.bool_]:
        """Which places have the usual reach."""
        return np.asarray(self.reach.ravel() == self.usual)

    @cached_property
    def others(self) -> Indices:
        """The places with something evaluable whose reach is not the usual one."""
        return np.flatnonzero((self.reach.ravel() > 0) & ~self.usually)

    @cached_property
    def whole(self) -> Indices:
        """The places that hold the area, or nearly."""
        return np.flatnonzero(self.held.ravel() >= ENOUGH * self.area_mm2)

    def rows_of(self, places: Indices) -> tuple[Indices, Indices]:
        """The rows of cells that each of these places may touch, from and to."""
        return self._touched(places, places // self.reach.shape[1], axis=0)

    def _touched(self, places: Indices, at: Indices, axis: int) -> tuple[Indices, Indices]:
        far = ((self.reach.ravel()[places] + SLACK) / self.cell[1 - axis] + 0.5).astype(np.int64)
        return np.maximum(at - far, 0), np.minimum(at + far + 1, self.reach.shape[axis])

    @cached_property
    def _corners(self) -> tuple[Indices, Indices, Indices, Indices]:
        """Of each of the others the corners of the box of cells that it may touch, in a flat array of running sums, one
        larger than the grid both ways: two are added, two taken away."""
        (top, bottom) = self.rows_of(self.others)
        left, right = self._touched(self.others, self.others % self.reach.shape[1], axis=1)
        wide = self.reach.shape[1] + 1
        return bottom * wide + right, top * wide + left, top * wide + right, bottom * wide + left

    def in_boxes(self, inside: Indices) -> tuple[Indices, Indices]:
        """Running sums of a number for each cell, and the sum over the box of cells of each of the others."""
        rows, columns = self.reach.shape
        sums = np.zeros((rows + 1, columns + 1), np.int64)
        np.cumsum(inside.reshape(rows, columns), axis=0, out=sums[1:, 1:])
        np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
        one, two, three, four = (sums.ravel().take(corner) for corner in self._corners)
        return sums, one + two - three - four

    def cells_of(self, xy: Floats) -> Indices:
        """The cell that each position lies in, numbered as the places are."""
        rows, columns = self.reach.shape
        column, row = np.floor(xy / self.cell).astype(np.int64).clip(0, (columns - 1, rows - 1)).T
        return np.asarray(row * columns + column)

    def xy(self, places: Indices) -> Floats:
        """The middles (n, 2) of these places, numbered row by row."""
        row, column = np.divmod(places, self.reach.shape[1])
        return np.stack([(column + 0.5) * self.cell[0], (row + 0.5) * self.cell[1]], axis=-1)


def reach_of(shape: Shape, area_mm2: float) -> float:
    """Radius of a circle, or half the side of a square, of an area."""
    return math.sqrt(area_mm2 / math.pi) if shape == "circle" else math.sqrt(area_mm2) / 2


def grid_of(width: float, height: float, shape: Shape, area_mm2: float) -> tuple[int, int]:
    """(columns, rows) of the grid of places on a slide of this size."""
    step = max(reach_of(shape, area_mm2) / _PLACES_PER_REACH, math.sqrt(width * height / _MOST_PLACES))
    return max(1, round(width / step)), max(1, round(height / step))


def distance(apart: Floats, shape: Shape) -> Floats:
    """How far a shape must reach to hold what lies so far (..., 2) from its centre."""
    x, y = apart[..., 0], apart[..., 1]
    return np.asarray(np.sqrt(x * x + y * y) if shape == "circle" else np.maximum(np.abs(x), np.abs(y)))


def _sums(shares: NDArray[np.float32], shape: Shape, reach: tuple[float, float]) -> Callable[[float, Indices], Floats]:
    """How many cells are held around some, by how many times its area the shape has grown. reach: in cells."""
    height, width = shares.shape
    far = [int(LIMIT * side) + 2 for side in reversed(reach)]
    sides = (max(side + away, 2 * away + 1) for side, away in zip(shares.shape, far, strict=True))
    rows, columns = (cv2.getOptimalDFTSize(side) for side in sides)
    room = np.zeros((rows, columns), np.float32)  # transformed in single precision, in half the time
    room[:height, :width] = shares
    spectrum = np.fft.rfft2(room)

    def held_by(growth: float, places: Indices) -> Floats:
        product = spectrum * _kernel_spectrum(shape, growth, reach, (rows, columns))
        summed = np.fft.irfft(np.fft.ifft(product, axis=0)[:height], n=columns, axis=1)
        return np.asarray(summed[:, :width].ravel().take(places), np.float64)

    return held_by


def reaches_on(evaluable: Evaluable, shape: Shape, area_mm2: float) -> Reaches:
    """Those of a slide's evaluable area, kept as long as that is. Raises ValueError without um/px."""
    if evaluable.mpp is None:
        raise ValueError("there is no area without um/px")
    made = _made.setdefault(evaluable, {})
    if (shape, area_mm2) not in made:
        width, height = (px * um / 1000 for px, um in zip(evaluable.size, evaluable.mpp, strict=True))
        grid = grid_of(width, height, shape, area_mm2)
        shares = cv2.resize(evaluable.pixels.astype(np.float32) * evaluable.spread, grid, interpolation=cv2.INTER_AREA)
        cell = width / grid[0], height / grid[1]
        made[shape, area_mm2] = Reaches(np.asarray(shares, np.float32), cell, shape, area_mm2)
    return made[shape, area_mm2]


_made: WeakKeyDictionary[Evaluable, dict[tuple[Shape, float], Reaches]] = WeakKeyDictionary()


@lru_cache(maxsize=256)
def _kernel(shape: Shape, growth: float, reach: tuple[float, float]) -> Floats:
    """The share of each cell that the shape covers, grown to so many times its area. reach: ungrown, in cells."""
    far = [size * math.sqrt(growth) for size in reach]
    axes = [_fine(size) for size in far]
    x, y = (axis / size for axis, size in zip(axes, far, strict=True))
    inside = distance(np.stack(np.meshgrid(x, y), axis=-1), shape) <= 1
    cells = inside.reshape(len(y) // _FINE, _FINE, len(x) // _FINE, _FINE).mean(axis=(1, 3))
    return np.asarray(cells * (_area_of(shape, far) / cells.sum()))


@lru_cache(maxsize=48)
def _kernel_spectrum(
    shape: Shape, growth: float, reach: tuple[float, float], size: tuple[int, int]
) -> NDArray[np.complex64]:
    """The same, around the corner of a picture [rows, columns], as its discrete Fourier transform."""
    kernel = _kernel(shape, growth, reach)
    room = np.zeros(size, np.float32)
    rows, columns = ((np.arange(side) - side // 2) % whole for side, whole in zip(kernel.shape, size, strict=True))
    room[np.ix_(rows, columns)] = kernel
    return np.fft.rfft2(room).astype(np.complex64)


def _fine(size: float) -> Floats:
    """Positions along one axis, in cells from the middle of a cell, `_FINE` in each cell that the shape may touch."""
    cells = 2 * (int(size + 0.5) + 1) + 1
    return (np.arange(cells * _FINE) + 0.5) / _FINE - cells / 2


def _area_of(shape: Shape, reach: Sequence[float]) -> float:
    """Area of an ellipse, or a rectangle, of these half axes, or half sides."""
    return (math.pi if shape == "circle" else 4.0) * reach[0] * reach[1]
