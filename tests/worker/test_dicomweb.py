"""From a PACS to a slide and back: stored, prepared, searched, retrieved, with the annotations."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import numpy as np
import pytest
import requests
from highdicom.ann import annread
from PIL import Image
from pydicom import dcmread

from tests.dicomweb import pacs, why_not
from tests.drawing import draw_tissue
from tests.resilience.dicom_files import _series, level
from tests.worker.test_intake import prepared
from webapp.annotations.models import Run
from webapp.audit.models import Entry
from webapp.dicomweb.inbox import inbox_look
from webapp.intake.models import Arrival
from webapp.slides.models import Membership, Slide
from webapp.slides.services import slide_delete
from webapp.slides.storage import slide_opened

AT_ONCE = timedelta(0)
NAME = "Zz-qx^Yy"


def scan(*, seed: int = 3, **series: str) -> list:
    """Two levels and the label of one slide, of a patient."""
    image = draw_tissue(900, 700, seed=seed)
    of = _series() | {"PatientName": NAME, "PatientID": "4711", "AccessionNumber": "A-1"} | series
    return [
        dcmread(io.BytesIO(make(of)))
        for make in (
            level(image, 0.25),
            level(image[::2, ::2].copy(), 0.5, number=2),
            level(image[:200, :300].copy(), None, kind="LABEL", number=3),
        )
    ]


@pytest.fixture
def sent(alice, study):
    """A scan that Alice's PACS has sent, prepared."""
    instances = scan()
    pacs(alice, study.pk).store_instances(instances)
    inbox_look(quiet=AT_ONCE)
    prepared()
    return instances


def test_what_a_pacs_sends_becomes_a_slide(alice, study, settings):
    instances = scan()
    client = pacs(alice, study.pk)
    for instance in instances:  # one call each, as many do
        said = client.store_instances([instance])
        assert said.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == instance.SOPInstanceUID
    inbox_look()
    assert Arrival.objects.get().state == "waiting" and not Slide.objects.exists()  # more of it may come
    inbox_look(quiet=AT_ONCE)
    (slide,) = prepared().values()
    assert (slide.state, slide.format, slide.mpp) == ("ready", "dicom", (0.25, 0.25))
    assert Arrival.objects.get().slide == slide and not list(settings.DICOM_DIR.rglob("*.dcm"))
    with slide_opened(slide) as file:
        assert file.size == (900, 700)
    inbox_look(quiet=AT_ONCE)
    assert Slide.objects.count() == 1
    received = Entry.objects.filter(action="received by DICOMweb")
    assert received.count() == 3 and {one.who for one in received} == {"alice"}


def test_slides_of_one_patient_come_into_one_case_that_does_not_name_them(alice, study, settings):
    client = pacs(alice, study.pk)
    client.store_instances(scan(seed=1))
    client.store_instances(scan(seed=2))
    client.store_instances(scan(seed=4, PatientID="4712"))
    inbox_look(quiet=AT_ONCE)
    cases = [slide.case for slide in prepared().values()]
    assert len(cases) == 3 and len(set(cases)) == 2 and not any("471" in case.identifier for case in cases)
    settings.DICOM_PATIENT_ID = "file"
    client.store_instances(scan(seed=5, PatientID="4713"))
    inbox_look(quiet=AT_ONCE)
    assert Slide.objects.filter(case__identifier="4713").count() == 1


def test_what_was_received_is_found(alice, root, study, sent):
    client, (base, *_) = pacs(alice, study.pk), sent
    (found,) = client.search_for_studies()
    assert found["0020000D"]["Value"] == [base.StudyInstanceUID]
    assert found["00080061"]["Value"] == ["SM"] and found["00201208"]["Value"] == [3]
    case = Slide.objects.get().case.identifier
    assert len(client.search_for_studies(search_filters={"PatientID": f"{case[:-1]}*"})) == 1
    assert client.search_for_studies(search_filters={"PatientID": "4711"}) == []
    (series,) = client.search_for_series(base.StudyInstanceUID, search_filters={"Modality": "SM"})
    assert series["0020000E"]["Value"] == [base.SeriesInstanceUID]
    instances = client.search_for_instances(base.StudyInstanceUID, base.SeriesInstanceUID)
    assert [one["00080018"]["Value"][0] for one in instances] == [one.SOPInstanceUID for one in sent]
    assert instances[0]["00480006"]["Value"] == [900] and instances[2]["00080008"]["Value"][2] == "LABEL"
    assert len(client.search_for_instances(limit=2, offset=1)) == 2
    assert len(client.search_for_instances(search_filters={"SOPInstanceUID": base.SOPInstanceUID})) == 1
    with pytest.raises(requests.HTTPError, match="400"):
        client.search_for_studies(search_filters={"OperatorsName": "A-1"})


def test_pixels_and_metadata_are_had_and_name_nobody(alice, study, sent):
    client, (base, _, label) = pacs(alice, study.pk), sent
    uids = base.StudyInstanceUID, base.SeriesInstanceUID
    (frame,) = client.retrieve_instance_frames(*uids, base.SOPInstanceUID, [2], media_types=("image/jpeg",))
    drawn = np.asarray(draw_tissue(900, 700, seed=3)[:256, 256:512], int)
    assert abs(np.asarray(Image.open(io.BytesIO(frame)), int) - drawn).mean() < 5
    told = client.retrieve_study_metadata(base.StudyInstanceUID)
    assert [one["00480007"]["Value"] for one in told] == [[700], [350], [200]]
    assert told[0]["52009229"]["Value"][0]["00289110"]["Value"][0]["00280030"]["Value"] == [0.00025, 0.00025]
    everything = repr([told, client.search_for_studies(), client.search_for_series(), client.search_for_instances()])
    assert not any(secret in everything for secret in ("Zz-qx", "4711", "A-1"))
    for asked in (
        lambda: client.retrieve_instance(*uids, base.SOPInstanceUID),
        lambda: client.retrieve_instance_frames(*uids, label.SOPInstanceUID, [1]),
    ):
        with pytest.raises(requests.HTTPError, match="403"):
            asked()
    with pytest.raises(requests.HTTPError, match="400"):
        client.retrieve_instance_frames(*uids, base.SOPInstanceUID, [99])


def test_files_are_had_as_they_came_by_who_may_see_identities(root, study, sent):
    client = pacs(root, study.pk)
    for back, instance in zip(client.retrieve_study(sent[0].StudyInstanceUID), sent, strict=True):
        assert back.PatientName == NAME and back == instance
    seen = Entry.objects.filter(action="identity seen", who="root")
    assert [json.loads(one.after) for one in seen] == [{"what": "DICOM file"}]
    client.retrieve_instance_frames(sent[2].StudyInstanceUID, sent[2].SeriesInstanceUID, sent[2].SOPInstanceUID, [1])
    assert json.loads(seen.order_by("-pk")[0].after) == {"what": "label or macro image"}


def test_annotations_are_found_and_had_by_readers(alice, bob, study, sent, model, make_run):
    slide = Slide.objects.get()
    make_run(slide, [(100.0, 200.0, 0.9), (300.0, 100.0, 0.7)])
    client, uid = pacs(alice, study.pk), sent[0].StudyInstanceUID
    (found,) = client.search_for_series(uid, search_filters={"Modality": "ANN"})
    assert client.search_for_studies()[0]["00080061"]["Value"] == ["ANN", "SM"]
    (told,) = client.search_for_instances(uid, found["0020000E"]["Value"][0])
    uids = uid, found["0020000E"]["Value"][0], told["00080018"]["Value"][0]
    stored = client.retrieve_instance(*uids)
    file = io.BytesIO()
    stored.save_as(file, enforce_file_format=True)
    (group, *_) = annread(io.BytesIO(file.getvalue())).get_annotation_groups()
    assert group.get_graphic_data("2D")[0].tolist() == [[100, 200]]
    assert stored.ReferencedImageSequence[0].ReferencedSOPInstanceUID == sent[0].SOPInstanceUID
    assert client.retrieve_instance_metadata(*uids)["00100020"]["Value"] == [slide.case.identifier]
    assert Entry.objects.filter(action="exported", who="alice").exists()
    Membership.objects.create(study=study, user=bob, role=Membership.Role.VIEWER)
    assert [one["00080060"]["Value"] for one in pacs(bob, study.pk).search_for_series()] == [["SM"]]
    with pytest.raises(requests.HTTPError, match="404"):
        pacs(bob, study.pk).retrieve_instance(*uids)


def test_what_goes_with_the_slide(alice, study, sent):
    slide_delete(slide=Slide.objects.get())
    client = pacs(alice, study.pk)
    assert client.search_for_studies() == [] == client.search_for_instances()


def test_a_series_that_is_a_slide_takes_no_more(alice, study, sent):
    client = pacs(alice, study.pk)
    assert len(client.store_instances(sent).ReferencedSOPSequence) == 3  # again: it is here
    late = dcmread(io.BytesIO(level(draw_tissue(300, 200, seed=1), 1.0, number=4)(_series())))
    late.StudyInstanceUID, late.SeriesInstanceUID = sent[0].StudyInstanceUID, sent[0].SeriesInstanceUID
    with pytest.raises(requests.HTTPError) as refused:
        client.store_instances([late])
    assert why_not(refused.value) == (409, [0x0110])
    assert "already" in refused.value.response.headers["Warning"]
    assert not Run.objects.exists() and Slide.objects.count() == 1
