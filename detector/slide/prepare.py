"""Preparing an upload: open it, check it, unpack or convert it, measure it - or refuse it with a reason.

Runs in a process of its own (`python -m detector.slide FILE FOLDER`), so that a hostile file takes
down nothing else.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import openslide
import tifffile

from detector import paper
from detector.errors import SlideError
from detector.slide.archive import unpack
from detector.slide.folder import files_below, sha256_of
from detector.slide.masks import TISSUE_FILE, Mask, mask_png
from detector.slide.pyramid import write_pyramid
from detector.slide.reader import FlatImage, OpenSlideFile, Rgb, Slide, open_slide
from detector.slide.scaled import level_for, read_scaled
from detector.slide.scanner import scanner_of
from detector.slide.tiff import copy_levels
from detector.slide.tiles import jpeg
from detector.slide.tissue import tissue_mask

MAX_SIDE = 2_000_000  # px: half a metre at 0.25 um/px
MIN_FRAME_TISSUE = 0.1  # share of a frame (HPF) that is tissue; less is an overview of a slide, too coarse for mitoses
PYRAMID = "pyramid.tif"  # what is made of a file that cannot be shown as it is
THUMBNAIL_SIZE = 512
TISSUE_SIZE = 2048  # px, the longer side of the picture in which tissue is found
_SMALLEST = 8  # px
_PATCHES, _PATCH, _UNLIKE = 8, 32, 40  # a row and column of patches, px, grey values: to tell whether a level fits
_GREY, _DARK, _GLASS = 6, 40, 200  # grey values: between channels without colour; brightest of black; mean of glass
COARSEST_USEFUL_MPP = 0.6  # um/px; beyond it the detector's resolution has to be invented

_COMPANIONS = {
    ".mrxs": "An .mrxs slide needs the folder of the same name beside it; upload both in one zip.",
    ".vms": "A .vms slide needs the other files of its folder; upload them in one zip.",
    ".dcm": "A DICOM slide is a set of files; upload the whole set in one zip.",
}


@dataclass(frozen=True)
class SlideFacts:
    """What preparing found. path: the file to open, in the slide's folder. bytes, sha256: of what was uploaded.

    width, height: level-0 px. mpp: (x, y) um per level-0 px, None where the file does not say. remark: for readers.
    """

    path: str
    bytes: int
    sha256: str
    format: str
    scanner: str
    width: int
    height: int
    mpp: tuple[float, float] | None
    tissue_fraction: float
    remark: str


@dataclass(frozen=True)
class Refusal:
    """A file that is no slide, and why."""

    reason: str


def to_json(found: SlideFacts | Refusal) -> str:
    """The line that the confined process prints."""
    return json.dumps({"refused": found.reason} if isinstance(found, Refusal) else asdict(found))


def from_json(line: str) -> SlideFacts | Refusal:
    """What that line says. Raises ValueError, TypeError or KeyError where it is none."""
    said = json.loads(line)
    if "refused" in said:
        return Refusal(said["refused"])
    return SlideFacts(**{**said, "mpp": (said["mpp"][0], said["mpp"][1]) if said["mpp"] else None})


def prepare(file: Path, folder: Path) -> SlideFacts:
    """Make a slide ready for viewing and detection. file: inside `folder`, which takes whatever is made from it.

    Raises SlideError with the reason for which the file is refused.
    """
    size, sha256 = file.stat().st_size, sha256_of(file)
    with _opened(file, folder) as slide:
        kind, file = slide.format, slide.path
        if isinstance(slide, OpenSlideFile):
            _check_complete(slide)
        picture, mask = tissue_of(slide)
        tissue = float(mask.mean())
        remarks = _remarks(slide, picture)
        if isinstance(slide, FlatImage):
            _check_frame(picture, tissue)
            file = folder / PYRAMID
            pixels = slide.pixels
            write_pyramid(file, lambda top, bottom: pixels[top:bottom], slide.size, slide.mpp, compression="deflate")
            remarks.append("A flat image, turned into a pyramid without loss.")
        facts = SlideFacts(
            path=file.relative_to(folder).as_posix(),
            bytes=size,
            sha256=sha256,
            format=kind,
            scanner=scanner_of(slide),
            width=slide.size[0],
            height=slide.size[1],
            mpp=slide.mpp,
            tissue_fraction=tissue,
            remark=" ".join(remarks),
        )
    (folder / TISSUE_FILE).write_bytes(mask_png(mask))
    thumbnail = cv2.resize(picture, _within(THUMBNAIL_SIZE, facts.width, facts.height), interpolation=cv2.INTER_AREA)
    (folder / "thumbnail.jpeg").write_bytes(jpeg(np.ascontiguousarray(thumbnail)))
    return facts


def _opened(file: Path, folder: Path) -> Slide:
    """The slide: the one of a zip, or of a plain pyramid that is made of a TIFF. Raises SlideError where none is."""
    zipped = zipfile.is_zipfile(file) and openslide.OpenSlide.detect_format(file) is None
    if zipped:
        unpack(file, folder / "unpacked")
        file = _slide_in(folder / "unpacked")
    try:
        slide = open_slide(file)
    except SlideError as error:
        hint = None if zipped else _COMPANIONS.get(file.suffix.lower())
        raise SlideError(f"{error.reason} {hint}" if hint else error.reason) from error
    with contextlib.ExitStack() as refused:
        refused.callback(slide.close)
        width, height = slide.size
        if max(width, height) > MAX_SIDE:
            raise SlideError(f"It says that it is {width} x {height} px; no slide is that large.")
        if min(width, height) < _SMALLEST:
            raise SlideError(f"It is {width} x {height} px: too small for a picture of tissue.")
        if slide.format == "dicom" and len(_levels_that_fit(slide)) < len(slide.level_sizes):
            raise SlideError("Its levels do not show one picture: the series holds instances of several.")
        plain = _plain_pyramid(slide, folder)
        if plain is None:
            refused.pop_all()
            return slide
    return open_slide(plain)


def _remarks(slide: Slide, picture: Rgb) -> list[str]:
    """What a reader should know about a slide, from what it says and how it looks."""
    remarks = []
    if min(slide.size) < paper.PATCH_SIZE:
        remarks.append(
            f"It has {slide.size[0]} x {slide.size[1]} px: fewer than the detector looks at around a mitosis."
        )
    if isinstance(slide, OpenSlideFile) and slide.tiff is not None and slide.tiff.images > 1:
        remarks.append(f"Shown is image 1 of the {slide.tiff.images} in this file.")
    if _is_colourless(picture):
        remarks.append("It has no colours: this is no H&E, which the detector has learnt, so a count says nothing.")
    if slide.mpp and max(slide.mpp) > COARSEST_USEFUL_MPP:
        remarks.append(
            f"Scanned at {max(slide.mpp):.3g} um/px: coarser than the 0.25 um/px that the detector has learnt, "
            "so its counts are not to be relied on."
        )
    return remarks


def _check_frame(picture: Rgb, tissue: float) -> None:
    """Refuse a flat image that shows no tissue, for the true reason. tissue: share of it."""
    if picture.max() < _DARK:
        raise SlideError("It is nearly black: no picture of stained tissue in transmitted light.")
    if tissue >= MIN_FRAME_TISSUE:
        return
    if _is_colourless(picture) and picture.mean() < _GLASS:
        raise SlideError("It has no colours: this is no H&E, and where tissue lies cannot be told.")
    raise SlideError(
        f"This flat image is {min(1 - tissue, 0.99):.0%} glass: an overview of a slide, too coarse to see "
        "mitoses. Upload the slide itself, or a frame filled with tissue at about 0.25 um/px."
    )


def _plain_pyramid(slide: Slide, folder: Path) -> Path | None:
    """A copy of a generic TIFF, tile by tile, with all levels of this slide and no others; None where it is one.

    Levels in SubIFDs (OME-TIFF) are not seen by OpenSlide; others are seen that show something else.
    """
    if not isinstance(slide, OpenSlideFile) or slide.tiff is None:
        return None
    out = folder / PYRAMID
    if slide.tiff.sub_levels:
        copy_levels(slide.path, out, {slide.size, *slide.tiff.sub_levels}, slide.mpp)
        with open_slide(out) as copied:
            keep = _levels_that_fit(copied)
            if len(keep) == len(copied.level_sizes):
                return out
    else:
        keep = _levels_that_fit(slide)
        if len(keep) == len(slide.level_sizes):
            return None
    copy_levels(slide.path, out, keep, slide.mpp)
    return out


def _levels_that_fit(slide: Slide) -> list[tuple[int, int]]:
    """Sizes of the levels that show what level 0 shows."""
    return [size for level, size in enumerate(slide.level_sizes) if level == 0 or _fits(slide, level)]


def _fits(slide: Slide, level: int) -> bool:
    """Whether a level shows what the one before it shows: patches all over it, 8 x 8 cells each."""
    (width, height), (finer_width, finer_height) = slide.level_sizes[level], slide.level_sizes[level - 1]
    side = max(1, min(_PATCH, width, height))
    x_scale, y_scale = finer_width / width, finer_height / height
    unlike = patches = 0
    for y in np.linspace(0, height - side, _PATCHES).astype(int).tolist():
        for x in np.linspace(0, width - side, _PATCHES).astype(int).tolist():
            here = slide.read(level, x, y, side, side)
            finer = slide.read(
                level - 1, round(x * x_scale), round(y * y_scale), round(side * x_scale), round(side * y_scale)
            )
            cells = [cv2.resize(one, (8, 8), interpolation=cv2.INTER_AREA).astype(int) for one in (here, finer)]
            stored = (cells[0] < 255) & (cells[1] < 255)  # tiles that a file leaves out are white
            unlike, patches = unlike + int((np.abs(cells[0] - cells[1])[stored] > _UNLIKE).any()), patches + 1
    return unlike <= patches // 50


def _is_colourless(picture: Rgb) -> bool:
    """Whether a picture is grey all over, but for what JPEG makes of grey."""
    channels = picture.astype(np.int16)
    return bool(np.quantile(channels.max(axis=-1) - channels.min(axis=-1), 0.999) <= _GREY)


def tissue_of(slide: Slide) -> tuple[Rgb, Mask]:
    """The whole slide in at most `TISSUE_SIZE` px, from its coarsest sufficient level, and where that shows tissue."""
    width, height = _within(TISSUE_SIZE, *slide.size)
    level = level_for(slide, width, height)
    picture = read_scaled(slide, level, (0, 0, *slide.level_sizes[level]), width, height)
    return picture, tissue_mask(picture, slide.mpp[0] * slide.size[0] / width if slide.mpp else None)


def _check_complete(slide: OpenSlideFile) -> None:
    """Refuse a slide that is cut off: every TIFF tile must lie inside the file, and a grid of tiles must decode."""
    with slide.path.open("rb") as file:
        is_tiff = file.read(4)[:2] in {b"II", b"MM"}
    if is_tiff:
        size = slide.path.stat().st_size
        try:
            with tifffile.TiffFile(slide.path) as tiff:
                end = max(
                    (offset + count for page in tiff.pages for offset, count in _segments(page)),
                    default=0,
                )
        except (tifffile.TiffFileError, ValueError, IndexError, KeyError, TypeError, AttributeError):
            end = 0  # some vendors' TIFFs are special; OpenSlide, which opened it, is the judge
        # NDPI files above 4 GB wrap offsets around; an end beyond the file is then no proof.
        if end > size and slide.format != "hamamatsu":
            raise SlideError(f"It is cut off: {size} bytes of at least {end}. Send it again.")
    width, height = slide.size
    for y in np.linspace(0, max(height - 64, 0), 5):
        for x in np.linspace(0, max(width - 64, 0), 5):
            slide.read(0, int(x), int(y), min(64, width), min(64, height))


def _segments(page: object) -> list[tuple[int, int]]:
    offsets, counts = getattr(page, "dataoffsets", ()), getattr(page, "databytecounts", ())
    return list(zip(offsets, counts, strict=False))


def _within(longest: int, width: int, height: int) -> tuple[int, int]:
    """(width, height), scaled down so that neither is more than `longest`."""
    scale = longest / max(width, height, longest)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _slide_in(folder: Path) -> Path:
    """The one slide among unpacked files; the files of one DICOM series are one slide."""
    files = [p for p in files_below(folder) if not p.name.startswith(".")]
    found: dict[str, Path] = {}
    for path in files:
        vendor = openslide.OpenSlide.detect_format(path)
        if vendor is not None:
            found.setdefault(_series(path) if vendor == "dicom" else str(path), path)
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise SlideError(f"This zip holds {len(found)} slides; upload each in a zip of its own.")
    hints = [hint for suffix, hint in _COMPANIONS.items() if any(p.suffix.lower() == suffix for p in files)]
    if any(_is_dicom(path) for path in files):
        hints = ["The DICOM files in it are not of a whole slide."]
    raise SlideError(" ".join(["This zip holds no slide that OpenSlide can open.", *hints]))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _series(path: Path) -> str:
    try:
        with OpenSlideFile(path) as slide:
            return slide.properties.get("dicom.SeriesInstanceUID", str(path))
    except SlideError:
        return str(path)
