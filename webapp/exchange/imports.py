"""Reading back what was exported: verdicts and regions from GeoJSON and CSV, in level-0 pixels, uncropped.

`dicom_imports` does it from DICOM.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from detector.class_names import UNJUDGED, class_name
from webapp.annotations.models import Label, Region
from webapp.core.errors import DomainError, InvalidInput
from webapp.core.typed_json import read_json

MAX_ROWS = 50_000

# Classes that mean a verdict, as they are written here and by others (`class_name`).
LABELS = {
    "mitotic figure": Label.MITOTIC, "mitotic figures": Label.MITOTIC, "mitotic": Label.MITOTIC,
    "mitosis": Label.MITOTIC, "mitoses": Label.MITOTIC,
    "non-mitotic figure": Label.NON_MITOTIC, "non-mitotic figures": Label.NON_MITOTIC,
    "non_mitotic": Label.NON_MITOTIC, "non-mitotic": Label.NON_MITOTIC,
    "non-mitosis": Label.NON_MITOTIC, "non-mitoses": Label.NON_MITOTIC,
    "hard negative": Label.NON_MITOTIC, "hard negatives": Label.NON_MITOTIC,
    "look-alike": Label.NON_MITOTIC, "look-alikes": Label.NON_MITOTIC, "unsure": Label.UNSURE,
}  # fmt: skip
KINDS = {
    "tumor": Region.Kind.TUMOUR, "tumour": Region.Kind.TUMOUR,
    "exclusion": Region.Kind.EXCLUSION, "ignore*": Region.Kind.EXCLUSION, "ignore": Region.Kind.EXCLUSION,
    # Not "tissue": in QuPath that is all of it, with holes, which corrects nothing.
    "tissue correction": Region.Kind.TISSUE, "glass correction": Region.Kind.GLASS,
}  # fmt: skip
OURS = UNJUDGED | {"hotspot"}  # written here, and nobody's verdict
_DELIMITERS = ",;\t"


class AnotherSlide(DomainError):
    """A file says that it is of another slide than the one that it is sent to."""


@dataclass
class Review:
    """Verdicts (x, y, label, where in the file) and regions (kind, corners, where in the file).

    slide: the id that the file says it is of, "" where it says none; name: of that slide. unknown: how many objects of
    each class that means nothing here. without_place: of a class that does, but without a geometry.
    """

    verdicts: list[tuple[float, float, Label, str]] = field(default_factory=list)
    regions: list[tuple[Region.Kind, list[list[float]], str]] = field(default_factory=list)
    slide: str = ""
    name: str = ""
    unknown: Counter[str] = field(default_factory=Counter)
    without_place: int = 0


def read_csv(data: bytes) -> Review:
    """Columns x, y, label in any order and case; others are not read. Lines without a label are candidates that nobody
    judged.

    Between them commas, semicolons or tabs; numbers with a point or a comma; UTF-8 or, with its mark, UTF-16.
    """
    try:
        text = _text(data)
        first, _, rest = text.partition("\n")
        if first.lower().startswith("sep="):  # as Excel writes it
            text, first = rest, rest.partition("\n")[0]
        delimiter = max(_DELIMITERS, key=first.count)
        rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        columns = [name.strip().lower() for name in next(rows, [])]
        if missing := {"x", "y", "label"} - set(columns):
            raise InvalidInput(f"The CSV has no column {', '.join(sorted(missing))}; its first line is {first[:80]!r}.")
        review, slides = Review(), set()
        for cells in rows:
            number = rows.line_num + (text is rest)
            row = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
            slides.add(row.get("slide", ""))
            if name := class_name(row.get("label", "")):
                x, y = (row.get(axis, "").replace(",", ".") for axis in ("x", "y"))
                review.verdicts.append((*_point([x, y], f"line {number}"), _label(name, number), f"line {number}"))
            check_number(review)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"Not a CSV in UTF-8: {error}.") from error
    if len(slides - {""}) > 1:
        raise InvalidInput("This file holds verdicts of several slides; send each slide's by itself.")
    review.slide = review.name = next(iter(slides - {""}), "")
    return review


def read_geojson(data: bytes, offset: tuple[int, int]) -> Review:
    """Features whose class is a verdict (points; of other shapes the middle of their box) or a region (a Polygon).

    A hole of a tumour is an exclusion. offset: the slide's bounds in QuPath. A file written here says its own, which
    must be the same.
    """
    try:
        content = read_json(_text(data))
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"Not JSON: {error}.") from error
    features = content.get("features") if isinstance(content, dict) else content
    if isinstance(content, dict) and content.get("type") == "Feature":
        features = [content]
    if not isinstance(features, list):
        raise InvalidInput("A FeatureCollection or a list of features is needed: a geometry alone has no class.")
    review = Review()
    stamp = content.get("mitoscope") if isinstance(content, dict) else None
    if isinstance(stamp, dict):
        review.slide, review.name = str(stamp.get("slide") or ""), str(stamp.get("name") or "")
        said = stamp.get("bounds_offset")
        if said is not None and said != list(offset):
            raise InvalidInput(f"It was written with the bounds {said}, this slide has {list(offset)}: another slide.")
    for number, feature in enumerate(features):
        where = f"features[{number}]"
        try:
            _read_feature(feature, where, offset, review)
        except (AttributeError, KeyError, IndexError, TypeError, RecursionError) as error:
            raise InvalidInput(f"{where} is not a GeoJSON feature.") from error
        check_number(review)
    return review


def _read_feature(feature: dict[str, Any], where: str, offset: tuple[int, int], review: Review) -> None:
    name = class_name((feature.get("properties") or {}).get("classification"))
    label, kind = LABELS.get(name), KINDS.get(name)
    if label is None and kind is None:
        review.unknown[name] += name not in OURS
        return
    if feature["geometry"] is None:  # RFC 7946: not located
        review.without_place += 1
        return
    for geometry in _simple(feature["geometry"]):
        if label is not None:
            places = _places(geometry, where)
            review.verdicts += [(x + offset[0], y + offset[1], label, where) for x, y in places]
            continue
        assert kind is not None
        for polygon in _polygons(geometry, where):
            rings = [_corners(ring, where, offset) for ring in polygon]
            if len(rings) > 1 and kind != Region.Kind.TUMOUR:
                raise InvalidInput(f"{where}: this region has a hole, which cannot be kept; draw it in parts.")
            review.regions.append((kind, rings[0], where))
            review.regions += [(Region.Kind.EXCLUSION, hole, where) for hole in rings[1:]]


def _simple(geometry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The geometries of a GeometryCollection; of any other, itself."""
    if geometry["type"] != "GeometryCollection":
        yield geometry
        return
    for part in geometry["geometries"]:
        yield from _simple(part)


def _corners(ring: list[Any], where: str, offset: tuple[int, int]) -> list[list[float]]:
    corners = [_point(corner, where) for corner in ring]
    closed = corners[:-1] if corners[0] == corners[-1] else corners
    return [[x + offset[0], y + offset[1]] for x, y in closed]


def _text(data: bytes) -> str:
    """Decoded by its byte order mark; UTF-8 without one."""
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf_16 else "utf-8-sig")


def check_number(review: Review) -> None:
    """Raises InvalidInput where there is more in a file than is taken at once."""
    if len(review.verdicts) + len(review.regions) > MAX_ROWS:
        raise InvalidInput(f"More than {MAX_ROWS} verdicts and regions; send them in parts.")


def _label(name: str, number: int) -> Label:
    if name not in LABELS:
        raise InvalidInput(f"Line {number}: the label {name!r} is none of {', '.join(LABELS)}.")
    return LABELS[name]


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


def _polygons(geometry: dict[str, Any], where: str) -> list[Any]:
    """The polygons of a geometry, each a list of rings: the outer one, then its holes."""
    polygons: list[Any] | None = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(
        geometry["type"]
    )
    if polygons is None:
        raise InvalidInput(f"{where}: a region is a Polygon, not a {geometry['type']}.")
    return polygons
