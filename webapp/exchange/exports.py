"""The findings of a slide in the forms that other programs read.

Coordinates are level-0 pixels, uncropped, except where a form has its own: QuPath shows a slide cropped to the bounds
that its file names, so GeoJSON is moved by them and says so (`mitoscope.bounds_offset`); MIDOG counts in mm.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detector import class_names
from detector.errors import SlideError
from webapp.annotations.models import Label, Region
from webapp.core.errors import DomainError
from webapp.core.faults import fault_of
from webapp.core.streams import Pipe
from webapp.core.tables import as_csv
from webapp.core.typed_json import Encoder
from webapp.results.findings import Findings, Mark
from webapp.results.types import Hotspot, Review
from webapp.slides.models import Slide
from webapp.slides.storage import slide_opened

CLASSES = {
    "mitotic": ("Mitotic figure", [0, 114, 178]),
    "non_mitotic": ("Non-mitotic", [213, 94, 0]),
    "unsure": ("Unsure", [240, 228, 66]),
    "counted": (class_names.COUNTED, [86, 180, 233]),
    "below": (class_names.BELOW, [120, 120, 120]),
    "outside": (class_names.OUTSIDE, [160, 160, 160]),
}
REGION_CLASSES = {
    Region.Kind.TUMOUR: ("Tumor", [200, 0, 0]),
    Region.Kind.EXCLUSION: ("Exclusion", [60, 60, 60]),
    Region.Kind.TISSUE: ("Tissue correction", [0, 121, 90]),
    Region.Kind.GLASS: ("Glass correction", [60, 110, 180]),
}
HOTSPOT_CLASS = ("Hotspot", [230, 159, 0])
MARK_COLUMNS = ["slide", "x", "y", "score", "label", "counted", "hotspot", "added", "by", "at", "mirrored"]
_CORNERS = 128  # of the polygon that stands for a circle


@dataclass(frozen=True)
class Format:
    """A form of export. name, holds: for people. suffix: of its files."""

    name: str
    holds: str
    suffix: str
    content_type: str
    write: Callable[[Findings], bytes]


def geojson(found: Findings) -> bytes:
    """What QuPath reads by File > Import objects: figures, regions and hotspots."""
    left, top = bounds_offset(found.slide)

    def shift(x: float, y: float) -> list[float]:
        return [x - left, y - top]

    features = [_mark_feature(mark, shift, found.asked.min_score) for mark in found.marks]
    features += [_region_feature(region, shift) for region in found.regions]
    for number, hotspot in enumerate(found.count.standing.hotspots, 1):
        features += _hotspot_features(found, number, hotspot, shift)
    body = {
        "type": "FeatureCollection",
        "mitoscope": {**_stamp(found), "bounds_offset": [left, top]},
        "features": features,
    }
    return json.dumps(body, cls=Encoder).encode()


def figures_csv(found: Findings) -> bytes:
    """One line for each candidate and judged figure."""
    rows = [
        [
            found.slide.pk, mark.x, mark.y, "" if mark.score is None else mark.score, mark.label,
            _yes(mark.counted), mark.hotspot or "", _yes(mark.added), mark.by, mark.at.isoformat() if mark.at else "",
            round(mark.mirrored, 2),
        ]
        for mark in found.marks
    ]  # fmt: skip
    return as_csv([MARK_COLUMNS, *rows])


def summary_csv(found: Findings) -> bytes:
    """The numbers of a slide in one line under its header."""
    row = summary(found)
    return as_csv([list(row), list(row.values())])


def summary(found: Findings) -> dict[str, object]:
    """The numbers of a slide, by the names of their columns."""
    count, slide = found.count, found.slide
    hotspot, score = count.hotspot, count.score
    counted = hotspot or score
    low, high = counted.interval if counted else (None, None)
    return {
        "slide": slide.pk,
        "name": slide.name,
        "case": slide.case.identifier,
        "study": slide.case.study.name,
        "run": found.run.pk,
        "model": count.model.name,
        "model_sha256": count.model.sha256,
        "min_score": count.min_score,
        "tissue_mm2": count.tissue_mm2,
        "ai_count": count.ai.count,
        "reviewed_count": count.reviewed and count.reviewed.count,
        "count": count.count,
        "count_per_mm2": count.count_per_mm2,
        "hotspot_shape": count.shape,
        "hotspot_mm2": count.area_mm2,
        "hotspot_x": hotspot and hotspot.x,
        "hotspot_y": hotspot and hotspot.y,
        "hotspot_count": hotspot and hotspot.count,
        "hotspot_per_mm2": hotspot and hotspot.count_per_mm2,
        "hotspot_evaluable_mm2": hotspot and hotspot.evaluable_mm2,
        "interval_low": low,
        "interval_high": high,
        "hotspot_unseen": hotspot and hotspot.unseen,
        "score": score and score.value,
        "small_sample": score and score.small_sample,
        "to_next": score and score.to_next,
        "rule": score and score.rule.id,
        "rule_version": score and score.rule.version,
        **asdict(count.judged),
        **(_review_columns(count.review) if count.review else {}),
        "reason": count.reason,
        "stale": " ".join(count.stale),
        "use": count.use,
    }


def midog(found: Findings) -> bytes:
    """ "Multiple points" of grand-challenge.org, as in MIDOG: mm from the top left, every candidate with its class.

    The class is a person's where there is one, else mitotic from the threshold on; unsure ones are left out.
    """
    if found.slide.mpp is None:
        raise DomainError("MIDOG counts in mm and the um/px of this slide is not known; enter it first.")
    scale_x, scale_y = (value / 1000 for value in found.slide.mpp)
    points = [
        {
            "name": "mitotic figure" if _is_mitotic(mark, found.asked.min_score) else "non-mitotic figure",
            "point": [mark.x * scale_x, mark.y * scale_y, 0],
            "probability": 1.0 if mark.score is None else mark.score,
        }
        for mark in found.marks
        if mark.label != Label.UNSURE
    ]
    body = {"type": "Multiple points", "points": points, "version": {"major": 1, "minor": 0}}
    return json.dumps(body).encode()


def dicom(found: Findings) -> bytes:
    """A DICOM Microscopy Bulk Simple Annotations object: figures by label and origin, regions and hotspots."""
    from webapp.exchange.dicom import annotation_object  # here, as highdicom takes a second and few ask for it

    areas = [(*REGION_CLASSES[Region.Kind(region.kind)], np.array(region.polygon, float)) for region in found.regions]
    for number, hotspot in enumerate(found.count.standing.hotspots, 1):
        for outline in _outlines(found.slide, hotspot):
            areas.append((f"{HOTSPOT_CLASS[0]} {number}", HOTSPOT_CLASS[1], np.array(outline)))
    by_class: dict[str, list[Mark]] = {}
    for mark in found.marks:
        by_class.setdefault(class_of(mark, found.asked.min_score), []).append(mark)
    points = [(key, *CLASSES[key], by_class[key]) for key in CLASSES if key in by_class]
    return annotation_object(found, properties_of(found.slide), points, areas)


FORMATS = {
    "geojson": Format(
        "QuPath", "Figures, regions and hotspots as GeoJSON, moved to where QuPath crops the slide.",
        "geojson", "application/geo+json", geojson,
    ),
    "csv": Format("Figures", "A line of CSV for each.", "csv", "text/csv; charset=utf-8", figures_csv),
    "summary": Format("Numbers", "One line of CSV.", "summary.csv", "text/csv; charset=utf-8", summary_csv),
    "midog": Format("MIDOG", "Points in mm, for grand-challenge.org.", "midog.json", "application/json", midog),
    "dicom": Format("DICOM", "Microscopy Bulk Simple Annotations.", "dcm", "application/dicom", dicom),
}  # fmt: skip


def file_name(slide: Slide, form: Format) -> str:
    """A name for the export of a slide: readable, unique, and harmless in any file system."""
    readable = re.sub(r"[^A-Za-z0-9._-]+|[.]{2,}", "_", f"{slide.case.identifier}_{slide.name}").strip("._")[:80]
    return f"{readable}-{str(slide.pk)[:8]}.{form.suffix}"


def study_zip(all_findings: Iterable[Findings], form: Format) -> Iterator[bytes]:
    """A zip, piece by piece as it is made: the export of each slide, and `summary.csv` with the numbers of all.

    A slide whose export is refused is left out of the files; `summary.csv` has it all the same.
    """
    pipe = Pipe()
    rows: list[dict[str, object]] = []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as zipped:
        for found in all_findings:
            rows.append(summary(found))
            try:
                zipped.writestr(file_name(found.slide, form), form.write(found))
            except DomainError:
                continue
            yield pipe.take()
        header = [list(rows[0])] if rows else []
        zipped.writestr("summary.csv", as_csv([*header, *(list(row.values()) for row in rows)]))
    yield pipe.take()


def bounds_offset(slide: Slide) -> tuple[int, int]:
    """Where the part of the slide that QuPath shows begins (openslide.bounds-x, -y), in level-0 px."""
    properties = properties_of(slide)
    return int(properties.get("openslide.bounds-x", 0)), int(properties.get("openslide.bounds-y", 0))


def properties_of(slide: Slide) -> Mapping[str, str]:
    """What the file says of itself. Raises DomainError where it cannot be opened."""
    try:
        with slide_opened(slide) as file:
            return file.properties
    except SlideError as error:
        if fault_of(error) is not None:
            raise
        raise DomainError(
            "The file of this slide cannot be opened, so the offset of its coordinates in other programs is unknown."
        ) from error


def _is_mitotic(mark: Mark, min_score: float) -> bool:
    if mark.label == Label.OPEN:
        return mark.score is not None and mark.score >= min_score
    return mark.label == Label.MITOTIC


def class_of(mark: Mark, min_score: float) -> str:
    """The key in CLASSES: what a person has called it, else whether it counts, and if not, why."""
    if mark.label != Label.OPEN:
        return mark.label
    if mark.counted:
        return "counted"
    return "below" if mark.score is not None and mark.score < min_score else "outside"


def _mark_feature(mark: Mark, shift: Callable[[float, float], list[float]], min_score: float) -> dict[str, Any]:
    metadata = {"label": mark.label, "counted": _yes(mark.counted), "added": _yes(mark.added)}
    metadata |= {"by": mark.by, "at": mark.at.isoformat()} if mark.at else {}
    metadata |= {"mirrored": f"{mark.mirrored:.2f}"} if mark.mirrored else {}
    metadata |= {"hotspot": str(mark.hotspot)} if mark.hotspot else {}
    return {
        "type": "Feature",
        "id": str(mark.id),
        "geometry": {"type": "Point", "coordinates": shift(mark.x, mark.y)},
        "properties": {
            "objectType": "detection",
            "classification": _classification(CLASSES[class_of(mark, min_score)]),
            "measurements": {} if mark.score is None else {"score": mark.score},
            "metadata": metadata,
        },
    }


def _region_feature(region: Region, shift: Callable[[float, float], list[float]]) -> dict[str, Any]:
    ring = [shift(x, y) for x, y in region.polygon]
    return _area_feature(str(region.pk), ring, REGION_CLASSES[Region.Kind(region.kind)], {})


def _hotspot_features(
    found: Findings, number: int, hotspot: Hotspot, shift: Callable[[float, float], list[float]]
) -> list[dict[str, Any]]:
    """An outline each; of ten fields ten, of all that is evaluable none."""
    names = ("count", "count_per_mm2", "area_mm2", "evaluable_mm2")
    features = []
    for part, outline in enumerate(_outlines(found.slide, hotspot)):
        key = f"{found.run.pk}-hotspot-{number}" + (f"-{part + 1}" if hotspot.fields else "")
        ring = [shift(x, y) for x, y in outline]
        feature = _area_feature(key, ring, HOTSPOT_CLASS, {name: getattr(hotspot, name) for name in names})
        feature["properties"]["name"] = f"Hotspot {number}: {hotspot.count} in {hotspot.area_mm2:.4g} mm2 evaluable"
        features.append(feature)
    return features


def _outlines(slide: Slide, hotspot: Hotspot) -> list[list[tuple[float, float]]]:
    """Corners in level-0 px of each outline, of a circle many."""
    assert slide.mpp is not None, "without um/px there is no hotspot"
    mpp_x, mpp_y = slide.mpp
    corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    if hotspot.shape != "square":
        angles = [2 * math.pi * corner / _CORNERS for corner in range(_CORNERS)]
        corners = [(math.cos(angle), math.sin(angle)) for angle in angles]
    return [
        [(one.x + dx * one.reach_mm * 1000 / mpp_x, one.y + dy * one.reach_mm * 1000 / mpp_y) for dx, dy in corners]
        for one in hotspot.outlines
    ]


def _area_feature(
    key: str, ring: list[list[float]], kind: tuple[str, list[int]], measurements: dict[str, float]
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": key,
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "objectType": "annotation",
            "classification": _classification(kind),
            "measurements": measurements,
            "isLocked": True,
        },
    }


def _classification(kind: tuple[str, list[int]]) -> dict[str, Any]:
    return {"name": kind[0], "color": kind[1]}


def _review_columns(review: Review) -> dict[str, object]:
    return {"review": review.state, "hotspot_judged": review.judged, "hotspot_of": review.of, "to_decide": review.left}


def _stamp(found: Findings) -> dict[str, Any]:
    names = ("slide", "run", "min_score", "count", "area_mm2", "shape", "review", "model", "code_version", "mpp", "use")
    return {"name": found.slide.name, **{name: getattr(found.count, name) for name in names}}


def _yes(value: bool) -> str:
    return "yes" if value else "no"
