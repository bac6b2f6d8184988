"""MITOS-ATYPIA-14 (the paper's M): 11 cases, each on two scanners, Aperio (A03) and Hamamatsu (H03).

Layout: `<frame>_mitosis.csv` and `<frame>_not_mitosis.csv`, rows `x,y,confidence`, an empty file for none, in the
folder itself, in `mitosis/` or in `A03/mitosis/` as in the original, and images `<frame>.tiff` anywhere below the
folder. A03 and H03 are one case: the same glass slide, so both are on the same side of a split.
"""

from __future__ import annotations

import re
from pathlib import Path

from detector.datasets.frames import Label, read_frame
from detector.datasets.rows import IMAGES, read_rows
from detector.errors import DataSetError
from detector.frames import LabelledFrame
from detector.slide.folder import files_below

LAYOUT = "MITOS-ATYPIA-14 (A03_00Aa_mitosis.csv, A03_00Aa_not_mitosis.csv and A03_00Aa.tiff)"
MPP = {"A": 0.2455, "H": 0.2275}  # x40 of Aperio ScanScope XT and Hamamatsu NanoZoomer 2.0-HT, contest description

_TABLE = re.compile(r"^(([AH])(\d\d)_\w+?)_mitosis\.csv$")


def recognises(folder: Path) -> bool:
    """Whether the folder looks like MITOS-ATYPIA-14."""
    return bool(_tables(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """All frames that have labels and an image. Raises DataSetError where no image or a broken row is found."""
    images = {path.stem: path for path in files_below(folder) if path.suffix.lower() in IMAGES}
    frames, tables = [], _tables(folder)
    for table, (name, scanner, case) in tables.items():
        if name not in images:
            continue
        others = table.with_name(f"{name}_not_mitosis.csv")
        frame = read_frame(
            images[name],
            case=case,
            source=f"MITOS14-{scanner}",
            mpp=MPP[scanner],
            mitoses=read_labels(table),
            non_mitoses=read_labels(others) if others.exists() else (),
        )
        frames.append(frame)
    if not frames:
        raise DataSetError(f"{folder} has labels of {len(tables)} frames but none of their images (A03_00Aa.tiff)")
    return frames


def read_labels(path: Path) -> list[Label]:
    """The labels of one csv file, whose rows are `x,y,confidence`. Raises DataSetError."""
    return [Label(*row) for row in read_rows(path, "x,y,confidence")]


def own_folders(folder: Path) -> list[Path]:
    """The folders of a slide and scanner directly below, as in the original."""
    return sorted(path for path in folder.glob("[AH][0-9][0-9]") if path.is_dir())


def _tables(folder: Path) -> dict[Path, tuple[str, str, str]]:
    """Label files with frame, scanner and case."""
    homes = [folder, folder / "mitosis", *(path / "mitosis" for path in own_folders(folder))]
    found = [path for home in homes for path in home.glob("*_mitosis.csv")]
    names = {path: _TABLE.match(path.name) for path in sorted(found)}
    return {path: (name[1], name[2], name[3]) for path, name in names.items() if name is not None}
