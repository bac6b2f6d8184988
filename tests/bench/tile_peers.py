"""Other tile servers, for `make bench-tiles`: as little around them as can be, each with one slide that stays open.

As a program it says how long large_image's tiff source takes for a tile: SLIDE LEVEL, then lines "column row" to read.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

Start = Callable[[str, list[tuple[str, str]]], Any]
SIZE_OVERLAP = (254, 1)  # what OpenSlide's own server uses


@lru_cache(maxsize=1)
def _deepzoom() -> Any:
    import openslide
    from openslide.deepzoom import DeepZoomGenerator

    return DeepZoomGenerator(openslide.OpenSlide(os.environ["BENCH_SLIDE"]), *SIZE_OVERLAP)


@lru_cache(maxsize=1)
def _large_image() -> Any:
    import large_image

    return large_image.open(os.environ["BENCH_SLIDE"], encoding="JPEG", jpegQuality=85)


def deepzoom_app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """/level/column/row: a tile as in OpenSlide's deepzoom_server.py."""
    level, column, row = map(int, environ["PATH_INFO"].strip("/").split("/"))
    data = io.BytesIO()
    _deepzoom().get_tile(level, (column, row)).save(data, "JPEG", quality=85)
    return _answer(data.getvalue(), start)


def large_image_app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """/level/column/row: a tile of large_image, whatever source it chooses."""
    level, column, row = map(int, environ["PATH_INFO"].strip("/").split("/"))
    return _answer(_large_image().getTile(column, row, level), start)


def _answer(data: bytes, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "image/jpeg"), ("Content-Length", str(len(data)))])
    return [data]


def main() -> None:
    """Print the seconds of processor time of each tile."""
    import large_image_source_tiff

    source = large_image_source_tiff.open(sys.argv[1], encoding="JPEG", jpegQuality=85)
    tiles = [tuple(map(int, line.split())) for line in sys.stdin]
    source.getTile(*tiles.pop(), int(sys.argv[2]))  # opens what it opens once
    began = time.process_time()
    for column, row in tiles:
        source.getTile(column, row, int(sys.argv[2]))
    print((time.process_time() - began) / len(tiles))


if __name__ == "__main__":
    main()
