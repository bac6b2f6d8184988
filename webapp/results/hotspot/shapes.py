"""Circle and square: where each may lie, and the rims on which the best one is to be found. Coordinates are mm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]
_SLACK = 1e-9  # of the reach: what counts as on the rim


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


class Roi:
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

    def lies(self, roi: Roi, x: Floats, y: Floats, reach: float) -> Flags:
        """Whether the shape of this reach lies inside the ROI."""
        ...

    def pockets(self, area: BaseGeometry, taken: list[tuple[float, float]]) -> BaseGeometry:
        """Allowed positions, so that one point of each part can be tried."""
        ...

    def rims(self, x: Floats, y: Floats, around: Indices, roi: Roi) -> _Rims:
        """The positions, on the rim of the shape around these figures, where the count or the ROI changes."""
        ...


class Circle:
    """A disc of this area in mm2."""

    corner = math.sqrt(2)

    def __init__(self, area_mm2: float) -> None:
        self.reach = math.sqrt(area_mm2 / math.pi)

    def distance(self, dx: Floats, dy: Floats) -> Floats:
        return np.sqrt(dx * dx + dy * dy)

    def lies(self, roi: Roi, x: Floats, y: Floats, reach: float) -> Flags:
        inside = shapely.contains_xy(roi.area, x, y)
        return np.asarray(inside & ~np.asarray(shapely.dwithin(roi.rim, shapely.points(x, y), reach)))

    def pockets(self, area: BaseGeometry, taken: list[tuple[float, float]]) -> BaseGeometry:
        # Offset curves are polygons in shapely, at most 3 / 10,000 of the reach inside the true ones: the second
        # answer is cautious enough to be allowed throughout, the first finds room that just fits.
        found: list[BaseGeometry] = []
        for reach in (self.reach * (1 - _SLACK), self.reach * (1 + 5e-4)):
            allowed: BaseGeometry = area.buffer(-reach, quad_segs=32)
            for x, y in taken:
                allowed = allowed.difference(shapely.Point(x, y).buffer(2 * reach, quad_segs=32))
            found.append(allowed)
        return shapely.GeometryCollection(found)

    def rims(self, x: Floats, y: Floats, around: Indices, roi: Roi) -> _Rims:
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
        cross_row, cross = self._crossings(x[around], y[around], roi, radius)
        at_row = np.concatenate([row, cross_row, np.arange(len(around))])
        at = np.concatenate([start, cross, np.zeros(len(around))])
        count = always[at_row] + intervals_containing(at_row, at, row, start, row, end, len(around))
        centre = around[at_row]
        return _Rims(x[centre] + radius * np.cos(at), y[centre] + radius * np.sin(at), count)

    def _crossings(self, qx: Floats, qy: Floats, roi: Roi, radius: float) -> tuple[Indices, Floats]:
        """Angles on the circles around (qx, qy) where the disc comes to touch the ROI's rim or a taken place."""
        keep = self.reach * (1 - _SLACK / 2)
        discs = [(roi.edges_from, keep), (np.array(roi.taken).reshape(-1, 2), 2 * keep)]
        rows: list[Indices] = []
        angles: list[Floats] = []
        with np.errstate(divide="ignore", invalid="ignore"):
            for centres, away in discs:
                dx, dy = centres[:, 0] - qx[:, None], centres[:, 1] - qy[:, None]
                d = np.hypot(dx, dy)
                half = np.arccos((radius**2 + d**2 - away**2) / (2 * radius * d))
                _collect(rows, angles, np.arctan2(dy, dx), half)
            along = roi.edges_to - roi.edges_from
            normal = np.arctan2(along[:, 0], -along[:, 1])
            offset = np.cos(normal) * (roi.edges_from[:, 0] - qx[:, None])
            offset = offset + np.sin(normal) * (roi.edges_from[:, 1] - qy[:, None])
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

    def lies(self, roi: Roi, x: Floats, y: Floats, reach: float) -> Flags:
        result: Flags = shapely.covers(roi.area, shapely.box(x - reach, y - reach, x + reach, y + reach))
        return result

    def pockets(self, area: BaseGeometry, taken: list[tuple[float, float]]) -> BaseGeometry:
        # Where the square meets an edge: the square drawn along that edge, a hexagon.
        roi, reach = Roi(area), self.reach * (1 - _SLACK)
        corners = np.array([[-reach, -reach], [reach, -reach], [reach, reach], [-reach, reach]])
        swept = np.concatenate(
            [roi.edges_from[:, None] + corners, roi.edges_to[:, None] + corners], axis=1
        )  # (edges, 8, 2)
        blocked: list[BaseGeometry] = np.asarray(shapely.convex_hull(shapely.multipoints(swept))).tolist()
        blocked += [shapely.box(x - 2 * reach, y - 2 * reach, x + 2 * reach, y + 2 * reach) for x, y in taken]
        return area.difference(shapely.union_all(blocked))

    def rims(self, x: Floats, y: Floats, around: Indices, roi: Roi) -> _Rims:
        upright = self._sides(x, y, around, roi.edges_from, roi.edges_to, roi.taken)
        turned = self._sides(
            y, x, around, roi.edges_from[:, ::-1], roi.edges_to[:, ::-1], [(b, a) for a, b in roi.taken]
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
        count = intervals_containing(
            at_row, at_y - low[at_row], row, start - low[row], row, end - low[row], len(side_x)
        )
        return _Rims(side_x[at_row], at_y, count)


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


def _allowed(shape: Shape, roi: Roi, x: Floats, y: Floats, reach: float | None = None, slack: float = 0.0) -> Flags:
    """Whether the shape lies in the ROI and overlaps no taken place. slack: how far it may be moved to do so."""
    if not len(x):
        return np.zeros(0, bool)
    allowed = shape.lies(roi, x, y, shape.reach * (1 - _SLACK) if reach is None else reach)
    for taken_x, taken_y in roi.taken:
        allowed &= shape.distance(x - taken_x, y - taken_y) >= 2 * shape.reach * (1 - _SLACK) - slack
    return allowed


def intervals_containing(
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
