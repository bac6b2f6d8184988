"""AMi-Br: patches of 128 x 128 px, each centred on one mitosis of TUPAC16 or MIDOG 2021, from 202 slides.

Layout: `AMI-BR.csv` (slide, dataset, uid, x, y, ...) and `patches/<dataset>_<uid>.jpg`. The patches hold no labelled
background, and some hold a second mitosis; the csv's positions tell which.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from detector import paper
from detector.errors import DataSetError, SlideError
from detector.hpf import Hpf, lab_statistics, points
from detector.slide import open_slide

LAYOUT = "AMi-Br (AMI-BR.csv with patches/)"
_COLUMNS = {"slide", "dataset", "uid", "x", "y"}


def recognises(folder: Path) -> bool:
    """Whether the folder looks like AMi-Br."""
    return (folder / "AMI-BR.csv").is_file()


def read(folder: Path) -> list[Hpf]:
    """One non-exhaustive Hpf per patch, with every listed mitosis in or just outside of it; stain
    statistics are per slide."""
    table = folder / "AMI-BR.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or _COLUMNS - set(rows[0]):
        raise DataSetError(f"{table}: the columns {', '.join(sorted(_COLUMNS))} are needed in the first line")
    slides: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            x, y = float(row["x"]), float(row["y"])
        except (TypeError, ValueError):  # TypeError where the line ends before them
            raise DataSetError(f"{table}, line {number}: x and y must be numbers") from None
        if not (math.isfinite(x) and math.isfinite(y)):
            raise DataSetError(f"{table}, line {number}: x and y must be numbers")
        slides.setdefault((row["dataset"], row["slide"]), []).append((row["uid"], x, y))

    half = paper.PATCH_SIZE / 2
    hpfs = []
    for (source, slide), entries in sorted(slides.items()):
        images = [_read_patch(folder / "patches" / f"{source}_{uid}.jpg") for uid, _, _ in entries]
        stain = lab_statistics(images)
        centres = np.array([(x, y) for _, x, y in entries])
        for (uid, x, y), image in zip(entries, images, strict=True):
            near = centres - (x, y) + half
            near = near[(abs(near - half) <= half + paper.BG_MIN_DISTANCE).all(axis=1)]
            hpfs.append(
                Hpf(
                    name=f"{source}_{uid}",
                    case=f"{source}/{slide}",
                    image=image,
                    mitoses=points(near),
                    non_mitoses=points(),
                    mpp=paper.WORKING_MPP,
                    stain=stain,
                    source="AMi-Br",
                    exhaustive=False,
                )
            )
    return hpfs


def _read_patch(path: Path) -> np.typing.NDArray[np.uint8]:
    try:
        with open_slide(path) as patch:
            if patch.size != (paper.PATCH_SIZE, paper.PATCH_SIZE):
                raise DataSetError(f"{path}: {patch.size[0]} x {patch.size[1]} px, expected 128 x 128")
            return patch.read(0, 0, 0, *patch.size)
    except SlideError as error:
        raise DataSetError(f"{path}: {error.reason}") from error
