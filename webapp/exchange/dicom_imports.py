"""Reading DICOM Microscopy Bulk Simple Annotations: verdicts and regions, written here or by other programs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from highdicom.ann import annread
from pydicom.errors import InvalidDicomError

from detector.class_names import class_name
from webapp.core.errors import InvalidInput
from webapp.exchange.imports import KINDS, LABELS, OURS, Review, check_number

_CORNERED = {"POLYGON", "RECTANGLE"}


def read_dicom(data: bytes, image: str) -> Review:
    """Groups whose label or property type is a class of verdicts or regions. image: SOP Instance UID of the slide.

    Points are verdicts; of other shapes the middle of their box is. Places are pixels of the whole image that the
    object names; where that is another than the slide's, so is the slide of the review.
    """
    try:
        stored = annread(io.BytesIO(data))
        groups = [(group, group.get_graphic_data("2D")) for group in stored.get_annotation_groups()]
    except (InvalidDicomError, AttributeError, KeyError, TypeError, ValueError, EOFError) as error:
        raise InvalidInput(
            "Not Microscopy Bulk Simple Annotations in DICOM with 2D coordinates, in pixels of the whole image."
        ) from error
    if stored.get("PixelOriginInterpretation", "VOLUME") != "VOLUME":
        raise InvalidInput("Its coordinates are of single frames; those of the whole image (VOLUME) are needed.")
    review = Review()
    named = {str(one.ReferencedSOPInstanceUID) for one in stored.get("ReferencedImageSequence", [])}
    if image not in named:
        review.slide = review.name = f"image {', '.join(sorted(named)) or 'not named'}"
    for number, (group, shapes) in enumerate(groups):
        _read_group(group, shapes, f"annotation group {number + 1}", review)
        check_number(review)
    return review


def _read_group(group: Any, shapes: list[Any], where: str, review: Review) -> None:
    names = [class_name(str(name).split(",")[0]) for name in (group.label, group.annotated_property_type.meaning)]
    label = next((LABELS[name] for name in names if name in LABELS), None)
    kind = next((KINDS[name] for name in names if name in KINDS), None)
    if label is None and kind is None:
        review.unknown[names[1]] += 0 if OURS.intersection(names) else len(shapes)
        return
    for shape in shapes:
        corners = np.atleast_2d(np.asarray(shape, float))[:, :2]
        if not np.isfinite(corners).all():
            raise InvalidInput(f"{where}: x and y are not numbers.")
        if label is not None:
            x, y = ((corners.min(axis=0) + corners.max(axis=0)) / 2).tolist()
            review.verdicts.append((x, y, label, where))
        elif group.graphic_type.value not in _CORNERED:
            raise InvalidInput(
                f"{where}: a region is a polygon or a rectangle, not {group.graphic_type.value.lower()}."
            )
        else:
            assert kind is not None
            review.regions.append((kind, corners.tolist(), where))
