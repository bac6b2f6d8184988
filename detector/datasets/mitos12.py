"""MITOS 2012 (ICPR contest, reference 14 of the paper): frames of Aperio slides, every mitosis as a list of pixels.

Layout: `frames/A00_01.jpg` with `labels/A00_01.csv`, or image and csv side by side. One line per mitosis,
`x,y,x,y,...`: every pixel of it, x first, counted from 0. The name before the underscore is the slide, hence the case.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from detector.datasets.frames import Label, read_frame
from detector.errors import DataSetError
from detector.frames import LabelledFrame

LAYOUT = "MITOS 2012 (frames/A00_01.jpg with labels/A00_01.csv, or side by side)"
MPP = 0.2456  # Aperio ScanScope XT, contest description

_NAME = re.compile(r"^[A-Z]\d\d_\d\d\w*$")
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


def recognises(folder: Path) -> bool:
    """Whether the folder looks like MITOS 2012."""
    return bool(_frames(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """All frames. A frame without a csv file is refused: an empty file says "no mitosis", a missing one nothing."""
    return [
        read_frame(
            image,
            case=image.stem.split("_")[0],
            source="MITOS12",
            mpp=MPP,
            mitoses=read_labels(table),
        )
        for image in _frames(folder)
        for table in [_label_file(folder, image)]
    ]


def read_labels(path: Path) -> list[Label]:
    """The centres of the mitoses of one csv file: the mean of each line's pixels. Raises DataSetError."""
    centres = []
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path} is no text: {error}") from error
    for number, line in enumerate(lines, start=1):
        fields = line.replace(";", ",").rstrip(", \t").split(",")
        if not any(part.strip() for part in fields):
            continue
        try:
            values = np.array([float(part) for part in fields])
        except ValueError:
            raise DataSetError(f"{path}, line {number}: not a list of numbers x,y,x,y,...") from None
        if len(values) % 2:
            raise DataSetError(f"{path}, line {number}: {len(values)} numbers are no pairs x,y,x,y,...")
        if not np.isfinite(values).all() or (values < 0).any():
            raise DataSetError(f"{path}, line {number}: pixel positions must be numbers from 0 up")
        x, y = (values.reshape(-1, 2).mean(axis=0) + 0.5).tolist()
        centres.append(Label(x, y, f"{path}, line {number}"))
    return centres


def _frames(folder: Path) -> list[Path]:
    apart = (folder / "frames").is_dir()
    home = folder / "frames" if apart else folder
    found = [p for p in home.iterdir() if p.suffix.lower() in _IMAGES and _NAME.match(p.stem)]
    return sorted(p for p in found if apart or p.with_suffix(".csv").exists())


def _label_file(folder: Path, image: Path) -> Path:
    for path in (folder / "labels" / f"{image.stem}.csv", image.with_suffix(".csv")):
        if path.exists():
            return path
    raise DataSetError(f"{image} has no label file; add labels/{image.stem}.csv (empty where there is no mitosis)")
