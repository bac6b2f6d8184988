"""Deep Zoom tiles and crops of slides that stay open between requests.

Deep Zoom's highest level is the slide, each below it half of that, rounded up. Where the file has such a level as JPEG
tiles, those are the tiles: sent as they are, without loss and without work. All others are decoded, scaled and encoded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import openslide

from detector import paper
from detector.errors import SlideError
from detector.slide.reader import OpenSlideFile, Rgb, open_slide
from detector.slide.scaled import read_scaled
from detector.slide.working import WorkingFrame

_TILE_SIZE = 510  # and 1 px of overlap, for slides that are not JPEG tiles: 512 px that show no seams when enlarged
_NATIVE_SIZES = range(128, 1025)  # tiles of the file that are worth sending as they are
_JPEG_QUALITY = 85


class TileSource:
    """An open slide that gives tiles. Whole slide, no crop to openslide's bounds, so that level-0 pixels
    of the slide are pixels of the highest Deep Zoom level. Safe for use by several threads."""

    def __init__(self, path: Path, cache: openslide.OpenSlideCache | None = None) -> None:
        slide = open_slide(path, cache)
        if not isinstance(slide, OpenSlideFile):
            raise SlideError("It is flat; it has to be turned into a pyramid first.", path)
        self._slide = slide
        self.levels = (max(slide.size) - 1).bit_length() + 1
        tiles = slide.jpeg[0]
        native = tiles is not None and tiles.tile[0] == tiles.tile[1] and tiles.tile[0] in _NATIVE_SIZES
        self.tile_size, self.overlap = (tiles.tile[0], 0) if native and tiles else (_TILE_SIZE, 1)
        # Of each of the slide's levels the power of two by which it is smaller; None where it is between two.
        self._powers = [self._power(size) for size in slide.level_sizes]

    def dzi(self) -> str:
        """The Deep Zoom descriptor (XML)."""
        width, height = self._slide.size
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
            f'Format="jpeg" Overlap="{self.overlap}" TileSize="{self.tile_size}">'
            f'<Size Width="{width}" Height="{height}"/></Image>'
        )

    def check(self, level: int, column: int, row: int) -> int:
        """The scale (level-0 pixels per pixel) of a tile's level; ValueError for an address outside of the slide."""
        if not 0 <= level < self.levels:
            raise ValueError(f"there is no level {level}")
        scale = 1 << (self.levels - 1 - level)
        width, height = self._size(scale)
        if not (0 <= column * self.tile_size < width and 0 <= row * self.tile_size < height):
            raise ValueError(f"there is no tile {column}, {row} on level {level}")
        return scale

    def tile(self, level: int, column: int, row: int) -> bytes:
        """One tile as JPEG. ValueError for an address outside of the slide, SlideError where the file is damaged."""
        scale = self.check(level, column, row)
        return self._passed_through(scale, column, row) or self._made(scale, column, row)

    def crop(self, l0_x: float, l0_y: float, size: int, mpp: tuple[float, float] | None) -> bytes:
        """JPEG of size x size px around a level-0 position, at 0.25 um/px (at level 0 where mpp is None).

        Hatched where there is no slide.
        """
        frame = WorkingFrame(self._slide, mpp or (paper.WORKING_MPP, paper.WORKING_MPP))
        w_x, w_y = round(l0_x / frame.scale[0]), round(l0_y / frame.scale[1])
        return jpeg(frame.crop(w_x, w_y, size))

    def associated(self, kind: str) -> bytes | None:
        """The label or macro image as JPEG; None where the slide has none that can be shown."""
        image = self._slide.associated(kind)
        return None if image is None else jpeg(image)

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()

    def _size(self, scale: int) -> tuple[int, int]:
        width, height = self._slide.size
        return (-(-width // scale), -(-height // scale))

    def _power(self, l_size: tuple[int, int]) -> int | None:
        """Scanners cut off the last, incomplete pixel of a level and Deep Zoom does not: a size may differ by one."""
        scale = 1 << max(round(np.log2(self._slide.size[0] / l_size[0])), 0)
        near = all(0 <= full - have <= 1 for full, have in zip(self._size(scale), l_size, strict=True))
        return scale if near else None

    def _passed_through(self, scale: int, column: int, row: int) -> bytes | None:
        """The file's own tile, where it is one of this grid and wholly inside (edge tiles are padded in the file)."""
        if self.overlap or scale not in self._powers:
            return None
        tiles = self._slide.jpeg[self._powers.index(scale)]
        side = self.tile_size
        if tiles is None or tiles.tile != (side, side):
            return None
        inside = (column + 1) * side <= tiles.size[0] and (row + 1) * side <= tiles.size[1]
        return tiles.stream(column, row) if inside else None

    def _made(self, scale: int, column: int, row: int) -> bytes:
        width, height = self._size(scale)
        x0, y0 = (max(index * self.tile_size - self.overlap, 0) for index in (column, row))
        x1 = min((column + 1) * self.tile_size + self.overlap, width)
        y1 = min((row + 1) * self.tile_size + self.overlap, height)
        level, step_x, step_y = self._source(scale)
        l_width, l_height = self._slide.level_sizes[level]
        left, top = min(int(x0 * step_x), l_width - 1), min(int(y0 * step_y), l_height - 1)
        right, bottom = min(round(x1 * step_x), l_width), min(round(y1 * step_y), l_height)
        box = (left, top, max(right, left + 1), max(bottom, top + 1))
        return jpeg(read_scaled(self._slide, level, box, x1 - x0, y1 - y0))

    def _source(self, scale: int) -> tuple[int, float, float]:
        """The coarsest level at least as fine as a Deep Zoom level, and its pixels per pixel of that, (x, y)."""
        full, best = self._slide.size, (0, float(scale), float(scale))
        for level, (power, l_size) in enumerate(zip(self._powers, self._slide.level_sizes, strict=True)):
            down_x, down_y = (power, power) if power else (full[0] / l_size[0], full[1] / l_size[1])
            if max(down_x, down_y) <= scale:
                best = (level, scale / down_x, scale / down_y)
        return best


class TileCache:
    """The slides used last, kept open, with one cache of decoded tiles for all of them."""

    def __init__(self, *, slides: int, cache_bytes: int) -> None:
        self._limit = slides
        self._cache_bytes = cache_bytes
        self._cache: openslide.OpenSlideCache | None = None
        self._open: OrderedDict[Path, TileSource] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> TileSource:
        """The open slide; SlideError where it cannot be opened. A dropped slide closes when its last user is done."""
        with self._lock:
            if path in self._open:
                self._open.move_to_end(path)
                return self._open[path]
            if self._cache is None:
                self._cache = openslide.OpenSlideCache(self._cache_bytes)
        source = TileSource(path, self._cache)
        with self._lock:
            self._open[path] = source
            self._open.move_to_end(path)
            while len(self._open) > self._limit:
                self._open.popitem(last=False)
        return source


def jpeg(image: Rgb) -> bytes:
    """An RGB array as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done  # encoding to memory fails for images of over 65,500 px alone
    return data.tobytes()
