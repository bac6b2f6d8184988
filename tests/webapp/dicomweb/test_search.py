"""What is searched for, and what of a file is told."""

from __future__ import annotations

import fnmatch
import io
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.dicomweb import pacs
from tests.resilience.dicom_files import level
from tests.worker.test_dicomweb import scan
from webapp.dicomweb import retrieve, search
from webapp.dicomweb.models import Instance, Series
from webapp.dicomweb.search import _is_like
from webapp.dicomweb.tags import nameless_json


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_mean_what_they_mean_in_names_of_files(pattern, text):
    assert _is_like(text, pattern) == fnmatch.fnmatchcase(text, pattern)


def test_no_pattern_takes_long():
    began = time.perf_counter()
    assert not _is_like("a" * 64, "*a" * 2000 + "!")
    assert time.perf_counter() - began < 1


def test_all_required_keys_can_be_searched_by_and_what_is_kept_back_is_found_by_none(alice, study):
    client = pacs(alice, study.pk)
    client.store_instances(scan())
    for name in ("StudyDate", "StudyTime", "AccessionNumber", "PatientName", "StudyID", "ReferringPhysicianName"):
        assert client.search_for_studies(search_filters={name: "20260101"}) == []
        assert len(client.search_for_studies(search_filters={name: "*"})) == 1
    assert len(client.search_for_series(search_filters={"ModalitiesInStudy": "SM"})) == 1
    assert client.search_for_instances(search_filters={"ModalitiesInStudy": "ANN"}) == []


def test_that_there_are_more_is_said(client_of, alice, study, monkeypatch):
    for number in range(4):
        series = Series.objects.create(study=study, uid=f"1.2.{number}", study_uid="1.2", case_identifier="c")
        Instance.objects.create(series=series, uid="1.2.3")
    monkeypatch.setattr(search, "MOST", 3)
    client, address = client_of(alice), f"/api/v1/dicomweb/{study.pk}/series"
    assert len((answer := client.get(address)).json()) == 3 and "more" in answer["Warning"]
    assert len((answer := client.get(f"{address}?offset=2")).json()) == 2 and "Warning" not in answer


def test_nothing_that_somebody_typed_is_told_and_what_is_damaged_is_left_out():
    data = dcmread(io.BytesIO(level(np.zeros((8, 8, 3), np.uint8), 0.25, tile=8)({})), stop_before_pixels=True)
    path = data.OpticalPathSequence[0]
    path.OpticalPathDescription = "zz-qx"
    path.add_new(0x00281055, "LO", "zz-qx")
    data.add_new(0x00284000, "LT", "zz-qx")
    data.add_new(0x00287FE0, "UR", "https://zz-qx")
    data.add_new(0x00480001, "FL", float("nan"))
    data.PatientName = data.ContainerIdentifier = "zz-qx"
    inner = Dataset()
    inner.SpecimenIdentifier = "zz-qx"
    data.SpecimenDescriptionSequence = [inner]
    told = nameless_json(data)
    assert "zz-qx" not in repr(told) and "00480001" not in told
    assert told["00480105"]["Value"][0]["00480106"]["Value"] == ["1"] and told["00280010"]["Value"] == [8]


def test_a_picture_that_says_that_a_label_is_in_it_is_one():
    volume = {"00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", "VOLUME"]}}
    assert not retrieve.shows_label(Instance(facts=volume))
    assert retrieve.shows_label(Instance(facts={**volume, "00480010": {"vr": "CS", "Value": ["YES"]}}))
    assert retrieve.shows_label(Instance(facts={**volume, "00280301": {"vr": "CS", "Value": ["YES"]}}))
    assert retrieve.shows_label(Instance(facts={}))


def test_answers_come_as_they_are_wanted_or_not_at_all(client_of, root, alice, study):
    (good, *_) = scan()
    pacs(alice, study.pk).store_instances([good])
    client, address = client_of(root), f"/api/v1/dicomweb/{study.pk}/studies"
    instance = f"{address}/{good.StudyInstanceUID}/series/{good.SeriesInstanceUID}/instances/{good.SOPInstanceUID}"

    def asked(of, accept):
        answer = client.get(of, headers={"Accept": accept})
        return answer.status_code, answer["Content-Type"].partition(";")[0]

    assert asked(address, "application/dicom+json")[0] == 200 == asked(address, "text/html, */*;q=0.1")[0]
    assert asked(address, "application/dicom+xml")[0] == 406 == asked(instance, "image/png")[0]
    assert asked(instance, 'multipart/related; type="application/dicom"') == (200, "multipart/related")
    assert asked(instance, "application/dicom") == (200, "application/dicom")
    alone = b"".join(client.get(instance, headers={"Accept": "application/dicom"}).streaming_content)
    assert dcmread(io.BytesIO(alone)) == good
    assert asked(f"{instance}/frames/1", "image/jpeg")[0] == 200
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    stored = client.post(
        address, b"--b\r\n\r\nx\r\n--b--", content_type=kind, headers={"Accept": "application/dicom+xml"}
    )
    assert stored.status_code == 409
