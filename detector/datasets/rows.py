"""Rows of numbers in small text files, with errors that name file and line; and images found beside their labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from detector import paper
from detector.datasets.frames import Label, read_frame
from detector.errors import DataSetError, SlideError
from detector.frames import LabelledFrame, Rgb, lab_statistics, points
from detector.slide import open_slide

IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".svs")
ASSUMED_MPP = 0.25  # um/px where neither the format nor the image says it: all sets read here are scanned at x40


def read_rows(path: Path, layout: str) -> Iterator[tuple[float, float, str]]:
    """The first two numbers of each row of a file without a header, and where it is; a third is a confidence.

    layout: for errors. Raises DataSetError naming file and line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path} is no text: {error}") from error
    for number, line in enumerate(lines, start=1):
        fields = line.rstrip(", \t").split(",")  # trailing blanks are part of some sets, gaps of none
        if not any(part.strip() for part in fields):
            continue
        try:
            row = tuple(float(part) for part in fields)
        except ValueError:
            row = ()
        if len(row) not in {2, 3} or not all(math.isfinite(v) and v >= 0 for v in row):
            raise DataSetError(f"{path}, line {number}: {line.strip()!r} is not {layout}")
        yield row[0], row[1], f"{path}, line {number}"


def find_image(folders: Iterable[Path], stem: str) -> Path | None:
    """The image of this name, without its ending, in the first folder that has one."""
    for folder in folders:
        for suffix in (*IMAGES, *(suffix.upper() for suffix in IMAGES)):
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    return None


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def folder_and_below(folder: Path) -> list[Path]:
    """A folder and those directly in it, by name."""
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]


def read_patches(home: Path, *, source: str, case: str, mitotic: bool, least: int) -> list[LabelledFrame]:
    """The patches of a folder, each of `least` px a side or more, with a mitosis or a look-alike at its centre.

    Each has its own stain; what else it holds is not known. Raises DataSetError where a patch cannot be read.
    """
    return [_patch(path, source=source, case=case, mitotic=mitotic, least=least) for path in images_in(home)]


def _patch(path: Path, *, source: str, case: str, mitotic: bool, least: int) -> LabelledFrame:
    image = read_patch(path)
    height, width = image.shape[:2]
    if min(width, height) < least:
        raise DataSetError(f"{path}: {width} x {height} px, expected {least} px a side or more")
    centre = points([(width / 2, height / 2)])
    return LabelledFrame(
        name=path.stem,
        case=case,
        image=image,
        mitoses=centre if mitotic else points(),
        non_mitoses=points() if mitotic else centre,
        mpp=paper.WORKING_MPP,
        stain=lab_statistics([image]),
        source=source,
        exhaustive=False,
        rim_known=False,
    )


def read_patch(path: Path) -> Rgb:
    """The pixels of a single patch. Raises DataSetError."""
    try:
        with open_slide(path) as patch:
            return patch.read(0, 0, 0, *patch.size)
    except SlideError as error:
        raise DataSetError(f"{path}: {error.reason}") from error


def read_labelled_image(
    path: Path, *, case: str, source: str, mitoses: Sequence[Label], non_mitoses: Sequence[Label]
) -> LabelledFrame:
    """`read_frame` at the um/px that the image says, or at 0.25 where it does not."""
    try:
        with open_slide(path) as slide:
            mpp = slide.mpp[0] if slide.mpp is not None else ASSUMED_MPP
    except SlideError as error:
        raise DataSetError(str(error)) from error
    return read_frame(path, case=case, source=source, mpp=mpp, mitoses=mitoses, non_mitoses=non_mitoses)
