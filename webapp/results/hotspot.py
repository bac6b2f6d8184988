"""The hotspot: the place whose circle, or square, holds the most figures in a given evaluable area.

The shape grows until it holds that much (`reaches`). What is found is exact over the grid of places: no other holds
more figures. Of places with as many, the one with the most evaluable area, and of these the one that its figures lie
closest to, is taken. The next hotspot is the best place whose shape does not overlap those before it.

All coordinates in here are mm; arrays of positions are (n, 2), x and y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from webapp.results.reaches import SLACK, Floats, Indices, Reaches, distance

_PART, _MOST_IN_PART = 64, 512  # places that are looked at together
_BOUNDED = 1024  # places that are bounded more closely, the most promising ones
_STRIDES = (10, 5, 2, 1)  # between places that are looked at, one after the other, for all that lies in one
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


def hotspots(held: Held, number: int = 3, *, touching: bool = False, fill: bool = False) -> list[Place]:
    """The place that holds the most of the figures, then the best that does not overlap it, and so on.

    touching: the others only beside one of those before, as fields in a row are. Fewer, or none, where no place holds a
    figure; fill: then with the nearest places that hold none, as far as they hold the whole area.
    """
    reaches = held.reaches
    places: list[Place] = []

    def fits(some: Indices) -> NDArray[np.bool_]:
        if not places:
            return np.ones(len(some), bool)
        at, reach = reaches.xy(some), reaches.reach.ravel()[some]
        gaps = [distance(at - (one.x, one.y), reaches.shape) - reach - one.reach for one in places]
        free = np.min(gaps, axis=0) >= -SLACK
        beside = np.min(gaps, axis=0) <= 2 * max(reaches.cell)
        return np.asarray(free & beside if touching else free)

    def take(best: int) -> None:
        _, figures = held.pairs(np.array([best]), 0)
        ((x, y),) = reaches.xy(np.array([best])).tolist()
        reach, mm2 = float(reaches.reach.flat[best]), float(reaches.held.flat[best])
        places.append(Place(x, y, reach, mm2, np.sort(held.order[figures])))

    while len(places) < number and (tied := held.best_of(fits)).size:
        take(_best(held, tied))
    if fill and places:
        left = reaches.whole
        while len(places) < number and (left := left[fits(left)]).size:
            apart = distance(reaches.xy(left) - (places[0].x, places[0].y), "circle")
            take(int(left[int(np.argmin(apart.round(9)))]))
    return places


def in_places_of(held: Held, least: int) -> NDArray[np.bool_]:
    """Which figures lie in a place that holds at least so many of them."""
    reaches = held.reaches
    lies = held.in_usual(held.exact >= least)
    # A part of the places leaves few figures, and of the others only those matter that may hold one of these.
    for stride in _STRIDES:
        may = (held.at_most[reaches.others] >= least) & _every(stride, held.rows, held.columns)[reaches.others]
        if lies.all() or not may.any():
            continue
        left = np.bincount(held.cell[~lies], minlength=reaches.size)
        for part in _parts(reaches.others[may & (reaches.in_boxes(left)[1] > 0)]):
            place, figure = held.pairs(part, least)
            lies[figure[held.exact[place] >= least]] = True
    found = np.zeros_like(lies)
    found[held.order[lies]] = True
    return found


@lru_cache(maxsize=64)
def _every(stride: int, rows: int, columns: int) -> NDArray[np.bool_]:
    """Which places, numbered row by row, lie so far apart."""
    return np.asarray(((np.arange(rows) % stride == 0)[:, None] & (np.arange(columns) % stride == 0)).ravel())


def _best(held: Held, tied: Indices) -> int:
    """Of places with as many figures, the one with the most evaluable area, and its figures nearest to the middle."""
    reaches = held.reaches
    mm2 = reaches.held.ravel()[tied]
    some = np.sort(tied[mm2 >= mm2.max() - 1e-6][:_TIED])
    place, figure = held.pairs(some, 0)
    apart = distance(held.xy[figure] - reaches.xy(place), reaches.shape)
    spread = np.bincount(np.searchsorted(some, place), apart**2, len(some))
    return int(some[int(np.argmin(spread.round(9)))])


class Held:
    """How many figures places hold: at most, by the cells that they touch, and exactly for those that may matter.

    xy: (n, 2) of figures, in an order of their own, so that the order in which they come changes nothing; order: their
    indices as they came. cell: the cell of each. at_most: for each place, figures in the box of cells around it; exact:
    how many it holds, -1 where that is not known yet. whole: only places that hold the whole area count.
    """

    def __init__(self, xy: Floats, reaches: Reaches, *, whole: bool = False) -> None:
        self.reaches = reaches
        self.rows, self.columns = reaches.reach.shape
        came = np.asarray(xy, float).reshape(-1, 2)
        cell = reaches.cells_of(came)
        self.order = np.lexsort((came[:, 0], came[:, 1], cell))  # cell by cell
        self.xy, self.cell = came[self.order], cell[self.order]
        inside = np.bincount(cell, minlength=reaches.size)
        self.first = np.concatenate([[0], np.cumsum(inside)])  # figure of each cell
        self.at_most = np.where(reaches.usually, self._usually(), 0)
        self.exact = self.at_most.copy()
        self.exact[reaches.others] = -1
        self.sums, self.at_most[reaches.others] = reaches.in_boxes(inside)
        if whole:
            part = np.ones(reaches.size, bool)
            part[reaches.whole] = False
            self.at_most[part] = self.exact[part] = 0

    @cached_property
    def _spans(self) -> tuple[Indices, Indices, Indices]:
        """Of each figure, row by row, the places that hold it if their reach is the usual one: the figure, the first
        and the one after the last. Places are numbered as if each row had one more, where spans may end."""
        (width, height), reach = self.reaches.cell, self.reaches.usual + SLACK
        x, y = self.xy.T
        top = np.maximum(np.ceil((y - reach) / height - 0.5), 0).astype(np.int64)
        many = np.minimum(np.floor((y + reach) / height - 0.5), self.rows - 1).astype(np.int64) + 1 - top
        figure = np.repeat(np.arange(len(top)), many.clip(0))
        row = top[figure] + _counting(many.clip(0))
        away = (row + 0.5) * height - y[figure]
        wide = np.sqrt(np.maximum(reach**2 - away**2, 0)) if self.reaches.shape == "circle" else reach
        left = np.maximum(np.ceil((x[figure] - wide) / width - 0.5), 0).astype(np.int64)
        right = np.minimum(np.floor((x[figure] + wide) / width - 0.5) + 1, self.columns).astype(np.int64)
        some, first = left < right, row * (self.columns + 1)
        return figure[some], (first + left)[some], (first + right)[some]

    def _usually(self) -> Indices:
        """How many figures each place holds if its reach is the usual one."""
        _, first, end = self._spans
        size = self.rows * (self.columns + 1)
        change = np.bincount(first, minlength=size) - np.bincount(end, minlength=size)
        return np.asarray(np.cumsum(change).reshape(self.rows, -1)[:, :-1].ravel())

    def in_usual(self, places: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which figures lie in one of these places, of those whose reach is the usual one."""
        figure, first, end = self._spans
        chosen = np.zeros((self.rows, self.columns + 1), np.int64)
        chosen[:, 1:] = (places & self.reaches.usually).reshape(self.rows, -1)
        before = np.cumsum(chosen)  # places before each one
        found: NDArray[np.bool_] = np.zeros(len(self.xy), bool)
        found[figure[before[end] > before[first]]] = True
        return found

    @cached_property
    def _promising(self) -> tuple[Indices, Indices]:
        """The places that may hold a figure, and how many at most, the most first."""
        some = self.reaches.others
        some = some[self.at_most[some] > self.exact.max(initial=0) // 2]  # the next best are hardly worse than that
        if len(some) > _BOUNDED:
            most = np.partition(self.at_most[some], -_BOUNDED)[-_BOUNDED]
            some = some[self.at_most[some] >= most]
        self._bound(some)
        some = np.flatnonzero(self.at_most)
        fewer = self.at_most.max(initial=0) - self.at_most[some]
        small = np.uint16 if fewer.max(initial=0) < 1 << 16 else np.int64  # sorted in a quarter of the time
        some = some[np.argsort(fewer.astype(small), kind="stable")]
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
        reach = self.reaches.reach.ravel()[places] + SLACK
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
        one, figure = np.repeat(one, many), np.repeat(start, many) + _counting(many)
        apart = distance(self.xy[figure] - self.reaches.xy(places)[one], self.reaches.shape)
        inside = apart <= self.reaches.reach.ravel()[places][one] + SLACK
        one, figure = one[inside], figure[inside]
        counted = self.at_most[places] >= least
        self.exact[places[counted]] = np.bincount(one, minlength=len(places))[counted]
        return places[one], figure

    def _ranges(self, places: Indices) -> tuple[Indices, Indices, Indices]:
        """Of each place the figures in the cells that it touches, row by row: index of the place, first, how many."""
        top, bottom = self.reaches.rows_of(places)
        one = np.repeat(np.arange(len(places)), bottom - top)
        row = top[one] + _counting(bottom - top)
        middle, column = np.divmod(places, self.columns)
        width, height = self.reaches.cell
        reach = self.reaches.reach.ravel()[places] + SLACK
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
