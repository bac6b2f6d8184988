"""The pictures of a report: the slide with regions and hotspot, the hotspot, and crops of the figures that count."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from detector.errors import SlideError
from detector.slide import Slide as SlideFile
from detector.slide.hatching import hatched
from detector.slide.reader import Rgb
from detector.slide.scaled import level_for, read_scaled
from detector.slide.tiles import jpeg
from webapp.core.errors import DomainError
from webapp.core.faults import fault_of
from webapp.results.findings import Findings, Mark
from webapp.results.types import Hotspot
from webapp.slides.storage import slide_opened

MAX_CROPS = 600  # of the hotspot, and of the rest of the slide
CROP_UM = 48.0
_LONGER_SIDE = 1200  # px of a picture
_RING = (230, 159, 0)
_FIGURE = (0, 114, 178)
_REGIONS = {"tumour": (90, 53, 160), "exclusion": (138, 45, 0), "tissue": (0, 121, 90), "glass": (43, 95, 184)}


@dataclass(frozen=True)
class Pictures:
    """JPEGs. hotspot: None where there is none. crops, elsewhere: of the figures of the hotspot, and of the others."""

    overview: bytes
    hotspot: bytes | None
    crops: list[bytes]
    elsewhere: list[bytes]


def take_pictures(found: Findings) -> Pictures:
    """Read them from the slide's file. DomainError where it cannot be read."""
    place = found.count.hotspot
    counted = [mark for mark in found.marks if mark.counted]
    figures = [mark for mark in counted if mark.hotspot == 1]
    others = [mark for mark in counted if mark.hotspot != 1]
    try:
        with slide_opened(found.slide) as file:
            whole = (0.0, 0.0, float(file.size[0]), float(file.size[1]))
            overview = _picture(file, whole, found, place, [])
            close_up = (
                _picture(file, _around(found, place), found, place, [(f.x, f.y) for f in figures]) if place else None
            )
            crops, elsewhere = ([_crop(file, found, f) for f in some[:MAX_CROPS]] for some in (figures, others))
    except SlideError as error:
        if fault_of(error) is not None:
            raise  # it is missing, which is said in other words
        raise DomainError("The file of this slide cannot be read, so the report would have no pictures.") from error
    return Pictures(overview, close_up, crops, elsewhere)


def _crop(file: SlideFile, found: Findings, figure: Mark) -> bytes:
    """The surroundings of a figure as they were scanned, hatched where there is no slide."""
    assert found.slide.mpp is not None
    width, height = (max(1, round(CROP_UM / mpp)) for mpp in found.slide.mpp)
    left, top = round(figure.x - width / 2), round(figure.y - height / 2)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, file.size[0]), min(top + height, file.size[1])
    picture = np.zeros((height, width, 3), np.uint8)
    picture[y0 - top : y1 - top, x0 - left : x1 - left] = file.read(0, x0, y0, x1 - x0, y1 - y0)
    return jpeg(hatched(picture, left, top, file.size))


def _around(found: Findings, place: Hotspot) -> tuple[float, float, float, float]:
    """The box of the hotspot and a little more, in level-0 px, inside the slide; the slide where all is counted."""
    slide = found.slide
    assert slide.mpp and slide.width and slide.height
    if not place.outlines:
        return 0, 0, slide.width, slide.height
    reach_x, reach_y = (1050 / mpp for mpp in slide.mpp)
    return (
        max(min(one.x - one.reach_mm * reach_x for one in place.outlines), 0),
        max(min(one.y - one.reach_mm * reach_y for one in place.outlines), 0),
        min(max(one.x + one.reach_mm * reach_x for one in place.outlines), slide.width),
        min(max(one.y + one.reach_mm * reach_y for one in place.outlines), slide.height),
    )


def _picture(
    file: SlideFile,
    box: tuple[float, float, float, float],
    found: Findings,
    place: Hotspot | None,
    figures: list[tuple[float, float]],
) -> bytes:
    """A box (level-0 px), scaled down, with regions, the hotspot's outline and rings around figures."""
    left, top, right, bottom = box
    scale = min(1.0, _LONGER_SIDE / max(right - left, bottom - top))
    width, height = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    level = level_for(file, round(file.size[0] * scale), round(file.size[1] * scale))
    shrink = [level_side / side for level_side, side in zip(file.level_sizes[level], file.size, strict=True)]
    l_left, l_top = int(left * shrink[0]), int(top * shrink[1])
    l_right = min(max(math.ceil(right * shrink[0]), l_left + 1), file.level_sizes[level][0])
    l_bottom = min(max(math.ceil(bottom * shrink[1]), l_top + 1), file.level_sizes[level][1])
    picture = np.ascontiguousarray(read_scaled(file, level, (l_left, l_top, l_right, l_bottom), width, height))
    for region in found.regions:
        corners = np.round((np.array(region.polygon, float) - (left, top)) * scale).astype(np.int32)
        for colour, thickness in (((255, 255, 255), 4), (_REGIONS[region.kind], 2)):
            cv2.polylines(picture, [corners], True, colour, thickness, cv2.LINE_AA)
    if place is not None:
        _outline(picture, found, place, (left, top), scale)
    for x, y in figures:
        centre = (round((x - left) * scale), round((y - top) * scale))
        cv2.circle(picture, centre, 9, (255, 255, 255), 3, cv2.LINE_AA)
        cv2.circle(picture, centre, 9, _FIGURE, 2, cv2.LINE_AA)
    return jpeg(picture)


def _outline(picture: Rgb, found: Findings, place: Hotspot, origin: tuple[float, float], scale: float) -> None:
    assert found.slide.mpp is not None
    for one in place.outlines:
        centre = (round((one.x - origin[0]) * scale), round((one.y - origin[1]) * scale))
        reach = tuple(max(2, round(one.reach_mm * 1000 / mpp * scale)) for mpp in found.slide.mpp)
        for colour, thickness in (((255, 255, 255), 5), (_RING, 3)):
            if place.shape == "square":
                corner, other = ([c + sign * r for c, r in zip(centre, reach, strict=True)] for sign in (-1, 1))
                cv2.rectangle(picture, corner, other, colour, thickness, cv2.LINE_AA)
            else:
                cv2.ellipse(picture, centre, reach, 0, 0, 360, colour, thickness, cv2.LINE_AA)
