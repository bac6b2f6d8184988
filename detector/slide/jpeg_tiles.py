"""The JPEG tiles of a tiled TIFF or SVS, read past OpenSlide: the same pixels in a fifth of the time, or the bytes.

A tile is read with one positional read and decoded without holding Python's lock, so that threads decode side by side.
Whatever is odd about a file, a level or a tile is answered with None: OpenSlide then reads it, or says what is wrong.
"""

from __future__ import annotations

import os
import struct
import weakref
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]

VENDORS = ("aperio", "generic-tiff")  # whose levels are plain grids of tiles; others overlap or leave out tiles
SHRINKS = (8, 4, 2)  # scales that JPEG decodes at directly, by fewer cosines

_JPEG = 7  # TIFF's Compression
_TRANSFORMS = {2: 0, 6: 1}  # TIFF's PhotometricInterpretation (RGB, YCbCr) -> the colour transform of an Adobe marker
_START_OF_IMAGE = b"\xff\xd8"
_START_OF_SCAN = 0xFFDA
_START_OF_FRAME = (0xFFC0, 0xFFC1, 0xFFC2)
_APPLICATION = range(0xFFE0, 0xFFF0)  # JFIF, Exif, Adobe ...: the TIFF says what the colours are, in one marker of ours
_MAX_TILE_BYTES = 64 << 20
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


class JpegLevel:
    """One level of a slide as a grid of JPEG tiles. size, tile: (width, height) in pixels of the level. Thread-safe."""

    def __init__(self, file: _File, page: Any) -> None:
        self.size = (int(page.imagewidth), int(page.imagelength))
        self.tile = (int(page.tilewidth), int(page.tilelength))
        self._columns, self._rows = (-(-side // tile) for side, tile in zip(self.size, self.tile, strict=True))
        self._file = file
        self._offsets = np.array(page.dataoffsets, dtype=np.int64)
        self._counts = np.array(page.databytecounts, dtype=np.int64)
        tables = page.jpegtables or b"\xff\xd8\xff\xd9"
        transform = _TRANSFORMS[int(page.photometric)]
        adobe = struct.pack(">HH5sHHHB", 0xFFEE, 14, b"Adobe", 100, 0, 0, transform)
        self._head = _START_OF_IMAGE + adobe + tables[2:-2]

    def stream(self, column: int, row: int) -> bytes | None:
        """A tile as a complete JPEG, not recompressed; edge tiles are as large as all others, padded as in the file."""
        if not (0 <= column < self._columns and 0 <= row < self._rows):
            raise ValueError(f"there is no tile {column}, {row}")
        index = row * self._columns + column
        count = int(self._counts[index])
        if not 0 < count <= _MAX_TILE_BYTES:
            return None
        return self._complete(os.pread(self._file.descriptor, count, int(self._offsets[index])))

    def read(self, l_x: int, l_y: int, width: int, height: int, shrink: int = 1) -> Rgb | None:
        """RGB uint8 [height, width, 3], white outside of the level.

        shrink: 1, or one of SHRINKS that divides the tile's sides; coordinates are then pixels of the shrunken level.
        """
        tile_width, tile_height = self.tile[0] // shrink, self.tile[1] // shrink
        x0, x1 = max(l_x, 0), min(l_x + width, -(-self.size[0] // shrink))
        y0, y1 = max(l_y, 0), min(l_y + height, -(-self.size[1] // shrink))
        inside = (x0, y0, x1, y1) == (l_x, l_y, l_x + width, l_y + height)
        out: Rgb = np.empty((height, width, 3), np.uint8) if inside else np.full((height, width, 3), 255, np.uint8)
        if x0 >= x1 or y0 >= y1:
            return out
        for row in range(y0 // tile_height, (y1 - 1) // tile_height + 1):
            top = row * tile_height
            first, last = max(y0, top), min(y1, top + tile_height)
            for column in range(x0 // tile_width, (x1 - 1) // tile_width + 1):
                pixels = self._decode(column, row, shrink)
                if pixels is None:
                    return None
                left = column * tile_width
                begin, end = max(x0, left), min(x1, left + tile_width)
                out[first - l_y : last - l_y, begin - l_x : end - l_x] = pixels[
                    first - top : last - top, begin - left : end - left
                ]
        return out

    def _decode(self, column: int, row: int, shrink: int) -> Rgb | None:
        stream = self.stream(column, row)
        if stream is None:
            return None
        data = np.frombuffer(stream, np.uint8)
        if shrink == 1:
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        else:
            pixels = cv2.imdecode(data, _REDUCED[shrink])
            pixels = None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        if pixels is None or pixels.shape != (self.tile[1] // shrink, self.tile[0] // shrink, 3):
            return None
        return np.asarray(pixels, dtype=np.uint8)

    def _complete(self, data: bytes) -> bytes | None:
        """The tile with its tables and one marker for its colours; None unless it is a picture of the tile's size."""
        if not data.startswith(_START_OF_IMAGE):
            return None
        kept, at, sized = [self._head], 2, False
        while at + 4 <= len(data):
            marker, length = struct.unpack_from(">HH", data, at)
            if marker == _START_OF_SCAN:
                return b"".join([*kept, data[at:]]) if sized else None
            segment = data[at : at + 2 + length]
            if marker in _START_OF_FRAME:
                sized = segment[4:10] == struct.pack(">BHHB", 8, self.tile[1], self.tile[0], 3)
            if marker not in _APPLICATION:
                kept.append(segment)
            at += 2 + length
        return None


class _File:
    """A file that is closed when the last level that reads from it is let go."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)


def jpeg_levels(path: Path, vendor: str, level_sizes: tuple[tuple[int, int], ...]) -> tuple[JpegLevel | None, ...]:
    """Of each of OpenSlide's levels the same one as JPEG tiles, or None where it is not stored so."""
    none: tuple[JpegLevel | None, ...] = (None,) * len(level_sizes)
    if vendor not in VENDORS:
        return none
    try:
        with tifffile.TiffFile(path) as tiff:
            pages: Any = [page for page in tiff.pages if getattr(page, "is_tiled", False)]
            file = _File(path)
            return tuple(
                _level(file, [p for p in pages if (p.imagewidth, p.imagelength) == size]) for size in level_sizes
            )
    except Exception:  # tifffile meets damage with errors of every kind; OpenSlide, which opened it, is the judge
        return none


def _level(file: _File, pages: list[Any]) -> JpegLevel | None:
    if len(pages) != 1:
        return None
    (page,) = pages
    tiles = -(-page.imagewidth // page.tilewidth) * -(-page.imagelength // page.tilelength)
    known = (
        page.compression == _JPEG
        and page.photometric in _TRANSFORMS
        and (page.bitspersample, page.samplesperpixel, page.planarconfig) == (8, 3, 1)
        and len(page.dataoffsets) == len(page.databytecounts) == tiles
    )
    return JpegLevel(file, page) if known else None
