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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
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
_NOISE = 1e-4  # of an area: more than transforms in single precision are off by
_SLACK = 1e-9  # mm; figures so near to the rim are inside
_FINE = 4  # positions along the side of a cell by which it is told how much of it a shape covers
_PART, _MOST_IN_PART = 64, 512  # places that are looked at together
_BOUNDED = 4096  # places that are bounded more closely, the most promising ones
_STRIDE = PLACES_PER_REACH // 2  # between places that are looked at first for all that lies in one
_BANDS = 4  # of rows, by which a circle is bounded
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
        held_by = _sums(shares, shape, (self.unlimited / cell[0], self.unlimited / cell[1]))
        left = np.flatnonzero(shares > 0)
        before: Floats = np.zeros(len(left))
        size, before_size = area_mm2 / max(float(shares.max(initial=0.0)), LIMIT**-2), 0.0  # it cannot be less
        while len(left):
            held = held_by(size / area_mm2).ravel()[left] * (cell[0] * cell[1])
            enough = held >= area_mm2 * (1 - _NOISE)
            if before_size:
                share = (area_mm2 - before[enough]) / np.maximum(held[enough] - before[enough], 1e-12)
                grown = before_size + share.clip(0, 1) * (size - before_size)
                self.reach.flat[left[enough]] = reach_of(shape, 1.0) * np.sqrt(grown)
            else:
                self.reach.flat[left[enough]] = reach_of(shape, size)
            self.held.flat[left[enough]] = area_mm2
            left, before = left[~enough], held[~enough]
            if size >= LIMIT**2 * area_mm2:
                self.held.flat[left] = before.clip(0)
                return
            before_size, size = size, min(size * _GROWTH, LIMIT**2 * area_mm2)

    @property
    def size(self) -> int:
        """Number of places."""
        return self.reach.size

    @cached_property
    def boxes(self) -> tuple[Indices, Indices, Indices, Indices]:
        """Of each place the cells that it may touch: rows from and to, columns from and to."""
        rows, columns = self.reach.shape
        row, column = np.divmod(np.arange(self.size), columns)
        wide, high = (((self.reach.ravel() + _SLACK) / side + 0.5).astype(np.int64) for side in self.cell)
        return (
            np.maximum(row - high, 0), np.minimum(row + high + 1, rows),
            np.maximum(column - wide, 0), np.minimum(column + wide + 1, columns),
        )  # fmt: skip

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
    held = _Held(sorted_xy, reaches)
    places: list[Place] = []

    def fits(some: Indices) -> NDArray[np.bool_]:
        if not places:
            return np.ones(len(some), bool)
        at, reach = reaches.xy(some), reaches.reach.ravel()[some]
        gaps = [distance(at - (one.x, one.y), reaches.shape) - reach - one.reach for one in places]
        free = np.min(gaps, axis=0) >= -_SLACK
        beside = np.min(gaps, axis=0) <= 2 * max(reaches.cell)
        return np.asarray(free & beside if touching else free)

    while len(places) < number and (tied := held.best_of(fits)).size:
        best = _best(held, tied)
        reach = float(reaches.reach.flat[best])
        (middle,) = reaches.xy(np.array([best]))
        inside = np.flatnonzero(distance(sorted_xy - middle, reaches.shape) <= reach + _SLACK)
        x, y = middle.tolist()
        places.append(Place(x, y, reach, float(reaches.held.flat[best]), np.sort(order[inside])))
    return places


def in_places_of(xy: Floats, reaches: Reaches, least: int) -> NDArray[np.bool_]:
    """Which figures lie in a place that holds at least so many of them."""
    lies: NDArray[np.bool_] = np.zeros(len(xy), bool)
    if len(xy) < least or not ((held := _Held(xy, reaches)).at_most >= least).any():
        return lies
    row, column = np.divmod(np.arange(reaches.size), held.columns)
    # A part of the places leaves few figures, and of the others only those matter that may hold one of these.
    places = (row % _STRIDE == 0) & (column % _STRIDE == 0)
    for _ in range(2):
        for part in _parts(np.flatnonzero(places & (held.at_most >= least))):
            place, figure = held.pairs(part, least)
            lies[figure[held.exact[place] >= least]] = True
        if lies.all():
            break
        places = _Held(xy[~lies], reaches).at_most > 0
    return lies


def _best(held: _Held, tied: Indices) -> int:
    """Of places with as many figures, the one with the most evaluable area, and its figures nearest to the middle."""
    reaches = held.reaches
    mm2 = reaches.held.ravel()[tied]
    some = np.sort(tied[mm2 >= mm2.max() - 1e-6][:_TIED])
    place, figure = held.pairs(some, 0)
    apart = distance(held.xy[figure] - reaches.xy(place), reaches.shape)
    spread = np.bincount(np.searchsorted(some, place), apart**2, len(some))
    return int(some[int(np.argmin(spread.round(9)))])


def distance(apart: Floats, shape: Shape) -> Floats:
    """How far a shape must reach to hold what lies so far (..., 2) from its centre."""
    x, y = apart[..., 0], apart[..., 1]
    return np.asarray(np.sqrt(x * x + y * y) if shape == "circle" else np.maximum(np.abs(x), np.abs(y)))


class _Held:
    """How many figures places hold: at most, by the cells that they touch, and exactly for those that may matter.

    xy: (n, 2) of figures. at_most: for each place, figures in the box of cells around it.
    """

    def __init__(self, xy: Floats, reaches: Reaches) -> None:
        self.xy, self.reaches = np.asarray(xy, float).reshape(-1, 2), reaches
        self.rows, self.columns = reaches.reach.shape
        cell = np.floor(self.xy / reaches.cell).astype(np.int64).clip(0, (self.columns - 1, self.rows - 1))
        number = cell[:, 1] * self.columns + cell[:, 0]
        self.by_cell = np.argsort(number, kind="stable")  # figures, cell by cell
        inside = np.bincount(number, minlength=self.rows * self.columns)
        self.first = np.concatenate([[0], np.cumsum(inside)])  # of each cell, into by_cell
        sums = self.sums = np.zeros((self.rows + 1, self.columns + 1), np.int64)
        sums[1:, 1:] = inside.reshape(self.rows, self.columns).cumsum(axis=0).cumsum(axis=1)
        self.top, self.bottom, left, right = reaches.boxes
        counted = sums[self.bottom, right] - sums[self.top, right] + sums[self.top, left] - sums[self.bottom, left]
        self.at_most = np.where(reaches.reach.ravel() > 0, counted, 0)
        self.exact = np.full(reaches.size, -1)

    @cached_property
    def _promising(self) -> tuple[Indices, Indices]:
        """The places that may hold a figure, and how many at most, the most first."""
        some = np.flatnonzero(self.at_most)
        if len(some) > _BOUNDED:
            most = np.partition(self.at_most[some], -_BOUNDED)[-_BOUNDED]
            self._bound(some[self.at_most[some] >= most])
        else:
            self._bound(some)
        some = some[np.argsort(-self.at_most[some], kind="stable")]
        return some, self.at_most[some]

    def best_of(self, fits: Callable[[Indices], NDArray[np.bool_]]) -> Indices:
        """Of the places that fit all that hold the most figures; none where none holds one."""
        places, at_most = self._promising
        best = 1
        tied: list[Indices] = [places[:0]]
        for part, bounds in zip(_parts(places), _parts(at_most), strict=True):
            if bounds[0] < best:
                break
            some = part[self.at_most[part] >= best]
            some = some[fits(some)]
            self.pairs(some[self.exact[some] < 0], best)
            most = int(self.exact[some].max(initial=0))
            if most > best:
                best, tied = most, []
            tied.append(some[self.exact[some] == best])
        return np.sort(np.concatenate(tied))

    def _bound(self, places: Indices) -> None:
        """Closer bounds of how many these places hold: of a circle, by bands of rows, each as wide as it is there."""
        if self.reaches.shape == "square":
            return
        width, height = self.reaches.cell
        row, column = np.divmod(places, self.columns)
        reach = self.reaches.reach.ravel()[places] + _SLACK
        high = (reach / height + 0.5).astype(np.int64)
        inner = np.full(len(places), -1)  # rows from the middle that are counted already
        counted = np.zeros(len(places), np.int64)
        for band in range(1, _BANDS + 1):
            outer = high * band // _BANDS
            away = np.maximum(inner + 0.5, 0) * height
            wide = (np.sqrt(np.maximum(reach**2 - away**2, 0)) / width + 0.5).astype(np.int64)
            left, right = np.maximum(column - wide, 0), np.minimum(column + wide + 1, self.columns)
            for rows, sign in ((outer, 1), (inner, -1)):
                top, bottom = np.maximum(row - rows, 0), np.minimum(row + rows + 1, self.rows)
                box = self.sums[bottom, right] - self.sums[top, right] + self.sums[top, left] - self.sums[bottom, left]
                counted += np.where(rows >= 0, sign * box, 0)
            inner = outer
        self.at_most[places] = np.minimum(self.at_most[places], counted)

    def pairs(self, places: Indices, least: int) -> tuple[Indices, Indices]:
        """Every figure in every one of these places that may hold so many: the place, and the figure.

        What is learnt on the way is kept: exact numbers of those, closer bounds of the others.
        """
        one, start, many = self._ranges(places)
        self.at_most[places] = np.bincount(one, many, len(places)).astype(np.int64)
        rows = (self.at_most[places] >= least)[one]
        one, start, many = one[rows], start[rows], many[rows]
        place = places[np.repeat(one, many)]
        figure = self.by_cell[np.repeat(start, many) + _counting(many)]
        apart = distance(self.xy[figure] - self.reaches.xy(place), self.reaches.shape)
        inside = apart <= self.reaches.reach.ravel()[place] + _SLACK
        place, figure = place[inside], figure[inside]
        counted = places[self.at_most[places] >= least]
        self.exact[counted] = np.bincount(place, minlength=self.reaches.size)[counted]
        return place, figure

    def _ranges(self, places: Indices) -> tuple[Indices, Indices, Indices]:
        """Of each place the figures in the cells that it touches, row by row: index of the place, first, how many."""
        high = self.bottom[places] - self.top[places]
        one = np.repeat(np.arange(len(places)), high)
        row = self.top[places][one] + _counting(high)
        middle, column = np.divmod(places, self.columns)
        width, height = self.reaches.cell
        reach = self.reaches.reach.ravel()[places] + _SLACK
        if self.reaches.shape == "circle":
            away = np.maximum(np.abs(row - middle[one]) - 0.5, 0) * height
            wide = (np.sqrt(np.maximum(reach[one] ** 2 - away**2, 0)) / width + 0.5).astype(np.int64)
        else:
            wide = (reach / width + 0.5).astype(np.int64)[one]
        start = self.first[row * self.columns + np.maximum(column[one] - wide, 0)]
        end = self.first[row * self.columns + np.minimum(column[one] + wide, self.columns - 1) + 1]
        return one, start, end - start


def _parts(places: Indices) -> Iterator[Indices]:
    """Places in parts, few at first: the best are among them."""
    first, size = 0, _PART
    while first < len(places):
        yield places[first : first + size]
        first, size = first + size, min(2 * size, _MOST_IN_PART)


def _counting(many: Indices) -> Indices:
    """0, 1, .. up to each number, one after the other: [2, 3] gives [0, 1, 0, 1, 2]."""
    ends = np.cumsum(many)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - many, many)


def _sums(
    shares: NDArray[np.float32], shape: Shape, reach: tuple[float, float]
) -> Callable[[float], NDArray[np.float64]]:
    """How many cells are held around each cell, by how many times its area the shape has grown. reach: in cells."""
    far = [int(LIMIT * side) + 2 for side in reversed(reach)]
    sides = (max(side + away, 2 * away + 1) for side, away in zip(shares.shape, far, strict=True))
    rows, columns = (cv2.getOptimalDFTSize(side) for side in sides)
    room = np.zeros((rows, columns), np.float32)
    room[: shares.shape[0], : shares.shape[1]] = shares
    spectrum = cv2.dft(room)

    def held_by(growth: float) -> NDArray[np.float64]:
        kernel = _kernel_spectrum(shape, growth, reach, (rows, columns))
        summed = cv2.idft(cv2.mulSpectrums(spectrum, kernel, 0), flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
        return np.asarray(summed[: shares.shape[0], : shares.shape[1]], np.float64)

    return held_by


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
) -> NDArray[np.float32]:
    """The same, around the corner of a picture [rows, columns], as its discrete Fourier transform."""
    kernel = _kernel(shape, growth, reach)
    room = np.zeros(size, np.float32)
    rows, columns = ((np.arange(side) - side // 2) % whole for side, whole in zip(kernel.shape, size, strict=True))
    room[np.ix_(rows, columns)] = kernel
    return np.asarray(cv2.dft(room), np.float32)


def _fine(size: float) -> Floats:
    """Positions along one axis, in cells from the middle of a cell, `_FINE` in each cell that the shape may touch."""
    cells = 2 * (int(size + 0.5) + 1) + 1
    return (np.arange(cells * _FINE) + 0.5) / _FINE - cells / 2


def _area_of(shape: Shape, reach: Sequence[float]) -> float:
    """Area of an ellipse, or a rectangle, of these half axes, or half sides."""
    return (math.pi if shape == "circle" else 4.0) * reach[0] * reach[1]
