"""QuPath: one GeoJSON file of annotations per image, as "Export objects as GeoJSON" writes it.

Layout: `<image>.geojson` (or `<image>.tif.geojson`) beside the image or in `labels/`. A feature counts by its
classification ("Mitosis", "Mitotic figure"; "Non-mitosis", "Look-alike", "Hard negative"), in `name` or, from QuPath
0.4 on, `names`; regions are left out, and so are other classes, with a warning that names them. An object without a
place (null geometry) is left out, too. Coordinates are px of the image; of a shape, the middle of its box is taken.
Each image is a case.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.class_names import UNJUDGED, class_name, is_mitotic_class
from detector.datasets.frames import Label
from detector.datasets.midog import Labels
from detector.datasets.rows import IMAGES, find_image, read_labelled_image
from detector.errors import DataSetError
from detector.frames import LabelledFrame

_REGIONS = {
    "tumor", "tumour", "stroma", "necrosis", "region*", "ignore*", "exclusion", "tissue", "hotspot",
    "tissue correction", "glass correction",
}  # fmt: skip
_MEANT = _REGIONS | UNJUDGED | {"unsure", ""}  # to be left out
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
        content = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path} is no json: {error}") from error
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise DataSetError(f"{path}: a FeatureCollection or a list of features is needed")
    labels = Labels()
    others: Counter[str] = Counter()
    for number, feature in enumerate(features):
        try:
            name = class_name((feature.get("properties") or {}).get("classification"))
            kind = is_mitotic_class(name)
            if kind is None:
                others[name] += name not in _MEANT
                continue
            if feature.get("geometry") is None:
                others["without a place"] += 1
                continue
            for x, y in _centres(feature["geometry"]):
                (labels.mitoses if kind else labels.non_mitoses).append(Label(x, y, f"{path}, features[{number}]"))
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            raise DataSetError(f"{path}, features[{number}]: no GeoJSON geometry with finite coordinates") from None
    if left_out := [f"{many} {name}" for name, many in sorted(others.items()) if many]:
        warnings.warn(f"{path}: left out are {', '.join(left_out)}", stacklevel=2)
    return labels


def _centres(geometry: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """The points of a Point or MultiPoint; of any other shape the middle of its box."""
    if geometry["type"] == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _centres(part)
        return
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
