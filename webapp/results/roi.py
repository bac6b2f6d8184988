"""The region of interest (ROI) of a slide, where figures count: its tumour regions, or all of it, less exclusions."""

from __future__ import annotations

import io
from collections.abc import Iterable

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry.base import BaseGeometry

from detector.slide.tissue import tissue_mask
from webapp.annotations.models import Region
from webapp.slides.models import Slide
from webapp.slides.storage import thumbnail_read


def region_of_interest(slide: Slide, regions: Iterable[Region]) -> BaseGeometry:
    """Polygons in level-0 px; the whole slide where no region is drawn. Where one crosses itself, all loops count."""
    kinds: dict[str, list[BaseGeometry]] = {kind: [] for kind in Region.Kind.values}
    for region in regions:
        kinds[region.kind].append(shapely.make_valid(shapely.Polygon(region.polygon), method="structure"))
    roi: BaseGeometry = shapely.box(0, 0, slide.width or 0, slide.height or 0)
    if kinds[Region.Kind.TUMOUR]:
        roi = roi.intersection(shapely.union_all(kinds[Region.Kind.TUMOUR]))
    roi = roi.difference(shapely.union_all(kinds[Region.Kind.EXCLUSION]))
    return shapely.MultiPolygon([part for part in shapely.get_parts(roi) if part.geom_type == "Polygon"])


def roi_contains(roi: BaseGeometry, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points [n, 2] lie in the ROI or on its rim."""
    shapely.prepare(roi)
    flags: NDArray[np.bool_] = shapely.intersects_xy(roi, xy[:, 0], xy[:, 1])
    return flags


def tissue_mm2_in(slide: Slide, roi: BaseGeometry) -> float | None:
    """The tissue in the ROI, from the mask of the slide's thumbnail (at most 512 px); None without um/px."""
    if slide.mpp is None or not slide.width or not slide.height:
        return None
    mask = tissue_mask(np.asarray(Image.open(io.BytesIO(thumbnail_read(slide))).convert("RGB")))
    scale = np.array([mask.shape[1] / slide.width, mask.shape[0] / slide.height])
    inside = np.zeros(mask.shape, np.uint8)
    for polygon in shapely.get_parts(roi):
        rings = [polygon.exterior, *polygon.interiors]
        # Sixteenths of a pixel; the middle of a pixel is where it lies.
        corners = [np.round((shapely.get_coordinates(ring) * scale - 0.5) * 16).astype(np.int32) for ring in rings]
        cv2.fillPoly(inside, corners, 1, shift=4)
    share = float((mask & (inside > 0)).sum()) / max(int(inside.sum()), 1)
    return share * float(roi.area) * slide.mpp[0] * slide.mpp[1] / 1e6
