"""Findings as DICOM: one Microscopy Bulk Simple Annotations object (PS3.3 A.87), made by highdicom.

Coordinates are those of the total pixel matrix, in which (0, 0) is the outer corner of the first pixel, as in ours. An
image that came as DICOM is referenced by its own UIDs. One that did not has none: UIDs are made from the slide's id,
the same in every export, so that exports of one slide belong together and whoever converts it may use them. An export
in which nothing has changed keeps its SOP Instance UID; a changed one has another, in the same series. The patient's id
is the case's pseudonym, or the file's own (DICOM_PATIENT_ID=file); of names in the file nothing is taken over.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence

import highdicom
import numpy as np
from django.conf import settings
from highdicom.ann import AnnotationGroup, Measurements, MicroscopyBulkSimpleAnnotations
from highdicom.color import CIELabColor
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from webapp.annotations.models import Label
from webapp.core.errors import DomainError
from webapp.exchange.dicom_uids import annotation_series_uid, made_uid, uid_of
from webapp.results.findings import Findings, Mark

_SCHEME = "99MITOSCOPE"  # no standard terminology that we know of has codes for these
_SCORE = CodedConcept("score", _SCHEME, "Detector score, 0 to 1")


def annotation_object(
    found: Findings,
    properties: Mapping[str, str],
    points: Sequence[tuple[str, str, list[int], list[Mark]]],
    areas: Sequence[tuple[str, list[int], NDArray[np.float64]]],
) -> bytes:
    """The file. properties: of the slide, as OpenSlide names them. points: figures by class: code, name, colour, marks.

    areas: regions and hotspots, each with name, colour and corners [n, 2] in level-0 px.
    """
    content = repr((points, [(name, colour, corners.tolist()) for name, colour, corners in areas], found.asked))
    name = f"annotations {hashlib.sha256(content.encode()).hexdigest()}"
    uids = (made_uid(found.run.pk, f"{name} {number}") for number in itertools.count(1))
    numbers = itertools.count(1)
    groups = [*_points(found, points, numbers, uids), *_polygons(areas, numbers, uids)]
    if not groups:
        raise DomainError("A DICOM annotation object needs a figure or a region, and this slide has none.")
    stored = MicroscopyBulkSimpleAnnotations(
        source_images=[_image(found, properties)],
        annotation_coordinate_type="2D",
        annotation_groups=groups,
        series_instance_uid=annotation_series_uid(found.run.pk),
        series_number=1,
        sop_instance_uid=made_uid(found.run.pk, name),
        instance_number=1,
        manufacturer="Mitoscope",
        manufacturer_model_name=_text(found.count.model.name),
        software_versions=_text(found.count.code_version),
        device_serial_number=found.count.model.sha256[:16],
        content_label="MITOSES",
        content_description=f"Counted from score {found.asked.min_score:g}; {found.count.use}",
    )
    stored.SeriesDescription = "Mitotic figures, found by Mitoscope and judged by people"
    file = io.BytesIO()
    stored.save_as(file)
    return file.getvalue()


def _image(found: Findings, properties: Mapping[str, str]) -> Dataset:
    """What an annotation object says of its image."""
    image = Dataset()
    image.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    image.Modality = "SM"
    for level in ("Study", "Series", "SOP"):
        name = f"{level}InstanceUID"
        setattr(image, name, uid_of(found.slide, properties, name))
    image.FrameOfReferenceUID = uid_of(found.slide, properties, "FrameOfReferenceUID")
    image.SpecificCharacterSet = "ISO_IR 192"
    own = properties.get("dicom.PatientID") if settings.DICOM_PATIENT_ID == "file" else None
    image.PatientID, image.PatientName = _text(own or found.slide.case.identifier), ""
    image.ContainerIdentifier = str(found.slide.pk)
    for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
        setattr(image, name, "")
    return image


def _points(
    found: Findings,
    points: Sequence[tuple[str, str, list[int], list[Mark]]],
    numbers: Iterator[int],
    uids: Iterator[str],
) -> Iterator[AnnotationGroup]:
    """Figures of one class and origin at a time."""
    by_kind: dict[tuple[str, str, tuple[int, ...], str], list[Mark]] = {}
    for code, name, colour, marks in points:
        for mark in marks:
            by_kind.setdefault((code, name, tuple(colour), _origin(mark)), []).append(mark)
    for (code, name, rgb, origin), marks in by_kind.items():
        scores = np.array([mark.score for mark in marks], np.float32)  # nothing but None where a person made them
        yield AnnotationGroup(
            number=next(numbers),
            uid=next(uids),
            label=f"{name}, {origin.lower()}",
            annotated_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            annotated_property_type=CodedConcept(code, _SCHEME, name),
            graphic_type="POINT",
            graphic_data=[np.array([[mark.x, mark.y]]) for mark in marks],
            algorithm_type=origin,
            algorithm_identification=None if origin == "MANUAL" else _algorithm(found),
            measurements=None if origin == "MANUAL" else [Measurements(_SCORE, scores, codes.UCUM.NoUnits)],
            display_color=CIELabColor.from_rgb(*rgb),
        )


def _polygons(
    areas: Sequence[tuple[str, list[int], NDArray[np.float64]]], numbers: Iterator[int], uids: Iterator[str]
) -> Iterator[AnnotationGroup]:
    for name, colour, corners in areas:
        yield AnnotationGroup(
            number=next(numbers),
            uid=next(uids),
            label=name,
            annotated_property_category=codes.SCT.SpatialAndRelationalConcept,
            annotated_property_type=CodedConcept(name.split()[0].lower(), _SCHEME, name.split()[0]),
            graphic_type="POLYGON",
            graphic_data=[corners],
            algorithm_type="MANUAL",
            display_color=CIELabColor.from_rgb(*colour),
        )


def _origin(mark: Mark) -> str:
    """Who made it (Annotation Group Generation Type): a person, the detector, or both."""
    if mark.score is None:
        return "MANUAL"
    return "AUTOMATIC" if mark.label == Label.OPEN else "SEMIAUTOMATIC"


def _algorithm(found: Findings) -> highdicom.AlgorithmIdentificationSequence:
    model = found.count.model
    return highdicom.AlgorithmIdentificationSequence(
        name=_text(model.name),
        family=codes.DCM.ArtificialIntelligence,
        version=model.sha256,
        source="Mitoscope",
    )


def _text(value: str) -> str:
    """As a DICOM long string: 64 bytes, no backslash, which would part it in two values."""
    return value.replace("\\", "/").encode()[:64].decode(errors="ignore")
