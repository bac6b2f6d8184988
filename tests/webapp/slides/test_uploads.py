"""tus uploads: in parts, broken off and gone on with, refused before the bytes are sent."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shutil
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from webapp.api import uploads as api
from webapp.core.errors import Busy
from webapp.jobs.models import Job
from webapp.slides import uploads
from webapp.slides.models import Membership, Slide, Upload
from webapp.slides.storage import local_path
from webapp.slides.uploads import upload_append, upload_cancel, upload_create, uploads_expire, uploads_sweep

TUS = {"Tus-Resumable": "1.0.0"}


def begin(client, size: int, name: str = "frame.png", **metadata: str) -> Any:
    pairs = {"filename": name, **metadata}
    header = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    return client.post("/api/v1/uploads/", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": header})


def send(client, address: str, offset: int, data: bytes, **headers: str) -> Any:
    return client.patch(
        address,
        data,
        content_type="application/offset+octet-stream",
        headers={**TUS, "Upload-Offset": str(offset), **headers},
    )


def test_a_file_in_three_parts_becomes_a_slide_that_is_being_prepared(client_of, alice):
    client = client_of(alice)
    data = bytes(range(256)) * 10
    begun = begin(client, len(data), "My slide.svs", case="P-17", mpp="0,2456", detect="false")
    assert (begun.status_code, begun["Tus-Resumable"]) == (201, "1.0.0")
    address = begun["Location"]
    for start, end in ((0, 1000), (1000, 1001), (1001, len(data))):
        answer = send(client, address, start, data[start:end])
        assert (answer.status_code, answer["Upload-Offset"]) == (204, str(end))
    slide = Slide.objects.get(pk=answer["Mitoscope-Slide"])
    assert (slide.name, slide.file_name) == ("P-17 slide 1", "My slide.svs")
    assert (slide.case.identifier, slide.mpp, slide.wants_detection) == ("P-17", (0.2456, 0.2456), False)
    assert local_path(slide).read_bytes() == data
    assert "My slide" not in str(local_path(slide))
    assert [job.kind for job in slide.jobs.all()] == [Job.Kind.INGEST]


def test_an_upload_that_broke_off_goes_on_where_it_was(client_of, alice):
    client = client_of(alice)
    address = begin(client, 10)["Location"]
    send(client, address, 0, b"01234")
    at = client.head(address, headers=TUS)
    assert (at["Upload-Offset"], at["Upload-Length"], at["Cache-Control"]) == ("5", "10", "no-store")
    assert send(client, address, 3, b"x").status_code == 409
    assert send(client, address, 5, b"56789")["Upload-Offset"] == "10"
    assert local_path(Slide.objects.get()).read_bytes() == b"0123456789"


def test_the_server_says_what_it_speaks(client_of, alice):
    said = Client().options("/api/v1/uploads/")  # a client asks before it signs in
    assert said.status_code == client_of(alice).options("/api/v1/uploads/").status_code == 204
    assert said["Tus-Extension"] == "creation,creation-with-upload,expiration,checksum,termination"
    assert "sha1" in said["Tus-Checksum-Algorithm"]
    assert int(said["Tus-Max-Size"]) > 10**10


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_bytes_that_were_changed_on_the_way_are_not_kept(client_of, alice, algorithm):
    client = client_of(alice)
    address = begin(client, 10)["Location"]
    digest = base64.b64encode(hashlib.new(algorithm, b"01234").digest()).decode()
    checked = {"Upload-Checksum": f"{algorithm} {digest}"}
    bad = send(client, address, 0, b"01z34", **checked)
    assert (bad.status_code, bad.json()["title"]) == (460, "Checksum Mismatch")
    assert client.head(address, headers=TUS)["Upload-Offset"] == "0"
    assert send(client, address, 0, b"01234", **checked)["Upload-Offset"] == "5"
    assert send(client, address, 5, b"56789", **{"Upload-Checksum": "crc32 AAAA"}).status_code == 400
    assert send(client, address, 5, b"56789", **{"Upload-Checksum": "sha1 %%%"}).status_code == 400


def test_unfinished_uploads_are_listed_and_dropped_when_nothing_is_heard_of_them(
    client_of, alice, bob, django_capture_on_commit_callbacks
):
    client = client_of(alice)
    begun = begin(client, 10, "a.svs")
    assert parsedate_to_datetime(begun["Upload-Expires"]) > timezone.now() + timedelta(days=6)
    send(client, begun["Location"], 0, b"01234")
    (listed,) = client.get("/api/v1/uploads/").json()
    assert (listed["name"], listed["offset"], listed["size"]) == ("a.svs", 5, 10)
    assert client_of(bob).get("/api/v1/uploads/").json() == []
    assert uploads_expire() == 0
    Upload.objects.update(touched_at=timezone.now() - timedelta(days=8))
    file = Upload.objects.get().file
    assert send(client, begun["Location"], 5, b"56789").status_code == 410
    assert client.get("/api/v1/uploads/").json() == []
    with django_capture_on_commit_callbacks(execute=True):
        assert uploads_expire() == 1
    assert not file.exists()
    assert client.head(begun["Location"], headers=TUS).status_code == 404


def test_the_quota_of_a_person_is_said_before_a_byte_is_sent(client_of, alice, settings, make_slide):
    settings.USER_QUOTA_BYTES = 3 << 30
    make_slide(uploaded_by=alice, bytes=1 << 30)
    make_slide(uploaded_by=alice, bytes=9 << 30, state="refused")
    assert begin(client_of(alice), 1 << 30).status_code == 201
    answer = begin(client_of(alice), (1 << 30) + 1)
    assert answer.status_code == 413
    assert "2.0 GB of the 3" in answer.json()["detail"]


def test_room_that_is_promised_to_others_is_not_given_twice(client_of, alice, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9 << 30, 0, 3 << 30))
    client = client_of(alice)
    assert begin(client, 1 << 30).status_code == 201
    refused = begin(client, 3 << 29)
    assert refused.status_code == 507 and "make room" in refused.json()["detail"]


def test_bytes_beyond_the_announced_length_are_refused_and_none_of_them_taken(client_of, alice):
    client = client_of(alice)
    address = begin(client, 4)["Location"]
    answer = send(client, address, 0, b"123456")
    assert answer.status_code == 413 and "4 bytes, and 6 more after 0 are too many" in answer.json()["detail"]
    assert client.head(address, headers=TUS)["Upload-Offset"] == "0" and not Slide.objects.exists()


def test_bytes_that_could_not_be_deleted_with_their_upload_go_later(
    client_of, alice, monkeypatch, settings, django_capture_on_commit_callbacks
):
    client = client_of(alice)
    address = begin(client, 11)["Location"]
    assert send(client, address, 0, b"patient").status_code == 204
    kept = begin(client, 5)["Location"].rstrip("/").rpartition("/")[2]
    file = Upload.objects.get(size=11).file

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as broken, django_capture_on_commit_callbacks(execute=True):
        broken.setattr(Path, "unlink", read_only)
        assert client.delete(address, headers=TUS).status_code == 204
    assert file.exists() and not Upload.objects.filter(size=11).exists()
    other = settings.UPLOAD_DIR / "import-of-another-kind-of-file"
    other.touch()
    assert uploads_sweep() == 0  # an upload may be about to be written down
    for path in settings.UPLOAD_DIR.iterdir():
        os.utime(path, (0, 0))
    assert uploads_sweep() == 1
    assert not file.exists() and other.exists() and (settings.UPLOAD_DIR / kept).exists()


def test_what_was_said_of_a_file_is_told_again(client_of, alice):
    client = client_of(alice)
    address = begin(client, 4, "a.svs", case="P-1", mpp="0.25", detect="false")["Location"]
    said = dict(pair.split(" ") for pair in client.head(address, headers=TUS)["Upload-Metadata"].split(","))
    told = {key: base64.b64decode(value).decode() for key, value in said.items()}
    assert told == {"filename": "a.svs", "study": "Breast", "case": "P-1", "mpp": "0.25", "detect": "false"}


def test_the_last_bytes_sent_again_after_their_answer_got_lost(client_of, alice):
    client = client_of(alice)
    address = begin(client, 3)["Location"]
    first = send(client, address, 0, b"abc")
    again = send(client, address, 3, b"")
    assert (again.status_code, again["Upload-Offset"]) == (204, "3")
    assert again["Mitoscope-Slide"] == first["Mitoscope-Slide"] and Slide.objects.count() == 1
    assert send(client, address, 1, b"bc").status_code == 409


def test_a_post_may_stand_for_a_patch_and_the_first_bytes_come_with_the_beginning(client_of, alice):
    client = client_of(alice)
    header = f"filename {base64.b64encode(b'a.svs').decode()}"
    kind = "application/offset+octet-stream"
    begun = client.post(
        "/api/v1/uploads/", b"012", content_type=kind,
        headers={**TUS, "Upload-Length": "5", "Upload-Metadata": header},
    )  # fmt: skip
    assert (begun.status_code, begun["Upload-Offset"]) == (201, "3")
    override = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "3"}
    last = client.post(begun["Location"], b"45", content_type=kind, headers={**TUS, **override})
    assert (last.status_code, last["Upload-Offset"]) == (204, "5")
    assert local_path(Slide.objects.get(pk=last["Mitoscope-Slide"])).read_bytes() == b"01245"


def test_the_last_part_sent_twice_makes_one_slide(client_of, alice):
    client = client_of(alice)
    address = begin(client, 3)["Location"]
    first = send(client, address, 0, b"abc")
    again = client.get(address)
    assert str(again.json()["slide"]) == first["Mitoscope-Slide"]
    assert Slide.objects.count() == Job.objects.count() == 1


class Stream:
    """Blocks one after the other; before each, what happens meanwhile."""

    def __init__(self, *blocks: bytes, meanwhile: Any = lambda number: None) -> None:
        self.blocks, self.meanwhile = list(blocks), meanwhile

    def read(self, size: int) -> bytes:
        self.meanwhile(len(self.blocks))
        return self.blocks.pop(0) if self.blocks else b""


def test_a_newer_connection_takes_over_from_one_that_hangs(client_of, alice):
    client = client_of(alice)
    address = begin(client, 6)["Location"]

    def meanwhile(left: int) -> None:
        if left == 1:  # the first block has come, and then nothing: the client tries again
            assert client.head(address, headers=TUS)["Upload-Offset"] == "0"
            assert send(client, address, 0, b"abc")["Upload-Offset"] == "3"

    with pytest.raises(Busy, match="taken over"):
        upload_append(upload=Upload.objects.get(), offset=0, stream=Stream(b"xy", b"z", meanwhile=meanwhile))
    assert send(client, address, 3, b"def").status_code == 204
    assert local_path(Slide.objects.get()).read_bytes() == b"abcdef"


def test_what_has_arrived_is_noted_on_the_way(client_of, alice, monkeypatch):
    client = client_of(alice)
    begin(client, 6)
    seen = []
    monkeypatch.setattr("webapp.slides.uploads._KEPT_EVERY", 0)
    note = lambda left: seen.append(Upload.objects.get().offset)  # noqa: E731
    upload_append(upload=Upload.objects.get(), offset=0, stream=Stream(b"ab", b"cd", meanwhile=note))
    assert seen == [0, 2, 4]  # a process that is killed has lost what came after that


@pytest.mark.parametrize(
    ("size", "metadata", "status", "words"),
    [
        (0, {}, 400, "empty"),
        (10**15, {}, 413, "larger"),
        (10, {"mpp": "40"}, 400, "between 0.05 and 5"),
        (10, {"mpp": "forty"}, 400, "number"),
        (10, {"study": "Elsewhere"}, 400, "no study called Elsewhere"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_byte_is_sent(client_of, alice, bob, size, metadata, status, words):
    answer = begin(client_of(alice), size, **metadata)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert not Upload.objects.exists()


def test_a_full_disk_is_said_before_a_byte_is_sent(client_of, alice, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    answer = begin(client_of(alice), 5000)
    assert answer.status_code == 507
    assert "room" in answer.json()["detail"]


def test_an_upload_belongs_to_who_began_it(client_of, alice, root):
    address = begin(client_of(alice), 3)["Location"]
    assert send(client_of(root), address, 0, b"abc").status_code == 404


def test_giving_up_leaves_nothing(client_of, alice, django_capture_on_commit_callbacks):
    client = client_of(alice)
    address = begin(client, 3)["Location"]
    file = Upload.objects.get().file
    with django_capture_on_commit_callbacks(execute=True):
        assert client.delete(address, headers=TUS).status_code == 204
    assert not file.exists()
    assert client.head(address, headers=TUS).status_code == 404


def test_giving_up_that_is_rolled_back_loses_no_byte(client_of, alice):
    begin(client_of(alice), 3)
    upload = Upload.objects.get()
    with transaction.atomic():
        upload_cancel(upload=upload)
        transaction.set_rollback(True)
    assert Upload.objects.get().file.exists()


def test_a_whole_upload_whose_bytes_are_gone_is_begun_anew(client_of, alice):
    client = client_of(alice)
    address = begin(client, 3)["Location"]
    Upload.objects.update(offset=3)
    Upload.objects.get().file.unlink()
    answer = client.patch(
        address, b"", content_type="application/offset+octet-stream", headers={**TUS, "Upload-Offset": "3"}
    )
    assert (answer.status_code, "begin the upload anew" in answer.json()["detail"]) == (410, True)


def test_a_person_sends_so_many_at_once_by_all_their_tokens(client_of, alice, bob, study, monkeypatch):
    monkeypatch.setattr(api, "_MOST_SENDING", 1)
    address = begin(client_of(alice), 3)["Location"]
    with api._one_more(alice.pk):
        assert send(client_of(alice), address, 0, b"abc").status_code == 429
    assert send(client_of(alice), address, 0, b"abc").status_code == 204 and not api._sending


def test_bad_headers_are_named(client_of, alice):
    client = client_of(alice)
    assert client.post("/api/v1/uploads/", headers={"Upload-Length": "3"}).status_code == 412
    assert client.post("/api/v1/uploads/", headers={**TUS, "Upload-Length": "-3"}).status_code == 400
    bad = client.post("/api/v1/uploads/", headers={**TUS, "Upload-Length": "3", "Upload-Metadata": "filename %%%"})
    assert "filename" in bad.json()["detail"]
    address = begin(client, 3)["Location"]
    assert (
        client.patch(address, b"abc", content_type="text/plain", headers={**TUS, "Upload-Offset": "0"}).status_code
        == 415
    )


def test_a_path_in_the_name_stays_a_name(client_of, alice):
    client = client_of(alice)
    send(client, begin(client, 3, "..\\..\\etc/passwd\x00.svs")["Location"], 0, b"abc")
    slide = Slide.objects.get()
    assert slide.file_name == "passwd.svs"
    assert local_path(slide).is_relative_to(slide.folder)


def test_without_a_study_there_is_nowhere_to_upload_to(client_of, charlie):
    assert "not in any study" in begin(client_of(charlie), 3).json()["detail"]


@pytest.mark.django_db(transaction=True)
def test_a_server_that_dies_after_the_last_byte_has_lost_nothing(client_of, alice, monkeypatch):
    class Killed(BaseException):
        pass

    def die(**_):
        raise Killed

    client = client_of(alice)
    address = begin(client, 10)["Location"]
    with monkeypatch.context() as patch:
        patch.setattr("webapp.api.uploads.job_create", die)
        with pytest.raises(Killed):
            send(client, address, 0, b"0123456789")
    assert not Slide.objects.exists()
    assert client.head(address, headers=TUS)["Upload-Offset"] == "10"
    slide = Slide.objects.get()
    assert local_path(slide).read_bytes() == b"0123456789"
    assert slide.jobs.count() == 1
    assert not Upload.objects.get().file.exists()


def test_who_sends_next_to_nothing_is_given_up_and_what_came_is_kept(client_of, alice, monkeypatch):
    address = begin(client_of(alice), 100)["Location"]
    monkeypatch.setattr(uploads, "_PATIENCE", -1.0)
    with pytest.raises(uploads.TooSlow, match="too slowly"):
        upload_append(upload=Upload.objects.get(), offset=0, stream=Stream(b"a", b"b", b"c"))
    kept = Upload.objects.get().offset
    assert kept >= 1 and client_of(alice).head(address, headers=TUS)["Upload-Offset"] == str(kept)


def test_one_person_has_no_more_than_so_many_unfinished_uploads(client_of, alice, root, settings):
    settings.UPLOADS_PER_USER = 2
    assert [begin(client_of(alice), 3).status_code for _ in range(3)] == [201, 201, 429]
    assert begin(client_of(root), 3, study="Breast").status_code == 201


def test_bytes_go_with_the_upload_by_whatever_door_it_goes(study, alice, bob, django_capture_on_commit_callbacks):
    Membership.objects.create(study=study, user=bob, role=Membership.Role.UPLOADER)
    uploads = [upload_create(user=user, study=study, name="a.tif", size=3) for user in (alice, bob)]
    with django_capture_on_commit_callbacks(execute=True):
        Upload.objects.filter(pk=uploads[0].pk).delete()  # as the admin does
        bob.delete()
    assert not any(upload.file.exists() for upload in uploads)
