"""`make formats`: hundreds of drawn files, each opened with the right pixels, um/px and levels, or refused rightly.

Every combination of what a TIFF can say of one picture, flat images of each mode, files that are cut off or of another
kind. Prints what was wrong, and how many there were of each group. Not a test: it takes a minute or two, and
`tests/detector/slide/test_tiff.py` has one of each kind.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps

from detector.errors import SlideError
from detector.slide.prepare import prepare
from detector.slide.reader import open_slide
from tests.drawing import draw_glass, draw_tissue, levels_of
from tests.resilience.dicom_files import CT, SYNTAXES, dicom_zip, level, single

PICTURE = draw_tissue(640, 512)
GREY = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
STORED: dict[str, dict[str, Any]] = {"strips": {}, "tiles": {"tile": (256, 256)}}
PER_CM = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
LOSSLESS = ["none", "lzw", "deflate", "packbits", "zstd", "lzma"]
LOSSY = ["jpeg", "webp", "jpeg2000", "jpegxl"]
DEEP = [np.uint16, np.int16, np.int8, np.uint32, np.float16, np.float32, np.float64]


@dataclass(frozen=True)
class Made:
    """A file to be. write: makes it at a path. pixels: what it shows, upright; refused: words of the reason instead.

    mpp: um/px, None where it says none. levels: how many. apart: how far a pixel may be off. more: "ome", if it is one.
    """

    group: str
    name: str
    write: Callable[[Path], None]
    pixels: np.ndarray | None = None
    refused: str = ""
    mpp: tuple[float, float] | None = (0.25, 0.25)
    levels: int | None = None
    apart: int = 0
    more: dict[str, Any] = field(default_factory=dict)


def tiff(*pages: np.ndarray, big: bool = False, order: str = "<", **options: Any) -> Callable[[Path], None]:
    """Writes pages with the same options."""

    def write(path: Path) -> None:
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as out:  # type: ignore[arg-type]
            for page in pages:
                out.write(page, **{"metadata": None, **PER_CM, **options})

    return write


def in_rgb(grey: np.ndarray) -> np.ndarray:
    """A grey picture as it is shown."""
    return np.stack([grey] * 3, axis=-1)


def containers() -> Iterator[Made]:
    """One RGB picture in every compression, order of bytes and size of offsets."""
    for (stored, how), kind, order, big in itertools.product(STORED.items(), LOSSLESS + LOSSY, "<>", (False, True)):
        compression = None if kind == "none" else kind
        write = tiff(PICTURE, big=big, order=order, photometric="rgb", compression=compression, **how)
        name = f"{stored}-{kind}-{'little' if order == '<' else 'big'}{'-bigtiff' if big else ''}"
        yield Made("container", name, write, PICTURE, apart=0 if kind in LOSSLESS else 60)


def turned() -> Iterator[Made]:
    """Each orientation, with a scale that differs along the sides."""
    for (stored, how), kind, orientation in itertools.product(STORED.items(), ("none", "lzw", "jpeg"), range(1, 9)):
        flat = Image.fromarray(PICTURE)
        flat.getexif()[274] = orientation
        write = tiff(
            PICTURE, photometric="rgb", compression=None if kind == "none" else kind, resolution=(40_000, 20_000),
            extratags=[(274, "H", 1, orientation, True)], **how,
        )  # fmt: skip
        upright = np.asarray(ImageOps.exif_transpose(flat))
        mpp = (0.5, 0.25) if orientation >= 5 else (0.25, 0.5)
        yield Made(
            "orientation", f"{stored}-{kind}-{orientation}", write, upright, mpp=mpp, apart=60 if kind == "jpeg" else 0
        )


def scales() -> Iterator[Made]:
    """um/px in each unit, by tags and by OME-XML, and those of a screen, which are none."""
    for stored, how in STORED.items():
        for unit, per, mpp in (
            ("CENTIMETER", 40_000, 0.25), ("INCH", 101_600, 0.25), ("NONE", 40_000, None), ("INCH", 72, None),
            ("CENTIMETER", 118, None), ("INCH", 50_800, 0.5),
        ):  # fmt: skip
            write = tiff(PICTURE, photometric="rgb", resolution=(per, per), resolutionunit=unit, **how)
            yield Made("scale", f"{stored}-{unit}-{per}", write, PICTURE, mpp=mpp and (mpp, mpp))
        for unit, size in (("µm", 0.25), ("nm", 250), ("mm", 2.5e-4), ("cm", 2.5e-5), ("m", 2.5e-7), ("pm", 250_000)):
            xml = {"axes": "YXS", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit, "PhysicalSizeY": 2 * size}
            xml["PhysicalSizeYUnit"] = unit
            write = tiff(PICTURE, photometric="rgb", metadata=xml, resolution=(72, 72), resolutionunit="INCH", **how)
            yield Made("scale", f"{stored}-ome-{unit}", write, PICTURE, mpp=(0.25, 0.5), more={"ome": True})


def colours() -> Iterator[Made]:
    """Grey, palettes, CMYK, planes, alpha."""
    alpha = np.full(GREY.shape, 255, np.uint8)
    black = (GREY > 128).astype(np.uint8) * 255
    cmyk = np.dstack([255 - PICTURE, np.zeros(GREY.shape, np.uint8)])
    ramp = np.stack([np.arange(256) * 257, np.arange(256)[::-1] * 257, np.full(256, 40_000)]).astype(np.uint16)
    for (stored, how), kind in itertools.product(STORED.items(), (None, "lzw", "deflate")):
        name = f"{stored}-{kind or 'none'}"
        for what, page, options, shown in (
            ("grey", GREY, {"photometric": "minisblack"}, in_rgb(GREY)),
            ("white is zero", 255 - GREY, {"photometric": "miniswhite"}, in_rgb(GREY)),
            ("planes", np.moveaxis(PICTURE, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}, PICTURE),
            ("alpha", np.dstack([PICTURE, alpha]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, PICTURE),
            ("cmyk", cmyk, {"photometric": "separated"}, PICTURE),
            ("palette", GREY, {"photometric": "palette", "colormap": ramp}, (ramp.T[GREY] >> 8).astype(np.uint8)),
        ):  # fmt: skip
            write = tiff(page, compression=kind, **options, **how)
            yield Made("colours", f"{name}-{what}", write, shown, apart=1)
    yield Made("colours", "strips-bilevel", tiff(GREY > 128, photometric="minisblack"), in_rgb(black))


def refused() -> Iterator[Made]:
    """More bits, channels and images than one picture has."""
    for (stored, how), kind, samples in itertools.product(STORED.items(), DEEP, (1, 3)):
        page = (PICTURE if samples == 3 else GREY).astype(kind)
        write = tiff(page, photometric="rgb" if samples == 3 else "minisblack", **how)
        yield Made("bits", f"{stored}-{np.dtype(kind).name}-{samples}", write, refused="8 are needed")
    for (stored, how), number, grey in itertools.product(STORED.items(), (2, 3, 5), (False, True)):
        page, kind = (GREY, "minisblack") if grey else (PICTURE, "rgb")
        write = tiff(*[page] * number, photometric=kind, **how)
        yield Made("stack", f"{stored}-{number}-{kind}", write, refused=f"holds {number} images of one size")
        for axes in "ZTC":
            planes = np.stack([page] * number)
            xml = {"axes": f"{axes}YX{'' if grey else 'S'}"}
            write = tiff(planes, photometric=kind, metadata=xml, **how)
            yield Made(
                "stack", f"{stored}-{number}-{kind}-{axes}", write, refused="images of one size", more={"ome": True}
            )
    for stored, how in STORED.items():
        two = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unspecified"]}
        yield Made("channels", f"{stored}-2", tiff(PICTURE[..., :2], **two, **how), refused="not said to be red")
        five = np.dstack([PICTURE, PICTURE[..., :2]])
        write = tiff(five, photometric="minisblack", planarconfig="contig", **how)
        yield Made("channels", f"{stored}-5", write, refused="not said to be red")
        lab = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2LAB)
        yield Made("channels", f"{stored}-lab", tiff(lab, photometric="cielab", **how), refused="CIELAB")


def pyramids() -> Iterator[Made]:
    """Levels as pages and in SubIFDs; a label among them; a level of something else."""
    image = draw_glass(2048, 1536)
    image[300:1200, 400:1700] = draw_tissue(1300, 900)
    label = np.full((330, 350, 3), 250, np.uint8)
    options: dict[str, Any] = {"photometric": "rgb", "tile": (256, 256), **PER_CM}
    for kind, number, label_too in itertools.product(("deflate", "jpeg", "lzw"), (1, 2, 3), (False, True)):
        levels = levels_of(image, [2**level for level in range(number)])

        def pages(path: Path, levels: Any = levels, kind: str = kind, label_too: bool = label_too) -> None:
            with tifffile.TiffWriter(path) as out:
                for level, page in enumerate([*levels, label] if label_too else levels):
                    out.write(page, compression=kind, subfiletype=int(level > 0), metadata=None, **options)

        def sub(path: Path, levels: Any = levels, kind: str = kind) -> None:
            with tifffile.TiffWriter(path) as out:
                out.write(levels[0], subifds=len(levels) - 1, compression=kind, metadata={"axes": "YXS"}, **options)
                for page in levels[1:]:
                    out.write(page, compression=kind, subfiletype=1, **options)

        apart = 60 if kind == "jpeg" else 0
        yield Made(
            "pyramid", f"{kind}-{number}{'-label' if label_too else ''}", pages, image, levels=number, apart=apart
        )
        if not label_too:
            yield Made("pyramid", f"{kind}-{number}-sub", sub, image, levels=number, apart=apart, more={"ome": True})

    def other(path: Path) -> None:
        full, half = levels_of(image, (1, 2))
        with tifffile.TiffWriter(path) as out:
            out.write(full, metadata=None, **options)
            out.write(half[::-1], subfiletype=1, metadata=None, **options)

    yield Made("pyramid", "another picture as level", other, image, levels=1)


def flat() -> Iterator[Made]:
    """PNG, JPEG and BMP of each mode; grey ones are shown, what is deeper is refused."""
    rgb = Image.fromarray(PICTURE)
    for suffix, modes in (("png", ("RGB", "RGBA", "P")), ("jpg", ("RGB", "CMYK")), ("bmp", ("RGB", "P"))):
        for mode in modes:
            image = rgb.convert(mode) if mode != "P" else rgb.quantize(256)
            write = lambda path, image=image: image.save(path)  # noqa: E731
            near = {"png": 0, "bmp": 0, "jpg": 90}[suffix]
            yield Made("flat", f"{mode}.{suffix}", write, np.asarray(image.convert("RGB")), mpp=None, apart=near)
    deep = Image.fromarray(GREY.astype(np.uint16) * 256)
    yield Made("flat", "16.png", lambda path: deep.save(path), refused="8 bits per channel are needed")


def damaged() -> Iterator[Made]:
    """Files that were cut off, and files of other kinds."""
    for suffix, share in itertools.product(("png", "jpg", "bmp", "strips.tif", "tiles.tif"), (0.1, 0.5, 0.9)):

        def cut(path: Path, suffix: str = suffix, share: float = share) -> None:
            if suffix.endswith("tif"):
                tiff(PICTURE, photometric="rgb", **STORED[suffix.split(".")[0]])(path)
            else:
                Image.fromarray(PICTURE).save(path)
            data = path.read_bytes()
            path.write_bytes(data[: int(len(data) * share)])

        yield Made("damaged", f"{share:g}.{suffix}", cut, refused="cut off")
    for name, data, said in (
        ("report.pdf", b"%PDF-1.7\n", "a PDF"), ("cell.gif", b"GIF89a", "a GIF"), ("a.rar", b"Rar!\x1a\7", "a RAR"),
        ("ct.dcm", b"\0" * 128 + b"DICM", "not of a whole slide"), ("a.7z", b"7z\xbc\xaf\x27\x1c", "a 7-Zip"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "an HDF5"), ("a.gz", b"\x1f\x8b\x08", "a gzip"),
        ("a.html", b"<html>", "a web page"),
        ("a.txt", b"Patient: see file", "neither a slide"), ("a.exe", b"MZ\x90", "a program"),
    ):  # fmt: skip
        yield Made("damaged", name, lambda path, data=data: path.write_bytes(data + b" " * 300) and None, refused=said)


def dicom() -> Iterator[Made]:
    """Slides of one and more instances, in every order, with a label; what is no slide, or several."""
    image = draw_glass(1024, 768)
    image[150:600, 200:850] = draw_tissue(650, 450)
    half, quarter = (cv2.resize(image, None, fx=by, fy=by, interpolation=cv2.INTER_AREA) for by in (0.5, 0.25))
    label = level(np.full((128, 128, 3), (20, 200, 40), np.uint8), None, kind="LABEL", number=9, tile=128)
    for how, (tile, sparse) in itertools.product(SYNTAXES, ((256, False), (240, True), (512, False))):
        levels = [
            level(page, mpp, how=how, tile=tile, sparse=sparse, number=number)
            for number, (page, mpp) in enumerate(((image, 0.25), (half, 0.5), (quarter, 1.0)), 1)
        ]
        name, apart = f"{how}-{tile}{'-sparse' if sparse else ''}", 60 if how == "jpeg" else 0
        for kept, order in ((1, ""), (2, ""), (3, ""), (3, "-turned round")):
            parts = levels[:kept][:: -1 if order else 1]
            yield Made("dicom", f"{name}-{kept}{order}.zip", dicom_zip(*parts), image, levels=kept, apart=apart)
        yield Made("dicom", f"{name}-label.zip", dicom_zip(*levels, label), image, levels=3, apart=apart)
    unscaled = level(image, None)
    yield Made("dicom", "no scale.zip", dicom_zip(unscaled), image, mpp=None, apart=60)
    yield Made("dicom", "one file.dcm", single(level(image, 0.25)), image, apart=60)
    base = level(image, 0.25)
    for name, parts, said in (
        ("focal planes", (level(image, 0.25, planes=3),), "3 focal planes"),
        ("optical paths", (level(image, 0.25, paths=2),), "2 optical paths"),
        ("grey", (level(image[..., 0], 0.25, how="native"),), "it is grey"),
        ("a CT", (level(image, 0.25, sop_class=CT),), "not of a whole slide"),
        ("two series", (base, level(half, 0.5, SeriesInstanceUID="1.2.3")), "holds 2 slides"),
        ("another picture as level", (base, level(half[::-1], 0.5, number=2)), "do not show one picture"),
        ("a label alone", (label,), "perhaps its label"),
    ):
        yield Made("dicom", f"{name}.zip", dicom_zip(*parts), refused=said)


def wrong(made: Made, folder: Path) -> str:
    """What is wrong with a file as it is prepared; "" where nothing is."""
    name = made.name.replace("/", "-").replace(" ", "_")
    suffix = ".ome.tif" if made.more.get("ome") else "" if "." in name[-6:] else ".tif"
    path = folder / f"{name}{suffix}"
    made.write(path)
    try:
        facts = prepare(path, folder)
    except SlideError as error:
        right = made.refused and made.refused in error.reason and str(folder) not in error.reason
        return "" if right else f"refused: {error.reason}"
    if made.refused:
        return f"shown, but it should be refused: {made.refused}"
    with open_slide(folder / facts.path) as slide:
        shown = slide.read(0, 0, 0, *slide.size)
        assert made.pixels is not None
        if shown.shape != made.pixels.shape:
            return f"{shown.shape[1]} x {shown.shape[0]} px"
        if (off := int(np.abs(shown.astype(int) - made.pixels).max())) > made.apart:
            return f"a pixel is off by {off}"
        if made.levels is not None and len(slide.level_sizes) < made.levels:
            return f"{len(slide.level_sizes)} levels"
        if made.levels is not None and any(size[0] == 350 for size in slide.level_sizes):
            return "the label is a level"
        if (made.mpp is None) != (slide.mpp is None) or (made.mpp and not np.allclose(made.mpp, slide.mpp, rtol=1e-3)):
            return f"{slide.mpp} um/px"
    return ""


def main() -> int:
    """Prints what is wrong; returns 1 where anything is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--group", help="only this group")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)  # tifffile's, of what was damaged on purpose
    every = [*containers(), *turned(), *scales(), *colours(), *refused(), *pyramids(), *dicom(), *flat(), *damaged()]
    right: Counter[str] = Counter()
    failed = 0
    for made in every:
        if given.group and made.group != given.group:
            continue
        with tempfile.TemporaryDirectory() as folder:
            if said := wrong(made, Path(folder)):
                failed += 1
                print(f"{made.group}, {made.name}: {said}", flush=True)
            else:
                right[made.group] += 1
    print(", ".join(f"{group} {number}" for group, number in right.items()))
    print(f"{right.total()} of {right.total() + failed} files are read or refused rightly")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
