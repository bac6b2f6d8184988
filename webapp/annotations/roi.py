"""The region of interest (ROI) of a slide, where figures count: its tumour regions, or all of it, less exclusions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from webapp.annotations.models import Region
from webapp.slides.models import Slide


def region_of_interest(slide: Slide, regions: Iterable[Region]) -> BaseGeometry:
    """Polygons in level-0 px; the whole slide where no region is drawn."""
    kinds: dict[str, list[BaseGeometry]] = {kind: [] for kind in Region.Kind.values}
    for region in regions:
        kinds[region.kind].append(polygon_of(region))
    roi: BaseGeometry = shapely.box(0, 0, slide.width or 0, slide.height or 0)
    if kinds[Region.Kind.TUMOUR]:
        roi = roi.intersection(shapely.union_all(kinds[Region.Kind.TUMOUR]))
    roi = roi.difference(shapely.union_all(kinds[Region.Kind.EXCLUSION]))
    return shapely.MultiPolygon([part for part in shapely.get_parts(roi) if part.geom_type == "Polygon"])


def polygon_of(region: Region) -> BaseGeometry:
    """Its polygon in level-0 px; where it crosses itself, all loops count."""
    return shapely.make_valid(shapely.Polygon(region.polygon), method="structure")


def roi_contains(roi: BaseGeometry, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points [n, 2] lie in the ROI or on its rim."""
    shapely.prepare(roi)
    flags: NDArray[np.bool_] = shapely.intersects_xy(roi, xy[:, 0], xy[:, 1])
    return flags
