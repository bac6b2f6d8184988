"""Reading DICOM Microscopy Bulk Simple Annotations: verdicts and regions, written here or by other programs."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from highdicom.ann import annread

from detector.class_names import class_name
from webapp.core.errors import InvalidInput
from webapp.exchange.imports import KINDS, LABELS, OURS, Review, check_number

_CORNERED = {"POLYGON", "RECTANGLE"}
_MOST_BYTES = 8 << 20  # 50,000 points take one; what is read takes a hundred times its size
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a transfer syntax that grows a thousandfold
_log = logging.getLogger(__name__)


def read_dicom(data: bytes, image: str) -> Review:
    """Groups whose label or property type is a class of verdicts or regions. image: SOP Instance UID of the slide.

    Points are verdicts; of other shapes the middle of their box is. Places are pixels of the whole image that the
    object names; where that is another than the slide's, so is the slide of the review.
    """
    if len(data) > _MOST_BYTES or _DEFLATED in data:
        raise InvalidInput(f"A DICOM object of more than {_MOST_BYTES >> 20} MB, or a compressed one, is not read.")
    try:
        stored = annread(io.BytesIO(data))
        named = {str(one.ReferencedSOPInstanceUID) for one in stored.get("ReferencedImageSequence", [])}
        in_pixels = stored.AnnotationCoordinateType == "2D"
        groups = [_group(group) for group in stored.get_annotation_groups()] if in_pixels else []
    except Exception as error:  # there is no end of what its readers raise for a damaged one
        _log.info("a DICOM object that cannot be read: %r", error)
        raise InvalidInput("Not Microscopy Bulk Simple Annotations in DICOM, or damaged.") from error
    if not in_pixels:
        raise InvalidInput("Its coordinates are in mm (3D); pixels of the whole image (2D) are needed.")
    if stored.get("PixelOriginInterpretation", "VOLUME") != "VOLUME":
        raise InvalidInput("Its coordinates are of single frames; those of the whole image (VOLUME) are needed.")
    review = Review()
    if image not in named:
        review.slide = review.name = f"image {', '.join(sorted(named)) or 'not named'}"
    for number, group in enumerate(groups):
        _read_group(*group, f"annotation group {number + 1}", review)
        check_number(review)
    return review


def _group(group: Any) -> tuple[list[str], str, list[Any]]:
    """Its names, the kind of its shapes, and these."""
    names = [str(group.label), str(group.annotated_property_type.meaning)]
    return names, group.graphic_type.value, group.get_graphic_data("2D")


def _read_group(named: list[str], graphic: str, shapes: list[Any], where: str, review: Review) -> None:
    names = [class_name(name.split(",")[0]) for name in named]
    label = next((LABELS[name] for name in names if name in LABELS), None)
    kind = next((KINDS[name] for name in names if name in KINDS), None)
    if label is None and kind is None:
        review.unknown[names[1]] += 0 if OURS.intersection(names) else len(shapes)
        return
    for shape in shapes:
        corners = np.atleast_2d(np.asarray(shape, float))[:, :2]
        if not corners.size or not np.isfinite(corners).all():
            raise InvalidInput(f"{where}: x and y are not numbers.")
        if label is not None:
            x, y = ((corners.min(axis=0) + corners.max(axis=0)) / 2).tolist()
            review.verdicts.append((x, y, label, where))
        elif graphic not in _CORNERED:
            raise InvalidInput(f"{where}: a region is a polygon or a rectangle, not {graphic.lower()}.")
        else:
            assert kind is not None
            review.regions.append((kind, corners.tolist(), where))
