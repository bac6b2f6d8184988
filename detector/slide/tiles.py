"""Deep Zoom tiles and crops of slides that stay open between requests."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import openslide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from detector import paper
from detector.errors import SlideError
from detector.slide.reader import OpenSlideFile, Rgb, open_slide
from detector.slide.working import WorkingFrame

TILE_SIZE = 510  # and 1 px of overlap: tiles of 512 px that show no seams when enlarged
_JPEG_QUALITY = 85


class TileSource:
    """An open slide that gives tiles. Whole slide, no crop to openslide's bounds, so that level-0 pixels
    of the slide are pixels of the highest Deep Zoom level. Safe for use by several threads."""

    def __init__(self, path: Path, cache: openslide.OpenSlideCache | None = None) -> None:
        self._slide = open_slide(path, cache)
        if not isinstance(self._slide, OpenSlideFile):
            raise SlideError("It is flat; it has to be turned into a pyramid first.", path)
        self._deepzoom = DeepZoomGenerator(self._slide.openslide, tile_size=TILE_SIZE, overlap=1, limit_bounds=False)

    def dzi(self) -> str:
        """The Deep Zoom descriptor (XML)."""
        return self._deepzoom.get_dzi("jpeg")

    def tile(self, level: int, column: int, row: int) -> bytes:
        """One tile as JPEG. ValueError for an address outside of the slide, SlideError where the file is damaged."""
        try:
            image = self._deepzoom.get_tile(level, (column, row))
        except openslide.OpenSlideError as error:
            raise SlideError(f"A tile cannot be read: {error}.") from error
        return jpeg(np.asarray(image.convert("RGB")))

    def crop(self, l0_x: float, l0_y: float, size: int, mpp: tuple[float, float] | None) -> bytes:
        """JPEG of size x size px around a level-0 position, at 0.25 um/px (at level 0 where mpp is None)."""
        frame = WorkingFrame(self._slide, mpp or (paper.WORKING_MPP, paper.WORKING_MPP))
        w_x, w_y = round(l0_x / frame.scale[0]), round(l0_y / frame.scale[1])
        return jpeg(frame.read(w_x - size // 2, w_y - size // 2, size, size))

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()


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
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=_JPEG_QUALITY)
    return data.getvalue()
