"""Reading back what was exported: verdicts and regions from GeoJSON and CSV, in level-0 pixels, uncropped."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from webapp.annotations.models import Label, Region
from webapp.core.errors import InvalidInput

MAX_ROWS = 50_000

# Names of classes that mean a verdict, as they are written here and by others; in lower case.
_LABELS = {
    "mitotic figure": Label.MITOTIC, "mitotic": Label.MITOTIC, "mitosis": Label.MITOTIC,
    "non-mitotic figure": Label.NON_MITOTIC, "non_mitotic": Label.NON_MITOTIC, "non-mitosis": Label.NON_MITOTIC,
    "hard negative": Label.NON_MITOTIC, "look-alike": Label.NON_MITOTIC, "unsure": Label.UNSURE,
}  # fmt: skip
_KINDS = {
    "tumor": Region.Kind.TUMOUR, "tumour": Region.Kind.TUMOUR, "exclusion": Region.Kind.EXCLUSION,
    # Not "tissue": in QuPath that is all of it, with holes, which corrects nothing.
    "tissue correction": Region.Kind.TISSUE, "glass correction": Region.Kind.GLASS,
}  # fmt: skip


@dataclass
class Review:
    """Verdicts (x, y, label) and regions (kind, corners)."""

    verdicts: list[tuple[float, float, Label]] = field(default_factory=list)
    regions: list[tuple[Region.Kind, list[list[float]]]] = field(default_factory=list)


def read_csv(data: bytes) -> Review:
    """Columns x, y, label; others are not read. Lines without a label are candidates that nobody judged."""
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)
        if missing := {"x", "y", "label"} - set(rows.fieldnames or ()):
            raise InvalidInput(f"The CSV has no column {', '.join(sorted(missing))}.")
        review = Review()
        for number, row in enumerate(rows, 2):
            if name := (row["label"] or "").strip().lower():
                review.verdicts.append((*_point([row["x"], row["y"]], f"line {number}"), _label(name, number)))
            _check_number(review)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"Not a CSV in UTF-8: {error}.") from error
    return review


def read_geojson(data: bytes, offset: tuple[int, int]) -> Review:
    """Features whose class is a verdict (points; of other shapes the middle of their box) or a region (a Polygon).

    offset: the slide's bounds in QuPath. A file written here says its own, which must be the same.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise InvalidInput(f"Not JSON: {error}.") from error
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise InvalidInput("A FeatureCollection or a list of features is needed.")
    stamp = content.get("mitoscope") if isinstance(content, dict) else None
    said = stamp.get("bounds_offset") if isinstance(stamp, dict) else None
    if said is not None and said != list(offset):
        raise InvalidInput(
            f"This file was written with the bounds {said}, this slide has {list(offset)}: another slide."
        )
    review = Review()
    for number, feature in enumerate(features):
        try:
            name = str(((feature.get("properties") or {}).get("classification") or {}).get("name") or "").lower()
            if name in _LABELS:
                for x, y in _places(feature["geometry"], f"features[{number}]"):
                    review.verdicts.append((x + offset[0], y + offset[1], _LABELS[name]))
            elif name in _KINDS:
                for ring in _rings(feature["geometry"], number):
                    corners = [_point(corner, f"features[{number}]") for corner in ring]
                    closed = corners[:-1] if corners[0] == corners[-1] else corners
                    review.regions.append((_KINDS[name], [[x + offset[0], y + offset[1]] for x, y in closed]))
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise InvalidInput(f"features[{number}] is not a GeoJSON feature.") from error
        _check_number(review)
    return review


def _check_number(review: Review) -> None:
    if len(review.verdicts) + len(review.regions) > MAX_ROWS:
        raise InvalidInput(f"More than {MAX_ROWS} verdicts and regions; send them in parts.")


def _label(name: str, number: int) -> Label:
    if name not in _LABELS:
        raise InvalidInput(f"Line {number}: the label {name!r} is none of {', '.join(_LABELS)}.")
    return _LABELS[name]


def _point(pair: Any, where: str) -> tuple[float, float]:
    try:
        x, y = float(pair[0]), float(pair[1])
    except (TypeError, ValueError, IndexError, OverflowError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InvalidInput(f"{where}: x and y are not numbers.")
    return x, y


def _places(geometry: dict[str, Any], where: str) -> list[tuple[float, float]]:
    points = list(_positions(geometry["coordinates"], where))
    if geometry["type"] == "MultiPoint":
        return points
    xs, ys = zip(*points, strict=True)
    return [((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)]


def _positions(coordinates: Any, where: str) -> Iterator[tuple[float, float]]:
    if isinstance(coordinates[0], list):
        for part in coordinates:
            yield from _positions(part, where)
    else:
        yield _point(coordinates, where)


def _rings(geometry: dict[str, Any], number: int) -> list[Any]:
    polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(geometry["type"])
    if polygons is None:
        raise InvalidInput(f"features[{number}]: a region is a Polygon, not a {geometry['type']}.")
    if any(len(polygon) != 1 for polygon in polygons):
        raise InvalidInput(f"features[{number}]: a region has no holes; draw the hole as an exclusion.")
    return [polygon[0] for polygon in polygons]
