"""A region of a slide, made smaller: thumbnails, and Deep Zoom levels that the file does not have."""

from __future__ import annotations

import cv2
import numpy as np

from detector.slide.jpeg_tiles import SHRINKS
from detector.slide.reader import OpenSlideFile, Rgb, Slide

_STRIP_PIXELS = 16_000_000  # of the level, read at a time: a slide of one level may have thousands of millions


def level_for(slide: Slide, width: int, height: int) -> int:
    """The coarsest level of a slide that still has the whole slide in at least width x height px."""
    return max((i for i, (w, h) in enumerate(slide.level_sizes) if w >= width and h >= height), default=0)


def read_scaled(slide: Slide, level: int, box: tuple[int, int, int, int], width: int, height: int) -> Rgb:
    """A box of a level (left, top, right, bottom; inside of it) in width x height px, each the mean of its area."""
    left, top, right, bottom = box
    shrink = _shrink(slide, level, min((right - left) / width, (bottom - top) / height))
    rows = max(1, _STRIP_PIXELS * height // ((right - left) * (bottom - top)))
    strips = []
    for first in range(0, height, rows):
        last = min(first + rows, height)
        begin = top + first * (bottom - top) // height
        end = max(top + last * (bottom - top) // height, begin + 1)
        strip = _read(slide, level, shrink, left, begin, right, end)
        if strip.shape[:2] != (last - first, width):
            strip = np.asarray(cv2.resize(strip, (width, last - first), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        strips.append(strip)
    return strips[0] if len(strips) == 1 else np.concatenate(strips)


def _shrink(slide: Slide, level: int, factor: float) -> int:
    """The scale at which JPEG tiles may be decoded at once; 1 where there are none, or for less than half scale."""
    tiles = slide.jpeg[level] if isinstance(slide, OpenSlideFile) else None
    if tiles is None:
        return 1
    return next((s for s in SHRINKS if s <= factor and tiles.tile[0] % s == tiles.tile[1] % s == 0), 1)


def _read(slide: Slide, level: int, shrink: int, left: int, top: int, right: int, bottom: int) -> Rgb:
    if shrink > 1 and isinstance(slide, OpenSlideFile) and (tiles := slide.jpeg[level]) is not None:
        x, y = left // shrink, top // shrink
        region = tiles.read(x, y, max(right // shrink - x, 1), max(bottom // shrink - y, 1), shrink)
        if region is not None:
            return region
    return slide.read(level, left, top, right - left, bottom - top)
