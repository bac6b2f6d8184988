"""JPEG tiles read past OpenSlide: the same pixels, the bytes themselves, half scale; and when OpenSlide must read."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detector.slide.jpeg_tiles import JpegLevel, jpeg_levels
from detector.slide.reader import OpenSlideFile, Rgb
from tests.drawing import draw_tissue, write_jpeg_pyramid, write_pyramid

IMAGE = draw_tissue(730, 610, mitoses=[(200, 300)])
APERIO = "Aperio Image Library v12\n730x610|MPP = 0.4990"
KINDS = {
    "tables apart": {},
    "tables in the tiles": {"tables": False},
    "RGB": {"colours": "rgb", "subsampling": "444"},
    "RGB, tables in the tiles": {"colours": "rgb", "subsampling": "444", "tables": False},
    "full colour": {"subsampling": "444"},
    "Aperio, 240 px": {"tile": 240, "description": APERIO, "mpp": None},
    "BigTIFF": {"big": True},
}


@pytest.fixture(scope="module", params=KINDS)
def slide(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("jpeg") / "slide.tif"
    with OpenSlideFile(write_jpeg_pyramid(path, IMAGE, **KINDS[request.param])) as opened:
        assert all(opened.jpeg)
        yield opened


def by_openslide(slide: OpenSlideFile, level: int, x: int, y: int, width: int, height: int) -> Rgb:
    rgba = slide.openslide.read_region((x, y), level, (width, height))
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(white)


@given(st.integers(-40, 760), st.integers(-40, 640), st.integers(1, 600), st.integers(1, 600))
@settings(max_examples=25, deadline=None)
def test_any_region_has_the_pixels_that_openslide_reads(slide, x, y, width, height):
    assert (slide.read(0, x, y, width, height) == by_openslide(slide, 0, x, y, width, height)).all()


def test_whole_levels_have_the_pixels_that_openslide_reads(slide):
    for level, (width, height) in enumerate(slide.level_sizes):
        assert (slide.read(level, 0, 0, width, height) == by_openslide(slide, level, 0, 0, width, height)).all()


def test_a_tile_passed_through_is_a_complete_jpeg_with_the_same_pixels(slide):
    level = slide.jpeg[0]
    tile = level.tile[0]
    passed = np.asarray(Image.open(io.BytesIO(level.stream(1, 1))))
    assert (passed == by_openslide(slide, 0, tile, tile, tile, tile)).all()
    with pytest.raises(ValueError, match="no tile"):
        level.stream(99, 0)


def test_half_scale_is_what_averaging_gives(slide):
    half = slide.jpeg[0].read(-3, -3, 371, 311, shrink=2)
    averaged = cv2.resize(by_openslide(slide, 0, 0, 0, 730, 610), (365, 305), interpolation=cv2.INTER_AREA)
    assert abs(half[3:308, 3:368].astype(int) - averaged).mean() < 3
    assert (half[:3] == 255).all()
    assert (half[:, :3] == 255).all()
    assert (half[308:] == 255).all()


def test_threads_read_the_same_slide_at_once(slide):
    whole = slide.read(0, 0, 0, *slide.size)
    boxes = [(x, y) for x in range(0, 600, 37) for y in range(0, 500, 61)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda box: slide.read(0, *box, 90, 80), boxes))
    for (x, y), region in zip(boxes, read, strict=True):
        assert (region == whole[y : y + 80, x : x + 90]).all()


def test_other_compressions_are_left_to_openslide(tmp_path):
    with OpenSlideFile(write_pyramid(tmp_path / "s.tif", IMAGE)) as slide:
        assert slide.jpeg == (None, None, None)


def level_of(path: Path) -> JpegLevel:
    (level,) = jpeg_levels(path, "generic-tiff", ((730, 610),))
    assert level is not None
    return level


DAMAGES = {  # name -> (where: from a tile's start, its frame header or its byte count; what is written there)
    "no JPEG": ("tile", b"\0"),
    "no header": ("tile", b"\xff\xd8" + bytes(38)),
    "a bomb": ("size", b"\xff" * 4),
    "a tile of 2 GB": ("count", b"\xff\xff\xff\x7f"),
    "a tile left out": ("count", bytes(4)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_tile_that_is_not_what_it_should_be_is_left_to_openslide(tmp_path, damage):
    path = write_jpeg_pyramid(tmp_path / "s.tif", IMAGE, downsamples=(1,))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        tile = page.dataoffsets[0]
        places = {"tile": tile, "size": data.index(b"\xff\xc0", tile) + 5, "count": page.tags[325].valueoffset}
    where, written = DAMAGES[damage]
    data[places[where] : places[where] + len(written)] = written
    path.write_bytes(data)
    level = level_of(path)
    assert level.read(0, 0, 50, 50) is None
    assert level.read(300, 300, 50, 50) is not None


def test_the_file_is_closed_with_the_last_level(tmp_path):
    level = level_of(write_jpeg_pyramid(tmp_path / "s.tif", IMAGE, downsamples=(1,)))
    links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    assert tmp_path / "s.tif" in links
    del level
    assert tmp_path / "s.tif" not in [link.resolve() for link in Path("/proc/self/fd").iterdir()]


def test_real_slides_have_the_pixels_that_openslide_reads(real_data):
    are_jpeg = {
        "CMU-1-Small-Region.svs": True,
        "canine_mammary_region.tif": True,
        "generic_pyramid_3072x3968.tif": False,
    }
    for name, tiled in are_jpeg.items():
        with OpenSlideFile(real_data / "slides" / name) as slide:
            assert all(slide.jpeg) == tiled
            width, height = slide.size
            for x, y in ((0, 0), (width // 2, height // 2), (width - 700, height - 700)):
                assert (slide.read(0, x, y, 800, 800) == by_openslide(slide, 0, x, y, 800, 800)).all()
            for level in range(len(slide.level_sizes)):
                assert (slide.read(level, 0, 0, 600, 300) == by_openslide(slide, level, 0, 0, 600, 300)).all()
