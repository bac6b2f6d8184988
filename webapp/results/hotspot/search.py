"""The hotspot: where a circle or square of a given area holds the most figures. Exact, and the same at every call.

The shape lies wholly in the region of interest (ROI: the slide; the tumour regions where there are any; less the
exclusions), touching its rim at most. What is proven: no other position of the shape in the ROI holds more figures.
The argument:

1. The positions of the centre from which the shape holds the figures of a best place, and lies in the ROI, are a
   closed set. Either its rim meets the rim of the shape around one of those figures, or it is a whole pocket of the
   ROI's allowed positions. So it is enough to try one position in every pocket (`Circle.pockets`, `Square.pockets`)
   and, around every figure, the positions on the rim of the shape where a figure comes in or the ROI ends.
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

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from webapp.results.hotspot.grid import _PART, _Grid, _inside, _narrow, _pairs
from webapp.results.hotspot.shapes import Floats, Indices, Place, Roi, Shape, _allowed


def hotspots(x: Floats, y: Floats, shape: Shape, area: BaseGeometry, number: int = 3) -> list[Place]:
    """The place that holds the most figures, then the best that does not overlap it, and so on. x, y: figures, mm.

    area: the ROI, polygons in mm. Empty where the shape does not fit or no figure can be reached.
    """
    order = np.lexsort((y, x))  # so that the order in which the figures come changes nothing
    x, y = np.asarray(x, float)[order], np.asarray(y, float)[order]
    roi = Roi(area)
    left = np.arange(len(x))
    places: list[Place] = []
    while len(places) < number and (place := _best(x[left], y[left], shape, roi)):
        inside = left[place.inside]
        places.append(Place(place.x, place.y, np.sort(order[inside])))
        roi.taken.append((place.x, place.y))
        left = np.setdiff1d(left, inside)
    return places


def fits(shape: Shape, area: BaseGeometry) -> bool:
    """Whether the shape can lie in the ROI at all."""
    return _pockets(shape, Roi(area)) is not None


def _best(x: Floats, y: Floats, shape: Shape, roi: Roi) -> Place | None:
    pockets = _pockets(shape, roi)
    if pockets is None or len(x) == 0:
        return None
    best, at = 0, (math.nan, math.nan)
    for px, py in zip(*pockets, strict=True):
        if (count := len(_inside(x, y, shape, px, py))) > best:
            best, at = count, (float(px), float(py))
    grid = _Grid(x, y, shape, roi)
    first, number = 0, 256
    while len(cells := grid.cells(first, number)) and grid.most[cells[0]] > best:
        first += number
        number = min(max(_PART // (int((grid.most[cells] - grid.sure[cells]).mean()) + 1), 256), 4096)
        cells = cells[grid.most[cells] > best]
        best, at, around = _narrow(x, y, shape, roi, best, at, grid, cells)
        best, at = _searched(x, y, shape, roi, best, at, around)
    return _settled(x, y, shape, roi, at) if best else None


def _searched(
    x: Floats, y: Floats, shape: Shape, roi: Roi, best: int, at: tuple[float, float], around: Indices
) -> tuple[int, tuple[float, float]]:
    """The best place on the rims of the shape around these figures, or the one that is known where none is better."""
    rows = max(1, int(_PART / _pairs(x, shape, roi)))
    for first in range(0, len(around), rows):
        rims = shape.rims(x, y, around[first : first + rows], roi)
        better = np.flatnonzero(rims.count > best)
        better = better[np.lexsort((better, -rims.count[better]))]
        for batch in range(0, len(better), 512):
            tried = better[batch : batch + 512]
            allowed = tried[_allowed(shape, roi, rims.x[tried], rims.y[tried])]
            if len(allowed):
                first_allowed = allowed[0]
                best, at = int(rims.count[first_allowed]), (float(rims.x[first_allowed]), float(rims.y[first_allowed]))
                break
    return best, at


def _pockets(shape: Shape, roi: Roi) -> tuple[Floats, Floats] | None:
    """One allowed position of each pocket; None where there is none."""
    low_x, low_y, high_x, high_y = roi.area.bounds
    middle = shapely.Point((low_x + high_x) / 2, (low_y + high_y) / 2)  # for a slide that the shape just fits
    parts = [part for part in _parts(shape.pockets(roi.area, roi.taken)) if not part.is_empty]
    points = shapely.point_on_surface([middle, *parts])
    x, y = shapely.get_x(points), shapely.get_y(points)
    allowed = _allowed(shape, roi, x, y)
    return (x[allowed], y[allowed]) if allowed.any() else None


def _parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    parts = shapely.get_parts(geometry)
    return [leaf for part in parts for leaf in (_parts(part) if hasattr(part, "geoms") else [part])]


def _settled(x: Floats, y: Floats, shape: Shape, roi: Roi, at: tuple[float, float]) -> Place:
    """The place, moved towards the middle of its figures as far as it keeps them, so that none lies on its rim."""
    place = Place(*at, _inside(x, y, shape, *at))
    middle_x, middle_y = float(x[place.inside].mean()), float(y[place.inside].mean())
    for share in (1.0, 0.5, 0.25, 0.125):
        moved_x, moved_y = at[0] + share * (middle_x - at[0]), at[1] + share * (middle_y - at[1])
        moved = Place(moved_x, moved_y, _inside(x, y, shape, moved_x, moved_y))
        if moved.count >= place.count and _allowed(shape, roi, np.array([moved_x]), np.array([moved_y]))[0]:
            return moved
    return place
