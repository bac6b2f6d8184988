"""The evaluable area of a slide: its tissue, inside the tumour regions where there are any, outside exclusions.

Tissue is what was measured on the slide and people have corrected. Counts, densities and hotspots are of this area and
no other.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from webapp.annotations.models import Region
from webapp.annotations.roi import polygon_of, region_of_interest, roi_contains
from webapp.slides.models import Slide
from webapp.slides.storage import tissue_read

NEAR_TISSUE_UM = 25.0  # a figure so near to tissue lies on it: at its rim, half of the figure's picture is glass
_NOWHERE = shapely.MultiPolygon()
_MOST = 16  # areas kept by each process, 6 MB each


@dataclass(frozen=True, eq=False)
class Evaluable:
    """roi: polygons in level-0 px. tissue: [h, w], which pixels of a picture of the slide show tissue.

    size: of the slide, level-0 px. mpp: (x, y) um per level-0 px, None where not known; there is no area then.
    spread: share of tissue where it was not measured where that lies, and is taken to be everywhere alike.
    measured: whether it was. removed: where people have said that there is glass, level-0 px.
    """

    roi: BaseGeometry
    tissue: NDArray[np.bool_]
    size: tuple[int, int]
    mpp: tuple[float, float] | None
    spread: float = 1.0
    measured: bool = True
    removed: BaseGeometry = _NOWHERE

    @cached_property
    def pixels(self) -> NDArray[np.bool_]:
        """Which pixels [h, w] of the picture are evaluable: tissue, their middle in the ROI."""
        return np.asarray(self.tissue & self._in_roi)

    @cached_property
    def _in_roi(self) -> NDArray[np.bool_]:
        return _pixels_in(self.roi, self.tissue.shape, self.size)

    @cached_property
    def mm2(self) -> float | None:
        """Its area; None without um/px."""
        if self.mpp is None:
            return None
        share = float(self.pixels.sum()) / max(int(self._in_roi.sum()), 1)
        return self.spread * share * float(self.roi.area) * self.mpp[0] * self.mpp[1] / 1e6

    @cached_property
    def middle(self) -> tuple[float, float]:
        """The middle of the area, level-0 px."""
        weights = self.pixels.sum(axis=0), self.pixels.sum(axis=1)
        x, y = (
            float(np.average(np.arange(len(some)) + 0.5, weights=some)) / len(some) if some.any() else 0.5
            for some in weights
        )
        return x * self.size[0], y * self.size[1]

    @cached_property
    def _near_tissue(self) -> NDArray[np.bool_]:
        """Which pixels of the picture lie on tissue or within `NEAR_TISSUE_UM` of it."""
        um_per_px = (self.mpp[0] if self.mpp else 0.25) * self.size[0] / self.tissue.shape[1]
        away = cv2.distanceTransform((~self.tissue).astype(np.uint8), cv2.DIST_L2, 5)
        return np.asarray(away * um_per_px <= max(NEAR_TISSUE_UM, um_per_px))

    def picture(self) -> NDArray[np.uint8]:
        """Where figures may lie, [h, w] over the slide: 255 tissue, 128 so near to it that they count, 0 glass."""
        near = self._near_tissue & ~_pixels_in(self.removed, self.tissue.shape, self.size)
        return np.where(self.tissue, 255, np.where(near, 128, 0)).astype(np.uint8)

    def contains(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points [n, 2], level-0 px, lie in the ROI, on tissue or within `NEAR_TISSUE_UM` of it, and not where
        people have removed it."""
        height, width = self.tissue.shape
        column, row = np.floor(xy * [width / self.size[0], height / self.size[1]]).astype(int).T
        on_tissue = self._near_tissue[row.clip(0, height - 1), column.clip(0, width - 1)]
        return np.asarray(roi_contains(self.roi, xy) & on_tissue & ~roi_contains(self.removed, xy))


def evaluable_of(slide: Slide, regions: Sequence[Region]) -> Evaluable:
    """The evaluable area of a slide with these regions. Without a picture of its tissue, that is spread evenly."""
    named = tuple(sorted(region.pk for region in regions))
    key = (slide.pk, slide.width, slide.height, slide.mpp, slide.tissue_fraction, named)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    size = (slide.width or 1, slide.height or 1)
    tissue, spread = tissue_read(slide), 1.0
    measured = tissue is not None
    if tissue is None:
        spread = 1.0 if slide.tissue_fraction is None else slide.tissue_fraction
        height, width = (max(1, round(512 * side / max(size))) for side in reversed(size))
        tissue = np.full((height, width), spread > 0)
    tissue = _corrected(tissue, regions, size)
    glass = shapely.union_all([polygon_of(region) for region in regions if region.kind == Region.Kind.GLASS])
    made = Evaluable(region_of_interest(slide, regions), tissue, size, slide.mpp, spread, measured, glass)
    with _lock:
        _kept[key] = made
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return made


def _corrected(tissue: NDArray[np.bool_], regions: Sequence[Region], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask as people have corrected it."""
    for kind in (Region.Kind.TISSUE, Region.Kind.GLASS):
        drawn = [polygon_of(region) for region in regions if region.kind == kind]
        if drawn:
            inside = _pixels_in(shapely.union_all(drawn), tissue.shape, size)
            tissue = tissue | inside if kind == Region.Kind.TISSUE else tissue & ~inside
    return tissue


def _pixels_in(geometry: BaseGeometry, shape: tuple[int, ...], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of a picture [h, w] of the whole slide have their middle in polygons, level-0 px."""
    height, width = shape
    crossed = np.zeros((height, width + 1), bool)  # where, from the left, the inside begins or ends
    for polygon in shapely.get_parts(geometry):
        if polygon.geom_type != "Polygon":
            continue
        for ring in (polygon.exterior, *polygon.interiors):
            corners = shapely.get_coordinates(ring) * [width / size[0], height / size[1]] - 0.5
            for (x0, y0), (x1, y1) in itertools.pairwise(corners):
                low, high = sorted(min(max(math.ceil(y), 0), height) for y in (y0, y1))
                rows = np.arange(low, high)
                columns = np.ceil(x0 + (rows - y0) * ((x1 - x0) / ((y1 - y0) or 1.0)))
                crossed[rows, columns.clip(0, width).astype(int)] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1]


_kept: OrderedDict[Hashable, Evaluable] = OrderedDict()
_lock = Lock()
