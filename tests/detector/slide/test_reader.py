from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from detector.errors import SlideError
from detector.slide import MAX_FLAT_PIXELS, open_slide
from detector.slide.reader import FlatImage, OpenSlideFile
from tests.drawing import draw_tissue, write_pyramid

IMAGE = draw_tissue(90, 70, mitoses=[(30, 30)])


def save(path, image=IMAGE, mode="RGB", **options):
    Image.fromarray(image).convert(mode).save(path, **options)
    return path


def pixels(path):
    with open_slide(path) as slide:
        return slide.read(0, 0, 0, *slide.size)


def refusal(path):
    with pytest.raises(SlideError) as caught, open_slide(path) as slide:
        slide.read(0, 0, 0, *slide.size)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


def read_or_refused(path):
    """The pixels, or None where the file is refused by its name."""
    try:
        return pixels(path)
    except SlideError as error:
        reason = str(error)
    assert path.name in reason
    return None


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_flat_images_have_the_pixels_that_pillow_reads(tmp_path, suffix, mode):
    if (suffix, mode) in {("png", "CMYK"), ("bmp", "CMYK"), ("jpg", "P")}:
        mode = "1"
    path = save(tmp_path / f"frame.{suffix}", mode=mode)
    with open_slide(path) as slide:
        assert isinstance(slide, FlatImage)
        assert (slide.size, slide.level_sizes, slide.mpp) == ((90, 70), ((90, 70),), None)
        assert (slide.read(0, 0, 0, 90, 70) == np.asarray(Image.open(path).convert("RGB"))).all()


def test_the_format_is_that_of_the_bytes_not_of_the_name(tmp_path):
    path = save(tmp_path / "frame.svs", format="PNG")
    with open_slide(path) as slide:
        assert slide.format == "PNG"
    assert (pixels(path) == IMAGE).all()


def test_transparent_pixels_are_white(tmp_path):
    rgba = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 255, dtype=np.uint8)])
    rgba[:20, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "frame.png")
    read = pixels(tmp_path / "frame.png")
    assert (read[:20] == 255).all()
    assert (read[20:] == IMAGE[20:]).all()


def test_a_photograph_that_was_taken_upright_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "frame.png", exif=exif)
    assert (pixels(path) == np.rot90(IMAGE, -1)).all()


@given(st.integers(-40, 110), st.integers(-40, 110), st.integers(1, 60), st.integers(1, 60))
def test_a_flat_image_is_white_outside_of_its_edges(tmp_path_factory, x, y, width, height):
    path = tmp_path_factory.getbasetemp() / "edges.png"
    if not path.exists():
        save(path)
    with open_slide(path) as slide:
        read = slide.read(0, x, y, width, height)
    padded = np.pad(IMAGE, ((150, 150), (150, 150), (0, 0)), constant_values=255)
    assert (read == padded[150 + y : 150 + y + height, 150 + x : 150 + x + width]).all()


def test_a_pyramid_has_its_levels_and_resolution(tmp_path):
    image = draw_tissue(800, 640)
    with open_slide(write_pyramid(tmp_path / "slide.tif", image, mpp=0.2456)) as slide:
        assert isinstance(slide, OpenSlideFile)
        assert slide.level_sizes == ((800, 640), (400, 320), (200, 160))
        assert slide.mpp == pytest.approx((0.2456, 0.2456), rel=1e-3)
        assert (slide.read(0, 300, 200, 100, 90) == image[200:290, 300:400]).all()
        assert (slide.read(0, 790, 0, 20, 5)[:, 10:] == 255).all()
        slide.read(0, 0, 0, 5, 5)[:] = 0


def test_an_aperio_slide_says_its_resolution(tmp_path):
    path = tmp_path / "slide.svs"
    write_pyramid(path, draw_tissue(600, 500), mpp=None, description="Aperio Image Library v12\n600x500|MPP = 0.4990")
    with open_slide(path) as slide:
        assert (slide.format, slide.mpp) == ("aperio", (0.499, 0.499))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_72_dots_per_inch_are_no_micrometres_per_pixel(tmp_path, suffix):
    with open_slide(save(tmp_path / f"frame.{suffix}", dpi=(72, 72))) as slide:
        assert slide.mpp is None


@pytest.mark.parametrize("dpi", [72, 96, 300, 600])
def test_a_pyramid_of_screen_or_print_resolution_has_no_micrometres_per_pixel(tmp_path, dpi):
    with open_slide(write_pyramid(tmp_path / "slide.tif", draw_tissue(600, 500), mpp=25_400 / dpi)) as slide:
        assert slide.mpp is None


def test_what_is_no_image_is_refused_by_name(tmp_path):
    (tmp_path / "notes.svs").write_text("Patient: see file\n" * 50)
    assert "notes.svs: It is neither a slide" in refusal(tmp_path / "notes.svs")
    (tmp_path / "empty.tif").touch()
    assert "empty.tif: It is empty (0 bytes)" in refusal(tmp_path / "empty.tif")
    assert "is a folder" in refusal(tmp_path)
    assert "missing.svs: There is no such file" in refusal(tmp_path / "missing.svs")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_flat_image_that_was_cut_off_is_refused(tmp_path, suffix, share):
    path = save(tmp_path / f"frame.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "cut off" in refusal(path)


def test_a_tiff_whose_last_pages_are_missing_is_refused(tmp_path):
    page = Image.fromarray(draw_tissue(300, 280))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page, page])
    data = (tmp_path / "pages.tif").read_bytes()
    (tmp_path / "pages.tif").write_bytes(data[: len(data) // 2])  # the first page is whole
    assert "damaged or cut off" in refusal(tmp_path / "pages.tif")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.svs")
    assert "no regular file" in refusal(tmp_path / "pipe.svs")


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_off_anywhere_is_read_whole_or_refused(tmp_path, data):
    suffix = data.draw(st.sampled_from(["png", "jpg", "bmp", "tif", "pyramid.tif"]))
    path = tmp_path / f"whole.{suffix}"
    if not path.exists():
        write_pyramid(path, draw_tissue(300, 280)) if suffix == "pyramid.tif" else save(path)
    whole = path.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    read = read_or_refused(cut)
    assert read is None or (read == pixels(path)).all()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_flat_image_is_read_or_refused(tmp_path, data):
    suffix = data.draw(st.sampled_from(["png", "jpg", "bmp", "tif"]))
    path = tmp_path / f"whole.{suffix}"
    if not path.exists():
        save(path)
    damaged = bytearray(path.read_bytes())
    places = st.one_of(st.integers(0, 300), st.integers(0, len(damaged) - 1))
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        damaged[place] = byte
    bad = tmp_path / f"damaged.{suffix}"
    bad.write_bytes(bytes(damaged))
    read_or_refused(bad)


def png_of_size(width, height):
    """A PNG whose header promises more than there is."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(20_001, 20_000), (50_000, 40_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_of_absurd_size_is_refused_before_it_is_decoded(tmp_path, size):
    (tmp_path / "huge.png").write_bytes(png_of_size(*size))
    assert "pixels" in refusal(tmp_path / "huge.png")


def test_an_image_is_not_refused_for_its_size_up_to_the_limit(tmp_path):
    side = int(MAX_FLAT_PIXELS**0.5)
    (tmp_path / "large.png").write_bytes(png_of_size(side, side))
    assert "damaged or cut off" in refusal(tmp_path / "large.png")


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_pixels_of_more_than_8_bits_are_refused(tmp_path, kind):
    tifffile.imwrite(tmp_path / "deep.tif", IMAGE[..., 0].astype(kind))
    assert "8 are needed. Save it with 8 bits" in refusal(tmp_path / "deep.tif")
