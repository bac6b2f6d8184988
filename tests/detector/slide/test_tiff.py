"""TIFFs that hold more, or other things, than OpenSlide and Pillow show: read right, or refused for the true reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from detector.errors import SlideError
from detector.slide.prepare import prepare
from detector.slide.reader import OpenSlideFile, open_slide
from tests.drawing import draw_glass, draw_tissue, levels_of, write_pyramid

PER_CM = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}  # 0.25 um/px
TILED = {"tile": (256, 256)}
OME = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}


@pytest.fixture
def picture():
    return draw_tissue(640, 512)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slide").mkdir()
    return tmp_path / "slide"


def prepared(path):
    """The slide that is made of a file, opened."""
    facts = prepare(path, path.parent)
    return facts, open_slide(path.parent / facts.path)


def refusal(path):
    with pytest.raises(SlideError) as refused:
        prepare(path, path.parent)
    assert str(path.parent) not in refused.value.reason
    return refused.value.reason


def pixels(slide, level=0):
    return slide.read(level, 0, 0, *slide.level_sizes[level])


@pytest.mark.parametrize("stored", [{}, TILED])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_lies_as_its_orientation_says_and_so_does_its_scale(folder, picture, stored, orientation):
    tags = [(274, "H", 1, orientation, True)]
    path = folder / "turned.tif"
    tifffile.imwrite(
        path, picture, photometric="rgb", metadata=None, resolution=(40_000, 20_000), resolutionunit="CENTIMETER",
        extratags=tags, **stored,
    )  # fmt: skip
    flat = Image.fromarray(picture)
    flat.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(flat))
    facts, slide = prepared(path)
    with slide:
        assert (pixels(slide) == expected).all()
        assert slide.mpp == facts.mpp == pytest.approx((0.5, 0.25) if orientation >= 5 else (0.25, 0.5))


@pytest.mark.parametrize("stored", [{}, TILED])
def test_what_is_turned_keeps_its_colours(folder, picture, stored):
    grey = picture[..., 0]
    ramp = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 90)]).astype(np.uint16) * 257
    cmyk = np.dstack([255 - picture, np.zeros(grey.shape, np.uint8)])
    opaque = np.dstack([picture, np.full(grey.shape, 255, np.uint8)])
    for page, options, shown in (
        (grey, {"photometric": "palette", "colormap": ramp}, (ramp.T[grey] >> 8).astype(np.uint8)),
        (255 - grey, {"photometric": "miniswhite"}, np.stack([grey] * 3, axis=-1)),
        (cmyk, {"photometric": "separated"}, picture),
        (opaque, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, picture),
        (np.moveaxis(picture, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}, picture),
    ):
        path = folder / "turned.tif"
        tifffile.imwrite(path, page, metadata=None, extratags=[(274, "H", 1, 3, True)], **options, **PER_CM, **stored)
        with open_slide(path) as slide:
            assert np.abs(pixels(slide).astype(int) - shown[::-1, ::-1]).max() <= 1, options


@pytest.mark.parametrize("stored", [{}, TILED])
def test_three_planes_that_are_named_as_colours_are_one_picture(folder, picture, stored):
    path = folder / "planes.ome.tif"
    with tifffile.TiffWriter(path) as tiff:
        planes, names = np.moveaxis(picture, 2, 0), {"Name": ["Red", "Green", "Blue"]}
        tiff.write(planes, photometric="minisblack", metadata={**OME, "axes": "CYX", "Channel": names}, **stored)
    _, slide = prepared(path)
    with slide:
        assert (pixels(slide) == picture).all() and slide.mpp == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize(
    ("axes", "shape", "more"),
    [("CYX", (3, 300, 320), {"Channel": {"Name": ["DAPI", "FITC", "Cy5"]}}), ("ZYX", (4, 300, 320), {}),
     ("TYX", (2, 300, 320), {}), ("ZYXS", (3, 300, 320, 3), {})],
)  # fmt: skip
@pytest.mark.parametrize("stored", [{}, TILED])
def test_planes_channels_and_time_points_are_refused_by_their_number(folder, axes, shape, more, stored):
    path = folder / "stack.ome.tif"
    kind = "rgb" if "S" in axes else "minisblack"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.full(shape, 150, np.uint8), photometric=kind, metadata={"axes": axes, **more}, **stored)
    assert f"It holds {shape[0]} images of one size" in refusal(path)


@pytest.mark.parametrize("stored", [{}, TILED])
def test_a_stack_of_pages_is_refused(folder, picture, stored):
    with tifffile.TiffWriter(folder / "stack.tif") as tiff:
        for _ in range(3):
            tiff.write(picture, photometric="rgb", metadata=None, **PER_CM, **stored)
    assert "It holds 3 images of one size" in refusal(folder / "stack.tif")


def test_a_mask_beside_a_picture_is_none(folder, picture):
    with tifffile.TiffWriter(folder / "masked.tif") as tiff:
        tiff.write(picture, photometric="rgb", metadata=None, **PER_CM, **TILED)
        tiff.write(picture[..., 0] > 99, photometric="mask", subfiletype=4, metadata=None, **TILED)
    _, slide = prepared(folder / "masked.tif")
    with slide:
        assert (pixels(slide) == picture).all()


def test_another_picture_beside_the_first_is_spoken_of(folder, picture):
    with tifffile.TiffWriter(folder / "two.tif") as tiff:
        for one in (picture, draw_tissue(600, 500)):
            tiff.write(one, photometric="rgb", metadata=None, **PER_CM, **TILED)
    facts, slide = prepared(folder / "two.tif")
    slide.close()
    assert "Shown is image 1 of the 2 in this file." in facts.remark


def test_a_thumbnail_that_comes_first_is_not_taken_for_the_picture(folder, picture):
    with tifffile.TiffWriter(folder / "thumb.tif") as tiff:
        for one in (picture[:128, :160], picture):
            tiff.write(one, photometric="rgb", metadata=None, **PER_CM)
    assert "first image has 160 x 128 px and another one 640 x 512" in refusal(folder / "thumb.tif")


@pytest.mark.parametrize("stored", [{}, TILED])
@pytest.mark.parametrize("compression", ["lzw", "zstd", "lzma", "webp", "jpeg2000", "jpegxl", "packbits"])
def test_every_compression_gives_the_same_pixels(folder, picture, compression, stored):
    path = folder / "packed.tif"
    tifffile.imwrite(path, picture, photometric="rgb", compression=compression, metadata=None, **PER_CM, **stored)
    expected = tifffile.imread(path)
    _, slide = prepared(path)
    with slide:
        assert (pixels(slide) == expected).all() and slide.mpp == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("stored", [{}, TILED])
def test_channels_and_colours_that_are_not_red_green_and_blue_are_refused(folder, picture, stored):
    for name, pixels, kind in (
        ("two", picture[..., :2], {"photometric": "minisblack", "extrasamples": ["unspecified"]}),
        ("five", np.dstack([picture, picture[..., :2]]), {"photometric": "minisblack"}),
        ("lab", cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), {"photometric": "cielab"}),
    ):
        path = folder / f"{name}.tif"
        tifffile.imwrite(path, pixels, planarconfig="contig", metadata=None, **kind, **PER_CM, **stored)
        assert ("CIELAB" if name == "lab" else "not said to be red, green and blue") in refusal(path)


@pytest.mark.parametrize("compression", ["jpeg", "deflate", None])
def test_levels_in_sub_ifds_are_used_as_they_are_and_the_scale_is_that_of_the_xml(folder, compression):
    picture = draw_tissue(2100, 1500)
    path = folder / "qupath.ome.tif"
    unit = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 2.5e-4, "PhysicalSizeYUnit": "mm"}
    levels = levels_of(picture, (1, 2, 4))
    options = {"photometric": "rgb", "compression": compression, **TILED}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(levels[0], subifds=2, metadata={"axes": "YXS", **unit}, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, **options)
    with tifffile.TiffFile(path) as tiff:
        stored = [tiff.pages[0].asarray(), *(page.asarray() for page in tiff.pages[0].pages)]
    facts, slide = prepared(path)
    with slide:
        assert slide.mpp == facts.mpp == pytest.approx((0.25, 0.25))
        assert slide.level_sizes == ((2100, 1500), (1050, 750), (525, 375))
        for level, expected in enumerate(stored):
            assert np.abs(pixels(slide, level).astype(int) - expected).max() <= (2 if compression == "jpeg" else 0)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.float32, np.int8])
@pytest.mark.parametrize("stored", [{}, TILED])
@pytest.mark.parametrize("samples", [1, 3])
def test_more_than_eight_bits_are_refused_for_their_number(folder, picture, kind, stored, samples):
    path = folder / "deep.tif"
    pixels = (picture if samples == 3 else picture[..., 0]).astype(kind)
    tifffile.imwrite(
        path, pixels, photometric="rgb" if samples == 3 else "minisblack", metadata=None, **PER_CM, **stored
    )
    said = {"uint16": "16 bits per channel", "int16": "16 bits with a sign", "int8": "8 bits with a sign"}
    assert said.get(np.dtype(kind).name, "32 bits of floating point") in refusal(path)


def test_what_is_no_stained_tissue_says_so(folder, picture):
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    write_pyramid(folder / "grey.tif", np.stack([grey] * 3, axis=-1))
    facts, slide = prepared(folder / "grey.tif")
    slide.close()
    assert "It has no colours: this is no H&E" in facts.remark
    Image.fromarray(grey).save(folder / "grey.png")
    assert "It has no colours" in refusal(folder / "grey.png")
    Image.fromarray(picture // 8).save(folder / "dark.png")
    assert "nearly black" in refusal(folder / "dark.png")
    Image.fromarray(picture[:1, :1]).save(folder / "dot.png")
    assert "1 x 1 px: too small" in refusal(folder / "dot.png")


def test_palettes_and_cmyk_are_shown_in_their_colours(folder, picture):
    as_palette = Image.fromarray(picture).quantize(200)
    as_palette.save(folder / "palette.tif")
    expected = np.asarray(as_palette.convert("RGB"))
    Image.fromarray(picture).convert("CMYK").save(folder / "cmyk.tif")
    for name, right in (("palette", expected), ("cmyk", picture)):
        _, slide = prepared(folder / f"{name}.tif")
        with slide:
            assert np.abs(pixels(slide).astype(int) - right).max() <= 1


@pytest.fixture
def slide_of_tissue():
    """1,024 x 768 px of glass with tissue in it."""
    image = draw_glass(1024, 768)
    image[200:600, 300:800] = draw_tissue(500, 400)
    return image


def test_a_label_that_is_marked_as_a_level_is_none_and_is_for_those_who_may_see_it(folder, slide_of_tissue):
    label = np.full((330, 350, 3), 255, np.uint8)
    cv2.putText(label, "NAME", (20, 180), 0, 3, (20, 20, 20), 9)
    path = folder / "labelled.tif"
    with tifffile.TiffWriter(path) as tiff:
        for number, level in enumerate([*levels_of(slide_of_tissue, (1, 2)), label]):
            tiff.write(level, photometric="rgb", subfiletype=int(number > 0), metadata=None, **PER_CM, **TILED)
    facts, slide = prepared(path)
    with slide:
        assert slide.level_sizes == ((1024, 768), (512, 384))
        assert (slide.associated("label") == label).all() and slide.associated("macro") is None
        assert facts.tissue_fraction == pytest.approx(500 * 400 / (1024 * 768), rel=0.05)
    thumbnail = np.asarray(Image.open(folder / "thumbnail.jpeg"))
    expected = cv2.resize(slide_of_tissue, thumbnail.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(thumbnail.astype(int) - expected).mean() < 4


def test_a_level_of_the_right_shape_that_shows_something_else_is_left_out_and_kept_apart(folder, slide_of_tissue):
    path = folder / "other.tif"
    full, half, _ = levels = levels_of(slide_of_tissue, (1, 2, 4))
    with tifffile.TiffWriter(path) as tiff:
        for number, level in enumerate([full, half, levels[2][:, ::-1]]):
            tiff.write(level, photometric="rgb", subfiletype=int(number > 0), metadata=None, **PER_CM, **TILED)
    facts, slide = prepared(path)
    with slide:
        assert slide.level_sizes == ((1024, 768), (512, 384)) and slide.mpp == facts.mpp == pytest.approx((0.25, 0.25))
        assert (pixels(slide) == full).all() and (pixels(slide, 1) == half).all()
        assert (slide.associated("label") == levels[2][:, ::-1]).all()


def test_an_ordinary_pyramid_is_left_as_it_is(folder, slide_of_tissue):
    facts, slide = prepared(write_pyramid(folder / "plain.tif", slide_of_tissue))
    with slide:
        assert facts.path == "plain.tif" and len(slide.level_sizes) == 3 and isinstance(slide, OpenSlideFile)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("ct.dcm", b"\0" * 128 + b"DICM" + b"\2\0\0\0" * 30, "DICOM file, but not of a whole slide"),
     ("report.pdf", b"%PDF-1.7\n" + b"x" * 200, "It is a PDF"), ("cell.gif", b"GIF89a" + b"\0" * 300, "It is a GIF")],
)  # fmt: skip
def test_what_is_no_slide_is_called_by_its_name(folder, name, data, said):
    (folder / name).write_bytes(data)
    assert said in refusal(folder / name)
