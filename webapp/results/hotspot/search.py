"""The hotspot: where a circle or square of a given area holds the most figures. Exact, and the same at every call.

The shape lies wholly on the ground (the slide; the tumour regions where there are any; less the exclusions), touching
its rim at most. What is proven: no other position of the shape on the ground holds more figures. The argument:

1. The positions of the centre from which the shape holds the figures of a best place, and lies on the ground, are a
   closed set. Either its rim meets the rim of the shape around one of those figures, or it is a whole pocket of the
   ground's allowed positions. So it is enough to try one position in every pocket (`Circle.pockets`, `Square.pockets`)
   and, around every figure, the positions on the rim of the shape where a figure comes in or the ground ends.
2. Cells of positions are dropped when all figures that some position in a cell could hold are no more than what a
   position tried already holds; the others are halved. What is left tells around which figures the rim has to be
   searched. It begins with the cells of a grid, for all of which at once one convolution says how many they could
   hold (`_Grid`), the most promising first.

How exact: figures within one part in 10^9 of the rim count as inside (a nanometre); of a circle in a pocket of allowed
positions narrower than 5 / 10,000 of its radius (0.4 um at 2 mm2), which reaches no figure's rim, nothing is found.

All coordinates in here are mm; arrays of positions are (x, y) apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

_SLACK = 1e-9  # of the reach: what counts as on the rim
_WORK = 50_000  # pairs of figures (and edges of the ground): rims are searched when there are no more
_PART = 500_000  # pairs that are looked at together
_BINS = 8  # about, for each figure
_FINEST = 1e-5  # of the reach: cells are not halved further


@dataclass(frozen=True)
class Place:
    """A position of the shape. x, y: mm. inside: the indices of the figures that it holds."""

    x: float
    y: float
    inside: Indices

    @property
    def count(self) -> int:
        """How many figures it holds."""
        return len(self.inside)


@dataclass(frozen=True)
class _Rims:
    """Positions of the centre to try, and how many figures each holds."""

    x: Floats
    y: Floats
    count: Indices


class Ground:
    """Where the shape may lie. area: polygons in mm; taken: centres of places already given away."""

    def __init__(self, area: BaseGeometry) -> None:
        self.area = area
        self.rim = area.boundary
        shapely.prepare(self.area)
        shapely.prepare(self.rim)
        rings = shapely.get_parts(self.rim)
        corners = [shapely.get_coordinates(ring) for ring in rings]
        self.edges_from: Floats = np.concatenate([c[:-1] for c in corners]) if corners else np.empty((0, 2))
        self.edges_to: Floats = np.concatenate([c[1:] for c in corners]) if corners else np.empty((0, 2))
        self.taken: list[tuple[float, float]] = []


class Shape(Protocol):
    """What Circle and Square know of themselves. reach: radius, or half the side."""

    reach: float
    corner: float  # distance from the middle of a cell to its farthest position, in halves of its side

    def distance(self, dx: Floats, dy: Floats) -> Floats:
        """At most `reach` where a figure (dx, dy) away from the centre lies in the shape."""
        ...

    def lies(self, ground: Ground, x: Floats, y: Floats, reach: float) -> Flags:
        """Whether the shape of this reach lies on the ground's area."""
        ...

    def pockets(self, area: BaseGeometry, taken: list[tuple[float, float]]) -> BaseGeometry:
        """Allowed positions, so that one point of each part can be tried."""
        ...

    def rims(self, x: Floats, y: Floats, around: Indices, ground: Ground) -> _Rims:
        """The positions, on the rim of the shape around these figures, where the count or the ground changes."""
        ...


class Circle:
    """A disc of this area in mm2."""

    corner = math.sqrt(2)

    def __init__(self, area_mm2: float) -> None:
        self.reach = math.sqrt(area_mm2 / math.pi)

    def distance(self, dx: Floats, dy: Floats) -> Floats:
        return np.sqrt(dx * dx + dy * dy)

    def lies(self, ground: Ground, x: Floats, y: Floats, reach: float) -> Flags:
        inside = shapely.contains_xy(ground.area, x, y)
        return np.asarray(inside & ~np.asarray(shapely.dwithin(ground.rim, shapely.points(x, y), reach)))

    def pockets(self, area: BaseGeometry, taken: list[tuple[float, float]]) -> BaseGeometry:
        # Offset curves are polygons in shapely, at most 3 / 10,000 of the reach inside the true ones: the second
        # answer is cautious enough to be allowed throughout, the first finds ground that just fits.
        found: list[BaseGeometry] = []
        for reach in (self.reach * (1 - _SLACK), self.reach * (1 + 5e-4)):
            allowed: BaseGeometry = area.buffer(-reach, quad_segs=32)
            for x, y in taken:
                allowed = allowed.difference(shapely.Point(x, y).buffer(2 * reach, quad_segs=32))
            found.append(allowed)
        return shapely.GeometryCollection(found)

    def rims(self, x: Floats, y: Floats, around: Indices, ground: Ground) -> _Rims:
        radius = self.reach * (1 + _SLACK)
        row, other = _between(x, x[around] - 2 * radius, x[around] + 2 * radius)
        dx, dy = x[other] - x[around][row], y[other] - y[around][row]
        d = np.hypot(dx, dy)
        always = np.bincount(row[d == 0], minlength=len(around))  # itself, and figures at the same place
        meet = np.flatnonzero((d > 0) & (d <= 2 * radius))
        row, dx, dy, d = row[meet], dx[meet], dy[meet], d[meet]
        middle = np.arctan2(dy, dx)
        half = np.arccos(d / (2 * radius))
        start = (middle - half) % (2 * math.pi)
        end = start + 2 * half
        wraps = end >= 2 * math.pi
        always = always + np.bincount(row[wraps], minlength=len(around))
        end = np.where(wraps, end - 2 * math.pi, end)
        cross_row, cross = self._crossings(x[around], y[around], ground, radius)
        at_row = np.concatenate([row, cross_row, np.arange(len(around))])
        at = np.concatenate([start, cross, np.zeros(len(around))])
        count = always[at_row] + _stabbed(at_row, at, row, start, row, end, len(around))
        centre = around[at_row]
        return _Rims(x[centre] + radius * np.cos(at), y[centre] + radius * np.sin(at), count)

    def _crossings(self, qx: Floats, qy: Floats, ground: Ground, radius: float) -> tuple[Indices, Floats]:
        """Angles on the circles around (qx, qy) where the disc comes to touch the ground's rim or a taken place."""
        keep = self.reach * (1 - _SLACK / 2)
        discs = [(ground.edges_from, keep), (np.array(ground.taken).reshape(-1, 2), 2 * keep)]
        rows: list[Indices] = []
        angles: list[Floats] = []
        with np.errstate(divide="ignore", invalid="ignore"):
            for centres, away in discs:
                dx, dy = centres[:, 0] - qx[:, None], centres[:, 1] - qy[:, None]
                d = np.hypot(dx, dy)
                half = np.arccos((radius**2 + d**2 - away**2) / (2 * radius * d))
                _collect(rows, angles, np.arctan2(dy, dx), half)
            along = ground.edges_to - ground.edges_from
            normal = np.arctan2(along[:, 0], -along[:, 1])
            offset = np.cos(normal) * (ground.edges_from[:, 0] - qx[:, None])
            offset = offset + np.sin(normal) * (ground.edges_from[:, 1] - qy[:, None])
            for side in (-keep, keep):
                _collect(rows, angles, np.broadcast_to(normal, offset.shape), np.arccos((offset + side) / radius))
        return np.concatenate(rows), np.concatenate(angles) % (2 * math.pi)


class Square:
    """A square of this area in mm2, its sides along the slide's."""

    corner = 1.0

    def __init__(self, area_mm2: float) -> None:
        self.reach = math.sqrt(area_mm2) / 2

    def distance(self, dx: Floats, dy: Floats) -> Floats:
        return np.maximum(np.abs(dx), np.abs(dy))

    def lies(self, ground: Ground, x: Floats, y: Floats, reach: float) -> Flags:
        result: Flags = shapely.covers(ground.area, shapely.box(x - reach, y - reach, x + reach, y + reach))
        return result

    def pockets(self, area: BaseGeometry, taken: list[tuple[float, float]]) -> BaseGeometry:
        # Where the square meets an edge: the square drawn along that edge, a hexagon.
        ground, reach = Ground(area), self.reach * (1 - _SLACK)
        corners = np.array([[-reach, -reach], [reach, -reach], [reach, reach], [-reach, reach]])
        swept = np.concatenate(
            [ground.edges_from[:, None] + corners, ground.edges_to[:, None] + corners], axis=1
        )  # (edges, 8, 2)
        blocked: list[BaseGeometry] = np.asarray(shapely.convex_hull(shapely.multipoints(swept))).tolist()
        blocked += [shapely.box(x - 2 * reach, y - 2 * reach, x + 2 * reach, y + 2 * reach) for x, y in taken]
        return area.difference(shapely.union_all(blocked))

    def rims(self, x: Floats, y: Floats, around: Indices, ground: Ground) -> _Rims:
        upright = self._sides(x, y, around, ground.edges_from, ground.edges_to, ground.taken)
        turned = self._sides(
            y, x, around, ground.edges_from[:, ::-1], ground.edges_to[:, ::-1], [(b, a) for a, b in ground.taken]
        )
        return _Rims(
            np.concatenate([upright.x, turned.y]),
            np.concatenate([upright.y, turned.x]),
            np.concatenate([upright.count, turned.count]),
        )

    def _sides(
        self, x: Floats, y: Floats, around: Indices, edges_from: Floats, edges_to: Floats, taken: list[Any]
    ) -> _Rims:
        """The left and right sides of the squares around these figures."""
        half, keep = self.reach * (1 + _SLACK), self.reach * (1 - _SLACK / 2)
        side_x = np.concatenate([x[around] - half, x[around] + half])
        low = np.concatenate([y[around], y[around]]) - half
        row, other = _between(x, side_x - half * (1 + _SLACK), side_x + half * (1 + _SLACK))
        start, end = y[other] - half, y[other] + half
        rows, at = [row, np.arange(len(side_x))], [np.maximum(start, low[row]), low]
        with np.errstate(divide="ignore", invalid="ignore"):
            # The part of each edge that lies in the strip which the square sweeps: from share t0 to t1 of the edge.
            run = edges_to[:, 0] - edges_from[:, 0]
            t = [(side_x[:, None] + sign * keep - edges_from[:, 0]) / run for sign in (-1, 1)]
            t0, t1 = np.fmax(np.fmin(*t), 0), np.fmin(np.fmax(*t), 1)
            flat = (run == 0) & (np.abs(edges_from[:, 0] - side_x[:, None]) < keep)
            t0, t1 = np.where(flat, 0, t0), np.where(flat, 1, t1)
        edge_row, edge = np.nonzero(t0 <= t1)
        rise = edges_to[:, 1] - edges_from[:, 1]
        for share in (t0, t1):
            touch = edges_from[edge, 1] + share[edge_row, edge] * rise[edge]
            for sign in (-1, 1):
                rows.append(edge_row)
                at.append(touch + sign * keep)
        for centre in taken:
            for sign in (-1, 1):
                rows.append(np.arange(len(side_x)))
                at.append(np.full(len(side_x), centre[1] + 2 * sign * keep))
        at_row, at_y = np.concatenate(rows), np.concatenate(at)
        on_side = (at_y >= low[at_row]) & (at_y <= low[at_row] + 2 * half)
        at_row, at_y = at_row[on_side], at_y[on_side]
        count = _stabbed(at_row, at_y - low[at_row], row, start - low[row], row, end - low[row], len(side_x))
        return _Rims(side_x[at_row], at_y, count)


def hotspots(x: Floats, y: Floats, shape: Shape, area: BaseGeometry, number: int = 3) -> list[Place]:
    """The place that holds the most figures, then the best that does not overlap it, and so on. x, y: figures, mm.

    area: the ground, polygons in mm. Empty where the shape does not fit or no figure can be reached.
    """
    order = np.lexsort((y, x))  # so that the order in which the figures come changes nothing
    x, y = np.asarray(x, float)[order], np.asarray(y, float)[order]
    ground = Ground(area)
    left = np.arange(len(x))
    places: list[Place] = []
    while len(places) < number and (place := _best(x[left], y[left], shape, ground)):
        inside = left[place.inside]
        places.append(Place(place.x, place.y, np.sort(order[inside])))
        ground.taken.append((place.x, place.y))
        left = np.setdiff1d(left, inside)
    return places


def fits(shape: Shape, area: BaseGeometry) -> bool:
    """Whether the shape can lie on the ground at all."""
    return _pockets(shape, Ground(area)) is not None


def _best(x: Floats, y: Floats, shape: Shape, ground: Ground) -> Place | None:
    pockets = _pockets(shape, ground)
    if pockets is None or len(x) == 0:
        return None
    best, at = 0, (math.nan, math.nan)
    for px, py in zip(*pockets, strict=True):
        if (count := len(_inside(x, y, shape, px, py))) > best:
            best, at = count, (float(px), float(py))
    grid = _Grid(x, y, shape, ground)
    first, number = 0, 256
    while len(cells := grid.cells(first, number)) and grid.most[cells[0]] > best:
        first += number
        number = min(max(_PART // (int((grid.most[cells] - grid.sure[cells]).mean()) + 1), 256), 4096)
        cells = cells[grid.most[cells] > best]
        best, at, around = _narrow(x, y, shape, ground, best, at, grid, cells)
        best, at = _searched(x, y, shape, ground, best, at, around)
    return _settled(x, y, shape, ground, at) if best else None


def _searched(
    x: Floats, y: Floats, shape: Shape, ground: Ground, best: int, at: tuple[float, float], around: Indices
) -> tuple[int, tuple[float, float]]:
    """The best place on the rims of the shape around these figures, or the one that is known where none is better."""
    rows = max(1, int(_PART / _pairs(x, shape, ground)))
    for first in range(0, len(around), rows):
        rims = shape.rims(x, y, around[first : first + rows], ground)
        better = np.flatnonzero(rims.count > best)
        better = better[np.lexsort((better, -rims.count[better]))]
        for batch in range(0, len(better), 512):
            tried = better[batch : batch + 512]
            allowed = tried[_allowed(shape, ground, rims.x[tried], rims.y[tried])]
            if len(allowed):
                first_allowed = allowed[0]
                best, at = int(rims.count[first_allowed]), (float(rims.x[first_allowed]), float(rims.y[first_allowed]))
                break
    return best, at


class _Grid:
    """Figures in square bins, and of each bin how many figures a shape with its centre in it holds.

    sure: those that it holds wherever in the bin its centre is; most: those that it may hold. half: half the side of a
    bin, mm. Bins are numbered column by column.
    """

    def __init__(self, x: Floats, y: Floats, shape: Shape, ground: Ground) -> None:
        low_x, low_y, high_x, high_y = ground.area.bounds
        width, height = high_x - low_x, high_y - low_y
        bins = _BINS * max(len(x), 100)
        side = max(math.sqrt(width * height / bins), max(width, height) / bins)
        self._low, self.half = (low_x, low_y), side / 2
        self._columns, self._rows = int(width / side) + 1, int(height / side) + 1
        slack = shape.reach * _SLACK
        on_ground = (x >= low_x - slack) & (x <= high_x + slack) & (y >= low_y - slack) & (y <= high_y + slack)
        column = np.clip(((x - low_x) / side).astype(int), 0, self._columns - 1)
        row = np.clip(((y - low_y) / side).astype(int), 0, self._rows - 1)
        number = (column * self._rows + row)[on_ground]
        held = np.bincount(number, minlength=self._columns * self._rows)
        self._by_bin = np.flatnonzero(on_ground)[np.argsort(number, kind="stable")]
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
    x: Floats, y: Floats, shape: Shape, ground: Ground, best: int, at: tuple[float, float], grid: _Grid, cells: Indices
) -> tuple[int, tuple[float, float], Indices]:
    """A good place in some cells, and the figures around whose rims a better one may lie.

    Cells of positions are halved. `sure`: figures that every position in a cell holds; `near`: those that some do.
    """
    reach = shape.reach * (1 + _SLACK)
    weight = _pairs(x, shape, ground)
    half = grid.half
    cells = cells[_possible(shape, ground, *grid.middles(cells), half)]
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
        rising = rising[_allowed(shape, ground, cell_x[rising], cell_y[rising])]
        if len(rising):
            best, at = int(middle[rising[0]]), (float(cell_x[rising[0]]), float(cell_y[rising[0]]))
        keep = most > best
        kept = np.flatnonzero(keep)
        keep[kept] = _possible(shape, ground, cell_x[kept], cell_y[kept], half)
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


def _possible(shape: Shape, ground: Ground, x: Floats, y: Floats, half: float) -> Flags:
    """Whether the shape may lie on the ground with its centre in these cells, half a side of which is `half`."""
    slack = half * shape.corner
    if slack >= shape.reach:
        return np.ones(len(x), bool)
    # A smaller shape in the middle of the cell lies in every shape of the cell.
    return _allowed(shape, ground, x, y, shape.reach * (1 - _SLACK) - slack, slack)


def _pairs(x: Floats, shape: Shape, ground: Ground) -> float:
    """How many figures (and edges of the ground) have to be looked at around each figure, about."""
    reached = np.searchsorted(x, x + 2 * shape.reach) - np.searchsorted(x, x - 2 * shape.reach)
    return float(reached.mean()) + 6 * len(ground.edges_from)


def _between(values: Floats, low: Floats, high: Floats) -> tuple[Indices, Indices]:
    """All pairs of a row and the index of a value with low[row] <= value <= high[row]."""
    order = np.argsort(values, kind="stable")
    begin = np.searchsorted(values, low, "left", order)
    row, position = _unrolled(begin, np.searchsorted(values, high, "right", order))
    return row, order[position]


def _unrolled(begin: Indices, end: Indices) -> tuple[Indices, Indices]:
    """All pairs of a row and a number from begin[row] up to, and without, end[row]."""
    length = end - begin
    row = np.repeat(np.arange(len(begin)), length)
    return row, np.arange(len(row)) + np.repeat(begin - (np.cumsum(length) - length), length)


def _distinct(indices: Indices, below: int) -> Indices:
    flags = np.zeros(below, bool)
    flags[indices] = True
    return np.flatnonzero(flags)


def _allowed(
    shape: Shape, ground: Ground, x: Floats, y: Floats, reach: float | None = None, slack: float = 0.0
) -> Flags:
    """Whether the shape lies on the ground and overlaps no taken place. slack: how far it may be moved to do so."""
    if not len(x):
        return np.zeros(0, bool)
    allowed = shape.lies(ground, x, y, shape.reach * (1 - _SLACK) if reach is None else reach)
    for taken_x, taken_y in ground.taken:
        allowed &= shape.distance(x - taken_x, y - taken_y) >= 2 * shape.reach * (1 - _SLACK) - slack
    return allowed


def _pockets(shape: Shape, ground: Ground) -> tuple[Floats, Floats] | None:
    """One allowed position of each pocket; None where there is none."""
    low_x, low_y, high_x, high_y = ground.area.bounds
    middle = shapely.Point((low_x + high_x) / 2, (low_y + high_y) / 2)  # for a slide that the shape just fits
    parts = [part for part in _parts(shape.pockets(ground.area, ground.taken)) if not part.is_empty]
    points = shapely.point_on_surface([middle, *parts])
    x, y = shapely.get_x(points), shapely.get_y(points)
    allowed = _allowed(shape, ground, x, y)
    return (x[allowed], y[allowed]) if allowed.any() else None


def _parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    parts = shapely.get_parts(geometry)
    return [leaf for part in parts for leaf in (_parts(part) if hasattr(part, "geoms") else [part])]


def _inside(x: Floats, y: Floats, shape: Shape, at_x: float, at_y: float) -> Indices:
    return np.flatnonzero(shape.distance(x - at_x, y - at_y) <= shape.reach * (1 + 3 * _SLACK))


def _settled(x: Floats, y: Floats, shape: Shape, ground: Ground, at: tuple[float, float]) -> Place:
    """The place, moved towards the middle of its figures as far as it keeps them, so that none lies on its rim."""
    place = Place(*at, _inside(x, y, shape, *at))
    middle_x, middle_y = float(x[place.inside].mean()), float(y[place.inside].mean())
    for share in (1.0, 0.5, 0.25, 0.125):
        moved_x, moved_y = at[0] + share * (middle_x - at[0]), at[1] + share * (middle_y - at[1])
        moved = Place(moved_x, moved_y, _inside(x, y, shape, moved_x, moved_y))
        if moved.count >= place.count and _allowed(shape, ground, np.array([moved_x]), np.array([moved_y]))[0]:
            return moved
    return place


def _stabbed(
    at_row: Indices, at: Floats, start_row: Indices, start: Floats, end_row: Indices, end: Floats, rows: int
) -> Indices:
    """How many intervals [start, end] of its row hold each `at`; one that ends below its start counts -1 between."""
    span = 1 + max(float(np.abs(a).max()) if len(a) else 0.0 for a in (at, start, end)) * 2
    keys = [np.sort(row * span + value) for row, value in ((start_row, start), (end_row, end))]
    first = [np.searchsorted(key, np.arange(rows) * span - span / 2) for key in keys]
    begun = np.searchsorted(keys[0], at_row * span + at, side="right") - first[0][at_row]
    ended = np.searchsorted(keys[1], at_row * span + at, side="left") - first[1][at_row]
    return np.asarray(begun - ended)


def _collect(rows: list[Indices], angles: list[Floats], middle: Floats, half: Floats) -> None:
    """Add the angles middle +- half of every row where there are any (half is NaN where there are none)."""
    row, column = np.nonzero(np.isfinite(half))
    for sign in (-1, 1):
        rows.append(row)
        angles.append(middle[row, column] + sign * half[row, column])
