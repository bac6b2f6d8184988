"""QuPath: one GeoJSON file of annotations per image, as "Export objects as GeoJSON" writes it.

Layout: `<image>.geojson` (or `<image>.tif.geojson`) beside the image or in `labels/`. A feature counts by its
classification ("Mitosis", "Mitotic figure"; "Non-mitosis", "Look-alike", "Hard negative"); other classes, such as
regions, are left out. Coordinates are px of the image; of a shape, the middle of its box is taken. Each image is a
case.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.datasets.frames import Label
from detector.datasets.midog import Labels
from detector.datasets.rows import IMAGES, find_image, is_mitotic_class, read_labelled_image
from detector.errors import DataSetError
from detector.frames import LabelledFrame

LAYOUT = "QuPath (<image>.geojson beside <image>.tif)"


def recognises(folder: Path) -> bool:
    """Whether the folder holds GeoJSON files."""
    return bool(_tables(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """All images with a GeoJSON file. Raises DataSetError where an image is missing or a feature is broken."""
    frames = []
    for table in _tables(folder):
        named = Path(table.stem)  # "x" of x.geojson, "x.tif" of x.tif.geojson
        stem = named.stem if named.suffix.lower() in IMAGES else named.name
        image = find_image([folder, folder / "images", table.parent], stem)
        if image is None:
            raise DataSetError(f"{table} has no image; add {stem}.tif (or .png, .jpg, .svs) beside it")
        labels = read_labels(table)
        frame = read_labelled_image(
            image,
            case=image.stem,
            source="QuPath",
            mitoses=labels.mitoses,
            non_mitoses=labels.non_mitoses,
        )
        frames.append(frame)
    return frames


def read_labels(path: Path) -> Labels:
    """Labels of one GeoJSON file. Raises DataSetError naming the feature."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path} is no json: {error}") from error
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise DataSetError(f"{path}: a FeatureCollection or a list of features is needed")
    labels = Labels()
    for number, feature in enumerate(features):
        try:
            kind = is_mitotic_class(
                str(((feature.get("properties") or {}).get("classification") or {}).get("name") or "")
            )
            if kind is None:
                continue
            for x, y in _centres(feature["geometry"]):
                (labels.mitoses if kind else labels.non_mitoses).append(Label(x, y, f"{path}, features[{number}]"))
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            raise DataSetError(f"{path}, features[{number}]: no GeoJSON geometry with finite coordinates") from None
    return labels


def _centres(geometry: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """The points of a Point or MultiPoint; of any other shape the middle of its box."""
    positions = list(_positions(geometry["coordinates"]))
    if not positions:
        raise ValueError("no position")
    if geometry["type"] in {"Point", "MultiPoint"}:
        yield from positions
        return
    xs, ys = zip(*positions, strict=True)
    yield (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _positions(coordinates: Any) -> Iterator[tuple[float, float]]:
    if isinstance(coordinates[0], int | float):
        x, y = float(coordinates[0]), float(coordinates[1])
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError("no finite position")
        yield x, y
        return
    if not isinstance(coordinates, list):
        raise TypeError("no list of positions")
    for part in coordinates:
        yield from _positions(part)


def own_folders(folder: Path) -> list[Path]:
    """The folder of labels directly below, where there is one."""
    return [labels for labels in [folder / "labels"] if labels.is_dir()]


def _tables(folder: Path) -> list[Path]:
    return sorted(path for home in (folder, *own_folders(folder)) for path in home.glob("*.geojson"))
