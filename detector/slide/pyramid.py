"""Writing tiled pyramids that OpenSlide (and every other viewer) opens: generic tiled TIFF, levels of half the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import tifffile

from detector.slide.reader import Rgb
from detector.slide.tiff import resolution_tags

TILE = 256
SMALLEST_LEVEL = 512  # px: no level is made below the first whose longer side is at most this

Rows = Callable[[int, int], Rgb]


def write_pyramid(
    path: Path,
    rows: Rows,
    size: tuple[int, int],
    mpp: tuple[float, float] | None,
    *,
    compression: Literal["jpeg", "deflate"],
    description: str = "",
) -> None:
    """Write an image as a tiled pyramid.

    rows: gives the rows [top, bottom) as uint8 [bottom - top, width, 3]; asked for once, from top to bottom, 256 at a
    time, so that a large image need not be in memory (its half-size level is). size: (width, height). mpp: (x, y)
    um/px, or None. compression: "deflate" keeps every pixel of level 0, "jpeg" is a tenth of its size.
    """
    partial = path.with_name(f"{path.name}.partial")
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "photometric": "rgb",  # tifffile makes it YCbCr for JPEG
        "compression": compression,
        "compressionargs": {"level": 90} if compression == "jpeg" else {"level": 4},
        "predictor": compression == "deflate",
        "metadata": None,
    }
    width, height = size
    half = np.empty((max(height // 2, 1), max(width // 2, 1), 3), dtype=np.uint8)
    with tifffile.TiffWriter(partial, bigtiff=width * height * 3 > 2**31) as tiff:
        for level in range(32):
            tiff.write(
                _tiles(rows, (width, height), half),
                shape=(height, width, 3),
                dtype=np.uint8,
                subfiletype=1 if level else 0,
                description=description if level == 0 else None,
                software="Mitoscope",
                **resolution_tags(mpp, 2.0**level),
                **options,
            )
            if max(width, height) <= SMALLEST_LEVEL or min(half.shape[:2]) < 2:
                break
            below = half
            rows = lambda top, bottom, image=below: image[top:bottom]  # type: ignore[misc]  # noqa: E731
            height, width = below.shape[:2]
            half = np.empty((max(height // 2, 1), max(width // 2, 1), 3), dtype=np.uint8)
    partial.replace(path)


def _tiles(rows: Rows, size: tuple[int, int], half: Rgb) -> Iterator[Rgb]:
    """The tiles of one level, row by row; fills `half` with the level below on the way."""
    width, height = size
    for top in range(0, height, TILE):
        bottom = min(top + TILE, height)
        strip = rows(top, bottom)
        first, last = top // 2, min(bottom // 2, half.shape[0])
        if first < last:
            even = strip[: 2 * (last - first), : 2 * half.shape[1]]
            half[first:last] = cv2.resize(even, (half.shape[1], last - first), interpolation=cv2.INTER_AREA)
        # Edge tiles repeat the last pixels: any other colour would ring into the image under JPEG.
        padded = np.pad(strip, ((0, TILE - (bottom - top)), (0, -width % TILE), (0, 0)), mode="edge")
        for left in range(0, width, TILE):
            yield np.ascontiguousarray(padded[:, left : left + TILE])
