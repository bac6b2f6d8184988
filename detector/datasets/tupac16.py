"""TUPAC16 (the paper's T), with the alternative labels of Bertram et al. 2020 where they are there.

Layout: `mitoses_ground_truth/<case>/<frame>.csv`, rows `y,x` (row first), no header, an empty file for none; the
alternative labels add `nonmitoses_ground_truth/`.
Images `<case>/<frame>.tif` in the folder itself, in `mitoses_image_data*/`
or in `frames/`. A third column is a confidence and is not used. The frames are scanned at x40, 0.25 um/px.
"""

from __future__ import annotations

from pathlib import Path

from detector.datasets.frames import Label, read_frame
from detector.datasets.rows import find_image, read_rows
from detector.errors import DataSetError
from detector.frames import LabelledFrame

LAYOUT = "TUPAC16 (mitoses_ground_truth/01/01.csv with images 01/01.tif)"
MPP = 0.25


def recognises(folder: Path) -> bool:
    """Whether the folder looks like TUPAC16."""
    return (folder / "mitoses_ground_truth").is_dir()


def read(folder: Path) -> list[LabelledFrame]:
    """All frames that have labels and an image. Raises DataSetError where no image or a broken row is found."""
    tables = sorted((folder / "mitoses_ground_truth").glob("*/*.csv"))
    homes = [folder, *sorted(folder.glob("mitoses_image_data*")), folder / "frames"]
    frames = []
    for table in tables:
        case, name = table.parent.name, table.stem
        image = find_image([home / case for home in homes], name)
        if image is None:
            continue  # the images come in several parts, and one may do with some of them
        others = folder / "nonmitoses_ground_truth" / case / table.name
        non_mitoses = read_labels(others) if others.exists() else []
        mitoses = read_labels(table)
        frames.append(read_frame(image, case=case, source="TUPAC16", mpp=MPP, mitoses=mitoses, non_mitoses=non_mitoses))
    if not frames:
        raise DataSetError(f"{folder} has labels of {len(tables)} frames but none of their images (01/01.tif)")
    return frames


def read_labels(path: Path) -> list[Label]:
    """The labels of one csv file, whose rows are `y,x`. Raises DataSetError."""
    return [Label(x, y, where) for y, x, where in read_rows(path, "y,x")]
