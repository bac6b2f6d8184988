"""SlideRunner sqlite databases: one centre per annotation, classes by name.

Layout: `*.sqlite` with the images that its table Slides names, beside it or in `images/`. Annotations that are marked
as deleted do not count. The class that the experts agreed on decides; classes that are neither are left out.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from detector.class_names import is_mitotic_class
from detector.datasets.frames import Label
from detector.datasets.midog import Labels
from detector.datasets.rows import read_labelled_image
from detector.errors import DataSetError
from detector.frames import LabelledFrame

LAYOUT = "SlideRunner (a .sqlite with the images that it names)"

_ROWS = """
SELECT Annotations.uid, Annotations.slide, Slides.uid, Slides.filename, Annotations.agreedClass, Classes.name,
  avg(coordinateX), avg(coordinateY),
  count(*) = sum(typeof(coordinateX) IN ('integer', 'real') AND typeof(coordinateY) IN ('integer', 'real'))
FROM Annotations LEFT JOIN Annotations_coordinates ON Annotations_coordinates.annoId = Annotations.uid
LEFT JOIN Slides ON Slides.uid = Annotations.slide LEFT JOIN Classes ON Classes.uid = Annotations.agreedClass
WHERE coalesce(Annotations.deleted, 0) = 0 GROUP BY Annotations.uid ORDER BY Annotations.uid
"""


def recognises(folder: Path) -> bool:
    """Whether the folder holds a SlideRunner database."""
    return bool(_databases(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """All slides of the databases that are there. Raises DataSetError where none is, or where a row is broken."""
    frames, known = [], 0
    for database in _databases(folder):
        labels = read_labels(database)
        known += len(labels)
        for name, of_slide in labels.items():
            image = next((p for p in (folder / name, folder / "images" / name) if p.is_file()), None)
            if image is not None:
                frame = read_labelled_image(
                    image,
                    case=re.sub(r"_stitched\d*$", "", image.stem),
                    source=database.stem,
                    mitoses=of_slide.mitoses,
                    non_mitoses=of_slide.non_mitoses,
                )
                frames.append(frame)
    if not frames:
        raise DataSetError(f"{folder} has labels of {known} slides but none of their images")
    return frames


def read_labels(path: Path) -> dict[str, Labels]:
    """Labels by file name, of every slide of the database. Raises DataSetError."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            slides = database.execute("SELECT filename FROM Slides ORDER BY uid").fetchall()
            rows = database.execute(_ROWS).fetchall()
    except sqlite3.Error as error:
        raise DataSetError(f"{path} is no SlideRunner database: {error}") from error
    labels = {str(name): Labels() for (name,) in slides}
    for uid, slide, known, name, agreed, label, x, y, numbers in rows:
        if known is None:
            raise DataSetError(f"{path}, Annotations {uid}: there is no slide {slide}")
        if agreed is not None and label is None:
            raise DataSetError(f"{path}, Annotations {uid}: there is no class {agreed}")
        if not numbers:
            raise DataSetError(f"{path}, Annotations_coordinates of annotation {uid}: no numbers x and y")
        kind = is_mitotic_class(str(label or ""))
        of_slide = labels[str(name)]
        if kind is not None:
            found = Label(float(x), float(y), f"{path}, Annotations {uid}")
            (of_slide.mitoses if kind else of_slide.non_mitoses).append(found)
    return labels


def _databases(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.sqlite") if path.is_file())
