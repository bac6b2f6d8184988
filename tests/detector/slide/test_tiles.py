"""Deep Zoom tiles: the file's own where the grids agree, made where they do not; beside OpenSlide's own generator."""

from __future__ import annotations

import io

import numpy as np
import pytest
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from detector.slide.jpeg_tiles import jpeg_levels
from detector.slide.reader import OpenSlideFile
from detector.slide.tiles import TileCache, TileSource
from tests.drawing import draw_tissue, write_jpeg_pyramid, write_pyramid

IMAGE = draw_tissue(1501, 1203, mitoses=[(200, 300)])
SLIDES = {
    "jpeg, all levels": (write_jpeg_pyramid, {}),
    "jpeg, every second level": (write_jpeg_pyramid, {"downsamples": (1, 4), "tile": 240}),
    "jpeg, one level": (write_jpeg_pyramid, {"downsamples": (1,), "colours": "rgb", "subsampling": "444"}),
    "jpeg, levels between": (write_jpeg_pyramid, {"downsamples": (1, 3)}),
    "deflate": (write_pyramid, {}),
    "deflate, one level": (write_pyramid, {"downsamples": (1,)}),
}


@pytest.fixture(params=SLIDES)
def path(request, tmp_path):
    write, options = SLIDES[request.param]
    return write(tmp_path / "slide.tif", IMAGE, **options)


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_every_tile_is_the_one_of_openslides_generator_but_for_compression(path):
    source = TileSource(path)
    with OpenSlideFile(path) as slide:
        reference = DeepZoomGenerator(slide.openslide, source.tile_size, source.overlap)
        assert reference.level_count == source.levels
        for level, (columns, rows) in enumerate(reference.level_tiles):
            for column, row in np.ndindex(columns, rows):
                made = picture(source.tile(level, column, row))
                size = reference.get_tile_dimensions(level, (column, row))
                assert made.shape == (*reversed(size), 3)
                if min(size) >= 64:
                    wanted = reference.get_tile(level, (column, row)).resize(size)  # Pillow may round one pixel away
                    assert abs(made.astype(int) - np.asarray(wanted)).mean() < 6, (level, column, row)
            for column, row in ((columns, 0), (0, rows), (-1, 0), (0, -1)):
                with pytest.raises(ValueError, match="no tile"):
                    source.tile(level, column, row)
    for level in (-1, source.levels, 10**9):
        with pytest.raises(ValueError, match="no level"):
            source.tile(level, 0, 0)


def test_tiles_of_the_file_are_sent_as_they_are(tmp_path):
    path = write_jpeg_pyramid(tmp_path / "slide.tif", IMAGE, downsamples=(1, 4))
    source = TileSource(path)
    assert (source.tile_size, source.overlap) == (256, 0)
    full, quarter = jpeg_levels(path, "generic-tiff", ((1501, 1203), (375, 300)))
    assert full is not None
    assert quarter is not None
    assert source.tile(source.levels - 1, 2, 1) == full.stream(2, 1)
    assert source.tile(source.levels - 3, 0, 0) == quarter.stream(0, 0)
    assert picture(source.tile(source.levels - 1, 5, 4)).shape == (1203 - 4 * 256, 1501 - 5 * 256, 3)


def test_a_level_that_the_file_does_not_have_lies_where_it_should(tmp_path):
    image = np.full((1024, 1024, 3), 230, dtype=np.uint8)
    image[400:480, 600:640] = 20
    source = TileSource(write_jpeg_pyramid(tmp_path / "s.tif", image, downsamples=(1,)))
    for halvings in (1, 2, 3):
        level = source.levels - 1 - halvings
        columns = -(-(1024 >> halvings) // 256)
        rows = [np.hstack([picture(source.tile(level, c, r)) for c in range(columns)]) for r in range(columns)]
        dark = np.argwhere(np.vstack(rows).mean(axis=2) < 120)
        assert abs((dark.min(axis=0) << halvings) - (400, 600)).max() <= 1 << halvings
        assert abs((dark.max(axis=0) + 1 << halvings) - (480, 640)).max() <= 1 << halvings


def test_only_so_many_slides_stay_open(tmp_path):
    cache = TileCache(slides=2, cache_bytes=1 << 20)
    paths = [write_jpeg_pyramid(tmp_path / f"{n}.tif", IMAGE, downsamples=(1,)) for n in range(3)]
    first = cache.get(paths[0])
    assert cache.get(paths[0]) is first
    for path in paths[1:]:
        cache.get(path)
    assert first.tile(0, 0, 0)
    assert cache.get(paths[0]) is not first
