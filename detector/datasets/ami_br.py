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
from detector.datasets.rows import read_patch
from detector.errors import DataSetError
from detector.frames import LabelledFrame, Rgb, lab_statistics, points

LAYOUT = "AMi-Br (AMI-BR.csv with patches/)"
_COLUMNS = {"slide", "dataset", "uid", "x", "y"}


def recognises(folder: Path) -> bool:
    """Whether the folder looks like AMi-Br."""
    return (folder / "AMI-BR.csv").is_file()


def read(folder: Path) -> list[LabelledFrame]:
    """One non-exhaustive LabelledFrame per patch, with every listed mitosis in or just outside of it; stain
    statistics are per slide. Whether its own is atypical is what most of three experts say, where the csv has it."""
    table = folder / "AMI-BR.csv"
    slides: dict[tuple[str, str], list[tuple[str, float, float, bool | None]]] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        try:
            if _COLUMNS - set(rows.fieldnames or ()):
                raise DataSetError(f"{table}: the columns {', '.join(sorted(_COLUMNS))} are needed in the first line")
            for row in rows:
                if any(row[name] is None for name in _COLUMNS):
                    raise DataSetError(f"{table}, line {rows.line_num}: the line ends too early")
                x, y = _number(row["x"]), _number(row["y"])
                if not (math.isfinite(x) and math.isfinite(y)):
                    raise DataSetError(f"{table}, line {rows.line_num}: x and y must be numbers")
                slides.setdefault((row["dataset"], row["slide"]), []).append((row["uid"], x, y, _kind(row)))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataSetError(f"{table}, after line {rows.line_num}: {error}") from error
    if not slides:
        raise DataSetError(f"{table} lists no patch")

    half = paper.PATCH_SIZE / 2
    frames = []
    for (source, slide), entries in sorted(slides.items()):
        images = [_read_patch(folder / "patches" / f"{source}_{uid}.jpg") for uid, *_ in entries]
        stain = lab_statistics(images)
        centres = np.array([(x, y) for _, x, y, _ in entries])
        for (uid, x, y, atypical), image in zip(entries, images, strict=True):
            near = centres - (x, y) + half
            near = near[(abs(near - half) <= half + paper.BG_MIN_DISTANCE).all(axis=1)]
            frames.append(
                LabelledFrame(
                    name=f"{source}_{uid}",
                    case=f"{source}/{slide}",
                    image=image,
                    mitoses=points(near),
                    non_mitoses=points(),
                    mpp=paper.WORKING_MPP,
                    stain=stain,
                    source="AMi-Br",
                    exhaustive=False,
                    atypical=atypical,
                )
            )
    return frames


def _kind(row: dict[str, str]) -> bool | None:
    """Whether most of the experts call it atypical; None where the csv does not say."""
    return {"true": True, "false": False}.get((row.get("majority_atypical") or "").lower())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read_patch(path: Path) -> Rgb:
    image = read_patch(path)
    height, width = image.shape[:2]
    if (width, height) != (paper.PATCH_SIZE, paper.PATCH_SIZE):
        raise DataSetError(f"{path}: {width} x {height} px, expected 128 x 128")
    return image
