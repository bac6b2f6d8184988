"""DICOM annotations of other programs: their verdicts and regions, on the image that they name."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from highdicom.ann import AnnotationGroup, MicroscopyBulkSimpleAnnotations
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import VLWholeSlideMicroscopyImageStorage, generate_uid

IMAGE = "1.2.826.0.1.3680043.8.498.1"
BOX = [[10, 20], [110, 20], [110, 90], [10, 90]]
CIRCLE = [[190, 200], [210, 200], [200, 190], [200, 210]]  # the ends of its axes


@pytest.fixture
def slide(make_slide, monkeypatch):
    monkeypatch.setattr("webapp.api.exports.properties_of", lambda slide: {"dicom.SOPInstanceUID": IMAGE})
    return make_slide("s.tif", width=600, height=500)


@pytest.fixture
def send(client_of, alice, slide):
    def send(data, query=""):
        address = f"/api/v1/slides/{slide.pk}/import/{query}"
        return client_of(alice).post(address, data, content_type="application/dicom")

    return send


def group(number, kind, shapes, label, meaning):
    return AnnotationGroup(
        number=number,
        uid=generate_uid(),
        label=label,
        annotated_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        annotated_property_type=CodedConcept("1", "99LAB", meaning),
        graphic_type=kind,
        graphic_data=[np.array(shape, float) for shape in shapes],
        algorithm_type="MANUAL",
    )


def written(*groups, image=IMAGE):
    source = Dataset()
    source.SOPClassUID, source.Modality = VLWholeSlideMicroscopyImageStorage, "SM"
    source.SOPInstanceUID, source.FrameOfReferenceUID = image, generate_uid()
    for name in ("StudyInstanceUID", "SeriesInstanceUID"):
        setattr(source, name, generate_uid())
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(source, name, "")
    source.StudyDate = source.StudyTime = ""
    stored = MicroscopyBulkSimpleAnnotations(
        source_images=[source],
        annotation_coordinate_type="2D",
        annotation_groups=list(groups),
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Another",
        manufacturer_model_name="One",
        software_versions="1",
        device_serial_number="1",
        content_label="A",
    )
    file = io.BytesIO()
    stored.save_as(file)
    return file.getvalue()


GROUPS = (
    group(1, "POINT", [[[50, 60]], [[70.5, 80.25]]], "first look", "Mitosis"),
    group(2, "ELLIPSE", [CIRCLE], "Non-mitotic, by hand", "Nucleus"),
    group(3, "POLYGON", [BOX], "area", "Tumor"),
    group(4, "POINT", [[[5, 5]], [[6, 6]]], "cells", "Lymphocyte"),
)


def test_groups_are_read_by_label_or_property_type_and_others_are_listed(send, slide):
    answer = send(written(*GROUPS))
    assert answer.status_code == 200
    said = answer.json()
    assert (said["verdicts"], said["regions"], said["unknown"]) == (3, 1, {"lymphocyte": 2})
    assert sorted(slide.figures.values_list("x", "y", "label")) == [
        (50, 60, "mitotic"), (70.5, 80.25, "mitotic"), (200, 200, "non_mitotic"),
    ]  # fmt: skip
    assert list(slide.regions.values_list("kind", "polygon")) == [("tumour", BOX)]


def test_annotations_of_another_image_are_asked_about(send, slide):
    other = written(GROUPS[0], image="1.2.3")
    answer = send(other)
    assert (answer.status_code, "image 1.2.3" in answer.json()["detail"]) == (409, True)
    assert not slide.figures.exists()
    assert send(other, "?same_picture=true").json()["verdicts"] == 2


def test_a_region_without_corners_is_refused_by_its_group(send, slide):
    answer = send(written(GROUPS[0], group(2, "ELLIPSE", [CIRCLE], "Tumor", "Tumor")))
    assert (answer.status_code, answer.json()["detail"]) == (
        400, "annotation group 2: a region is a polygon or a rectangle, not ellipse.",
    )  # fmt: skip
    assert not slide.figures.exists()


@pytest.mark.parametrize("data", [b"", b"DICM", b"\0" * 128 + b"DICM", written(*GROUPS)[:700], b"{}"])
def test_what_is_no_annotation_object_is_refused(send, data):
    answer = send(data)
    assert (answer.status_code, "Not Microscopy Bulk Simple Annotations" in answer.json()["detail"]) == (400, True)


def test_places_in_mm_are_refused(send, slide):
    data = pydicom.dcmread(io.BytesIO(written(*GROUPS)))
    data.AnnotationCoordinateType = "3D"
    file = io.BytesIO()
    data.save_as(file)
    answer = send(file.getvalue())
    assert (answer.status_code, "in mm (3D)" in answer.json()["detail"]) == (400, True)
    assert not slide.figures.exists()


def test_what_would_grow_a_thousandfold_is_refused_unread(send):
    data = pydicom.dcmread(io.BytesIO(written(*GROUPS)))
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    data.save_as(file)
    for sent in (file.getvalue(), bytes(9 << 20)):
        answer = send(sent)
        assert (answer.status_code, "is not read" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.AnnotationGroupSequence[0].AnnotationPropertyTypeCodeSequence.clear(),
        lambda data: delattr(data.ReferencedImageSequence[0], "ReferencedSOPInstanceUID"),
        lambda data: setattr(data.AnnotationGroupSequence[2], "LongPrimitivePointIndexList", b"\1\0\0\0" * 3),
    ],
)
def test_a_damaged_object_is_refused(send, spoil):
    data = pydicom.dcmread(io.BytesIO(written(*GROUPS)))
    spoil(data)
    file = io.BytesIO()
    data.save_as(file)
    assert send(file.getvalue()).status_code == 400


def test_an_image_in_dicom_is_no_annotation_object(send):
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, IMAGE
    file = io.BytesIO()
    image.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert send(file.getvalue()).status_code == 400
