"""MIDOG 2021 and MIDOG++: one COCO-like json, mitotic figures (1) and look-alikes (2), images of about 2 mm2.

Layout: `MIDOG*.json` (or any json with images, annotations and categories) with the images beside it or in `images/`.
`bbox` is [xmin, ymin, xmax, ymax], not COCO's width and height. An image without a single annotation of either kind is
unlabelled (151 to 200 of MIDOG 2021) and is left out. Each image is a case of its own. A json of another name names the
set: the source of `midesec.json` is midesec.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.class_names import is_mitotic_class
from detector.datasets.frames import Label
from detector.datasets.rows import read_labelled_image
from detector.errors import DataSetError
from detector.frames import LabelledFrame

LAYOUT = "MIDOG 2021 or MIDOG++ (MIDOG.json with its images beside it or in images/)"
MITOTIC_FIGURE, LOOK_ALIKE = 1, 2


@dataclass
class Labels:
    """Labels of one image."""

    mitoses: list[Label] = field(default_factory=list)
    non_mitoses: list[Label] = field(default_factory=list)
    tumour: str = ""


def recognises(folder: Path) -> bool:
    """Whether the folder looks like MIDOG."""
    return bool(_tables(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """All labelled images that are there. Raises DataSetError where none is, or where an annotation is broken."""
    frames, known = [], 0
    for table in _tables(folder):
        labels = read_labels(table)
        known += len(labels)
        set_name = "MIDOG" if table.stem.upper().startswith("MIDOG") else table.stem
        for name, of_image in labels.items():
            image = next((p for p in (folder / name, folder / "images" / name) if p.is_file()), None)
            if image is not None:
                frame = read_labelled_image(
                    image,
                    case=Path(name).stem,
                    source=f"{set_name} {of_image.tumour}".strip(),
                    mitoses=of_image.mitoses,
                    non_mitoses=of_image.non_mitoses,
                )
                frames.append(frame)
    if not known:
        raise DataSetError(f"{folder} has no annotation of any image, and an image without one is unlabelled")
    if not frames:
        raise DataSetError(f"{folder} has labels of {known} images but none of the images, such as 001.tiff")
    return frames


def read_labels(path: Path) -> dict[str, Labels]:
    """Labels by file name, of the images with an annotation of either kind. Raises DataSetError."""
    content = _content(path)
    images: dict[Any, tuple[str, str]] = {}
    labels: dict[str, Labels] = {}
    for number, image in enumerate(content["images"]):
        try:
            images[image["id"]] = str(image["file_name"]), str(image.get("tumor_type", ""))
        except (KeyError, TypeError, AttributeError):
            raise DataSetError(f"{path}, images[{number}]: id and file_name are needed, not {image!r}") from None
    categories = _categories(content, path)
    for number, row in enumerate(content["annotations"]):
        try:
            (name, tumour), mitotic = images[row["image_id"]], categories[row["category_id"]]
            left, top, right, bottom = (value + 0.0 for value in row["bbox"])  # numbers, not texts
            if not all(map(math.isfinite, (left, top, right, bottom))):
                raise ValueError
        except (KeyError, OverflowError, TypeError, ValueError):
            raise DataSetError(
                f"{path}, annotations[{number}]: image_id of a listed image, category_id of a category and bbox "
                f"[xmin, ymin, xmax, ymax] are needed, not {str(row)[:200]}"
            ) from None
        if right < left or bottom < top:
            raise DataSetError(
                f"{path}, annotations[{number}]: the bbox {row['bbox']} ends before it begins; MIDOG has [xmin, ymin, "
                "xmax, ymax], this looks like COCO's [x, y, width, height]: write x + width and y + height"
            )
        of_image = labels.setdefault(name, Labels(tumour=tumour))
        kind = of_image.mitoses if mitotic else of_image.non_mitoses
        kind.append(Label((left + right) / 2, (top + bottom) / 2, f"{path}, annotations[{number}]"))
    return labels


def _categories(content: dict[str, Any], path: Path) -> dict[Any, bool]:
    """By their id, whether it means a mitotic figure; by the numbers of MIDOG where the file does not say."""
    categories, listed = {}, content.get("categories") or []
    if not isinstance(listed, list):
        raise DataSetError(f"{path}: categories must be a list, not {str(listed)[:100]}")
    for number, category in enumerate(listed):
        try:
            kind = is_mitotic_class(str(category["name"]))
            if kind is None:
                raise ValueError
            categories[category["id"]] = kind
        except (KeyError, TypeError, ValueError):
            raise DataSetError(
                f"{path}, categories[{number}]: id and name of mitotic figures or of look-alikes are needed, "
                f"not {category!r}"
            ) from None
    return categories or {MITOTIC_FIGURE: True, LOOK_ALIKE: False}


def _tables(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.glob("*.json")):
        with path.open("rb") as file:
            if b'"images"' in file.read(4096) or path.name.startswith("MIDOG"):
                found.append(path)
    return found


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path} is no json: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise DataSetError(f"{path}: lists of images and annotations are needed")
    return content
