"""What is stored by DICOMweb, what is refused, and what is left of a call that breaks."""

from __future__ import annotations

import io
import os
import threading
import time
from datetime import timedelta

import pytest
import requests
from django.conf import settings
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.dicomweb import pacs, why_not
from tests.resilience.dicom_files import CT
from tests.worker.test_dicomweb import scan
from webapp.core.errors import InvalidInput, NotAllowed
from webapp.dicomweb import inbox as inbox_module
from webapp.dicomweb.inbox import inbox_look, waiting_folder
from webapp.dicomweb.models import Instance, Series
from webapp.dicomweb.multipart import read_parts, written_parts
from webapp.dicomweb.store import instances_receive
from webapp.slides.models import Case, Membership, Slide, Study
from webapp.slides.services import slide_delete, slide_refused
from webapp.slides.studies import study_create

AT_ONCE = timedelta(0)
KIND = 'multipart/related; type="application/dicom"; boundary={}'


def files():
    return sorted(path for path in settings.DICOM_DIR.rglob("*") if path.is_file())


def test_only_slides_are_taken_and_each_that_is_refused_is_named(alice, study):
    good, other, nameless = scan()
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = CT
    nameless.SeriesInstanceUID = "../../etc"
    said = pacs(alice, study.pk).store_instances([good, other, nameless])
    assert [one.ReferencedSOPInstanceUID for one in said.ReferencedSOPSequence] == [good.SOPInstanceUID]
    assert [one.FailureReason for one in said.FailedSOPSequence] == [0x0122, 0xC000]
    assert [path.name for path in files()] == [f"{good.SOPInstanceUID}.dcm"]


def test_instances_of_another_study_than_it_is_sent_to_are_refused(alice, study):
    with pytest.raises(requests.HTTPError) as refused:
        pacs(alice, study.pk).store_instances(scan(), study_instance_uid=generate_uid())
    assert why_not(refused.value) == (409, [0xA900] * 3) and not files() and not Series.objects.exists()


def test_another_instance_of_the_same_uid_is_refused_and_the_same_one_is_here(alice, study):
    client, (good, *_) = pacs(alice, study.pk), scan()
    client.store_instances([good])
    client.store_instances([good])
    good.InstanceNumber = 9
    with pytest.raises(requests.HTTPError) as refused:
        client.store_instances([good])
    assert why_not(refused.value) == (409, [0x0110]) and Instance.objects.get().facts["00200013"]["Value"] == [1]


def test_what_is_waiting_is_found_and_had(alice, root, study):
    client, (good, *_) = pacs(alice, study.pk), scan()
    client.store_instances([good])
    (found,) = client.search_for_instances()
    assert found["00080018"]["Value"] == [good.SOPInstanceUID]
    assert pacs(root, study.pk).retrieve_study(good.StudyInstanceUID) == [good]


def test_nobody_stores_into_a_study_where_they_may_not(bob, alice, study):
    with pytest.raises(requests.HTTPError, match="404"):
        pacs(bob, study.pk).store_instances(scan())
    Membership.objects.create(study=study, user=bob, role=Membership.Role.VIEWER)
    with pytest.raises(requests.HTTPError, match="403"):
        pacs(bob, study.pk).store_instances(scan())
    assert not files()


def test_the_same_series_in_two_studies_of_ours_is_a_slide_in_each(alice, root, study):
    other = study_create(name="Other", manager=root)
    instances = scan()
    for user, of in ((alice, study), (root, other)):
        pacs(user, of.pk).store_instances(instances)
        inbox_look(quiet=AT_ONCE)
        assert pacs(user, of.pk).search_for_studies()[0]["00201208"]["Value"] == [3]
    assert {slide.case.study for slide in Slide.objects.all()} == {study, other} and not files()


def test_what_was_deleted_is_taken_when_it_is_sent_anew(alice, study):
    instances = scan()
    client = pacs(alice, study.pk)
    client.store_instances(instances)
    inbox_look(quiet=AT_ONCE)
    slide_delete(slide=Slide.objects.get())
    client.store_instances(instances[:1])
    (waiting_folder(study.pk, instances[0].SeriesInstanceUID) / "x.part").write_bytes(b"")  # more of it is coming
    inbox_look()
    assert len(files()) == 2 and Series.objects.count() == 1
    client.store_instances(instances[1:])
    for part in settings.DICOM_DIR.rglob("*.part"):
        part.unlink()
    inbox_look(quiet=AT_ONCE)
    assert Slide.objects.count() == 1 and Instance.objects.count() == 3


def test_a_slide_that_moved_is_seen_where_it_is(alice, bob, study):
    instances = scan()
    pacs(alice, study.pk).store_instances(instances)
    inbox_look(quiet=AT_ONCE)
    other = study_create(name="Other", manager=bob)
    Case.objects.update(study=other)
    assert pacs(alice, study.pk).search_for_studies() == []
    with pytest.raises(requests.HTTPError, match="404"):
        pacs(alice, study.pk).retrieve_study_metadata(instances[0].StudyInstanceUID)
    assert len(pacs(bob, other.pk).search_for_studies()) == 1
    with pytest.raises(requests.HTTPError) as refused:
        pacs(alice, study.pk).store_instances(instances)
    assert why_not(refused.value) == (409, [0x0110] * 3)


def test_what_is_being_prepared_or_was_refused_is_said(alice, root, study):
    (good, *_) = instances = scan()
    client = pacs(root, study.pk)
    client.store_instances(instances)
    inbox_look(quiet=AT_ONCE)
    with pytest.raises(requests.HTTPError, match="423"):
        client.retrieve_study(good.StudyInstanceUID)
    slide_refused(slide=Slide.objects.get(), reason="It is grey.")
    with pytest.raises(requests.HTTPError, match="410"):
        client.retrieve_study_metadata(good.StudyInstanceUID)


def test_no_two_patients_come_into_one_case(alice, study, monkeypatch):
    drawn = iter(["1", "1", "2"])
    monkeypatch.setattr("webapp.slides.services.secrets.token_hex", lambda _: next(drawn))
    Case.objects.create(study=study, identifier="case-1")
    pacs(alice, study.pk).store_instances(scan()[:1])
    assert Series.objects.get().case_identifier == "case-2"


@pytest.mark.django_db(transaction=True)
def test_slides_of_one_patient_sent_at_once_come_into_one_case(alice, study):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite in memory has one writer, and keeps nobody waiting")

    def send(seed):
        pacs(alice, study.pk).store_instances(scan(seed=seed)[:1])
        connection.close()

    threads = [threading.Thread(target=send, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Series.objects.count() == 5 and Series.objects.values("case_identifier").distinct().count() == 1


def test_one_that_is_odd_is_refused_and_the_others_are_kept(alice, study):
    first, odd, third = scan()
    raw = _bytes(odd).replace(b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00DS\x02\x00")
    at = raw.index(b"\x28\x00\x10\x00DS\x02\x00") + 8
    raw = raw[:at] + b"NA" + raw[at + 2 :]
    boundary, body = written_parts([("application/dicom", [one]) for one in (_bytes(first), raw, _bytes(third))])
    sent = b"".join(body)
    found = instances_receive(
        study=study, body=io.BytesIO(sent), size=len(sent), content_type=KIND.format(boundary), by=alice
    )
    assert [one.failure for one in found] == [None, 0xC000, None] and len(files()) == 2


def test_a_deflated_one_is_refused_before_it_is_inflated(alice, study, monkeypatch):
    (good, *_) = scan()
    raw = _bytes(good)
    raw = raw.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1.99")
    monkeypatch.setattr("webapp.dicomweb.store.dcmread", None)
    monkeypatch.setattr("webapp.intake.dicom_series.read_partial", None)
    boundary, body = written_parts([("application/dicom", [raw])])
    sent = b"".join(body)
    (found,) = instances_receive(
        study=study, body=io.BytesIO(sent), size=len(sent), content_type=KIND.format(boundary), by=alice
    )
    assert (found.failure, found.why) == (0xC000, "Deflated data sets are not taken.")


def test_what_is_sent_counts_to_the_quota_of_who_sends_it(alice, study, settings):
    client = pacs(alice, study.pk)
    client.store_instances(scan())
    inbox_look(quiet=AT_ONCE)
    slide = Slide.objects.get()
    assert slide.uploaded_by == alice
    settings.USER_QUOTA_BYTES = slide.bytes
    with pytest.raises(requests.HTTPError, match="413"):
        client.store_instances(scan(seed=5))


def test_a_call_that_breaks_keeps_what_came_whole_and_nothing_else(alice, study):
    good, more, _ = scan()
    whole, cut = (_bytes(one) for one in (good, more))
    boundary, body = written_parts([("application/dicom", [whole]), ("application/dicom", [cut])])
    sent = b"".join(body)[: len(whole) + len(cut) // 2]
    with pytest.raises(InvalidInput, match="ends before"):
        instances_receive(
            study=study, body=io.BytesIO(sent), size=len(sent), content_type=KIND.format(boundary), by=alice
        )
    assert [path.name for path in files()] == [f"{good.SOPInstanceUID}.dcm"]


def test_a_series_of_which_something_is_being_received_waits(alice, study):
    pacs(alice, study.pk).store_instances([good := scan()[0]])
    part = waiting_folder(study.pk, good.SeriesInstanceUID) / "x.part"
    part.write_bytes(b"")
    inbox_look(quiet=AT_ONCE)
    assert not Slide.objects.exists()
    os.utime(part, (time.time() - 99,) * 2)  # nobody goes on sending it
    inbox_look(quiet=AT_ONCE)
    assert Slide.objects.count() == 1


def test_what_nobody_goes_on_sending_is_deleted(study, alice, monkeypatch):
    pacs(alice, study.pk).store_instances([good := scan()[0]])
    left = waiting_folder(study.pk, "1.2.3")
    left.mkdir()
    (left / "x.dcm").write_bytes(b"")
    (settings.DICOM_DIR / str(study.pk) / "y.part").write_bytes(b"")
    monkeypatch.setattr(inbox_module, "_LEFT_FOR", -1.0)
    inbox_look()
    assert [path.name for path in files()] == [f"{good.SOPInstanceUID}.dcm"]


def test_an_image_that_comes_as_its_series_is_taken_is_said(alice, study, monkeypatch):
    first, late, _ = scan()
    pacs(alice, study.pk).store_instances([first])
    real = inbox_module.arrivals_look

    def taken(**look):
        found = real(**look)
        pacs(alice, study.pk).store_instances([late])
        return found

    monkeypatch.setattr(inbox_module, "arrivals_look", taken)
    inbox_look(quiet=AT_ONCE)
    assert "1 images of its series came too late" in Slide.objects.get().remark
    assert Instance.objects.get().uid == first.SOPInstanceUID


def test_a_body_of_something_else_is_refused(client_of, alice, study):
    address = f"/api/v1/dicomweb/{study.pk}/studies"
    client = client_of(alice)
    assert client.post(address, b"x", content_type="application/dicom").status_code == 415
    kind = 'multipart/related; type="application/dicom"'
    assert client.post(address, b"x", content_type=kind).status_code == 400
    assert client.post(address, b"x", content_type=f"{kind}; boundary=b").status_code == 400
    assert client.post(address, b"--b--", content_type=f"{kind}; boundary=b").status_code == 400
    assert client.post(f"{address}/1.2%0A3", b"--b--", content_type=f"{kind}; boundary=b").status_code == 400
    answer = client.post(address, b"--b\r\n\r\nno dicom\r\n--b--", content_type=f"{kind}; boundary=b")
    assert answer.status_code == 409 and b"49152" in answer.content and not files()  # 0xC000


def test_a_reader_of_another_study_learns_nothing(alice, root, study):
    other = Study.objects.create(name="Other")
    pacs(root, study.pk).store_instances(scan())
    with pytest.raises(requests.HTTPError, match="404"):
        pacs(alice, other.pk).search_for_studies()
    with pytest.raises(NotAllowed):
        instances_receive(study=other, body=io.BytesIO(), size=0, content_type=KIND.format("b"), by=alice)


class _Kept:
    def __init__(self):
        self.parts = []

    def begin(self):
        self.parts.append(b"")

    def write(self, data):
        self.parts[-1] += data

    def end(self):
        pass


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50))
def test_parts_are_read_as_they_were_written_however_they_come(parts, step):
    boundary, body = written_parts([("application/dicom", [part]) for part in parts])
    stream = io.BytesIO(b"".join(body))
    kept = _Kept()
    read_parts(type("Slow", (), {"read": lambda _, size: stream.read(min(size, step))})(), boundary, kept)
    assert kept.parts == parts


def _bytes(data):
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    assert dcmread(io.BytesIO(file.getvalue())) == data
    return file.getvalue()
