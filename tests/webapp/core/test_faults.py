"""Faults of the machine end in a sentence that says what is safe and what to do: 503 or 507, never a bare 500."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError
from django.db import OperationalError
from django.test import Client, RequestFactory
from redis import ConnectionError as RedisGone

from detector.errors import SlideError
from webapp.core.faults import fault_of
from webapp.slides.models import Slide
from webapp.slides.uploads import upload_create
from webapp.wsgi import application

TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
ERRORS = {
    "a full disk": (OSError(errno.ENOSPC, "No space left on device"), 507, "make room"),
    "a folder that is read-only": (OSError(errno.EROFS, "Read-only file system"), 503, "rights"),
    "a folder of somebody else": (PermissionError(errno.EACCES, "Permission denied"), 503, "rights"),
    "a database that is gone": (OperationalError("connection refused"), 503, "Try again"),
    "a database that is locked": (OperationalError("database is locked"), 503, "busy"),
    "a database without room": (OperationalError("database or disk is full"), 507, "make room"),
    "a database that is read-only": (OperationalError("attempt to write a readonly database"), 503, "read-only"),
    "Redis gone": (RedisGone("Connection refused"), 503, "Redis"),
}


@pytest.fixture
def broken(monkeypatch):
    """From now on looking for slides fails."""

    def broken(error):
        def fails(*_):
            raise error

        monkeypatch.setattr(type(Slide.objects.all()), "visible_to", fails)

    return broken


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("address", ["/api/v1/slides/", "/slides/", "/api/v1/slides/{pk}/tiles_files/8/0_0.jpeg"])
def test_a_fault_is_said_in_a_sentence(name, address, alice, make_slide, broken, monkeypatch):
    error, status, words = ERRORS[name]
    slide, client = make_slide(), Client(raise_request_exception=False)
    client.force_login(alice)
    if "tiles" in address:
        monkeypatch.setattr("webapp.api.tiles.slide_shown", lambda **_: (_ for _ in ()).throw(error))
    broken(error)
    answer = client.get(address.format(pk=slide.pk))
    said = answer.content.decode()
    assert answer.status_code == status
    assert words in said and "safe" in said and "wrong" not in said
    if address.startswith("/api/"):
        assert answer["Content-Type"] == "application/problem+json"


def test_a_bucket_that_is_away_is_a_fault_of_the_machine():
    away = EndpointConnectionError(endpoint_url="https://slides.example.org")
    assert fault_of(away).status == 503 and "storage of the slides" in fault_of(away).say


def test_a_slide_that_may_not_be_read_is_one_too(tmp_path, monkeypatch):
    (tmp_path / "slide.tif").write_bytes(b"II")
    error = SlideError("It cannot be opened.", tmp_path / "slide.tif")
    assert fault_of(error) is None, "then the file is wrong"
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(errno.EACCES, "x")))
    assert (fault_of(error).status, "mount the folder" in fault_of(error).say) == (503, True)


def test_a_mistake_of_the_program_is_none_of_these():
    assert fault_of(ValueError("x")) is None
    assert fault_of(OSError(errno.EINVAL, "x")) is None
    assert fault_of(FileNotFoundError(errno.ENOENT, "x")) is None
    assert fault_of(OperationalError("no such column: x")) is None
    aside = KeyError("x")
    aside.__context__ = OSError(errno.ENOSPC, "x")  # it came up while that was handled
    assert fault_of(aside) is None
    assert fault_of(None) is None


def test_a_disk_that_fills_up_in_an_upload_loses_nothing(client_of, alice, study):
    upload = upload_create(user=alice, study=study, name="a.tif", size=3)
    upload.file.unlink()
    upload.file.symlink_to("/dev/full")  # the kernel says that there is no room
    client = client_of(alice)
    client.raise_request_exception = False
    kind = "application/offset+octet-stream"
    full = client.patch(f"/api/v1/uploads/{upload.pk}/", b"abc", content_type=kind, headers=TUS)
    assert (full.status_code, "make room" in full.json()["detail"]) == (507, True)
    upload.file.unlink()
    upload.file.touch()
    assert client.patch(f"/api/v1/uploads/{upload.pk}/", b"abc", content_type=kind, headers=TUS).status_code == 204


def test_bytes_of_an_upload_that_are_gone_are_asked_for_again(client_of, alice, study):
    upload = upload_create(user=alice, study=study, name="a.tif", size=3)
    upload.file.unlink()
    kind = "application/offset+octet-stream"
    answer = client_of(alice).patch(f"/api/v1/uploads/{upload.pk}/", b"abc", content_type=kind, headers=TUS)
    assert (answer.status_code, "begin the upload anew" in answer.json()["detail"]) == (410, True)


def test_a_slide_without_its_file_says_so_and_keeps_its_numbers(client_of, alice, root, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    shutil.rmtree(slide.folder)
    client = client_of(alice)
    client.raise_request_exception = False
    assert client.get(f"/slides/{slide.pk}/").status_code == 200
    assert client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()["ai"]["count"] == 1
    for call in (
        client.get(f"/api/v1/slides/{slide.pk}/tiles_files/8/0_0.jpeg"),
        client.get(f"/api/v1/slides/{slide.pk}/crop.jpeg?x=100&y=100"),
        client.get(f"/api/v1/slides/{slide.pk}/thumbnail.jpeg"),
        client_of(root).get(f"/api/v1/slides/{slide.pk}/file/"),
        client.post(f"/api/v1/slides/{slide.pk}/reports/", {}, format="json"),
        client.get(f"/api/v1/slides/{slide.pk}/export/?format=geojson"),
        client.get(f"/api/v1/slides/{slide.pk}/export/?format=dicom"),
    ):
        assert (call.status_code, "put the file back" in call.content.decode()) == (503, True)
    signed = client.post(f"/slides/{slide.pk}/report/", {"unreviewed": "yes"})
    assert (signed.status_code, "put the file back" in signed.content.decode()) == (503, True)


@pytest.mark.parametrize(
    ("given", "kept", "words"),
    [({"SECRET_KEY": "x"}, None, "SECRET_KEY has 1 characters"), ({"SIGNING_KEY": "short"}, None, "SIGNING_KEY has 5"),
     ({}, "", "secret_key holds no key"), ({}, "\n", "secret_key holds no key"),
     ({}, "\0" * 67, "secret_key holds no key"),
     ({}, "x" * 29, "secret_key holds no key")],
)  # fmt: skip
def test_a_key_that_can_be_guessed_is_refused(tmp_path, given, kept, words):
    if kept is not None:
        (tmp_path / "secret_key").write_text(kept)
    environment = {**os.environ, "DATA_DIR": str(tmp_path), **given}
    done = subprocess.run(
        [sys.executable, "-c", "import webapp.settings"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_processes_that_start_at_once_have_one_key(tmp_path):
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-c", "import webapp.settings as s; print(s.SECRET_KEY + s.SIGNING_KEY)"]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    keys = {process.communicate()[0] for process in started}
    assert len(keys) == 1 and len(keys.pop()) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret_key", "signing_key"]


def test_an_empty_file_of_a_secret_is_refused(tmp_path):
    (tmp_path / "key").write_text("\n")
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "SIGNING_KEY_FILE": str(tmp_path / "key")}
    made = subprocess.run(
        [sys.executable, "-c", "import webapp.settings"], env=environment, capture_output=True, text=True
    )
    assert made.returncode and "SIGNING_KEY_FILE" in made.stderr and "is empty" in made.stderr


def test_a_data_folder_that_is_away_is_said(client_of, root, settings, tmp_path):
    settings.DATA_DIR = tmp_path / "away"
    answer = client_of(root).get("/api/v1/health/")
    assert (answer.status_code, "the data folder is away" in str(answer.json())) == (503, True)
    assert "data folder is away" in client_of(root).get("/health/").content.decode()
    assert fault_of(FileNotFoundError(errno.ENOENT, "x")).status == 503


@pytest.mark.parametrize("path", ["/login/", "/", "/api/v1/slides/"])
def test_a_cookie_with_a_nul_is_refused(path, db):
    client = Client()
    client.cookies["sessionid"] = "\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    assert client.get(path).status_code == 400


def test_a_form_with_a_nul_is_refused(client_of, alice, make_slide, make_run):
    slide = make_slide(mpp=2.0)
    make_run(slide, [(50, 50, 0.9)])
    answer = client_of(alice).post(f"/slides/{slide.pk}/report/", {"comment": "a\0b", "unreviewed": "yes"})
    assert answer.status_code == 400 and not slide.reports.exists()


@pytest.mark.parametrize("charset", ["hex", "undefined", "punycode", "nonsense"])
def test_a_charset_of_a_stranger_breaks_nothing(charset, db):
    said = []
    environ = RequestFactory().post("/login/?a=b", {"username": "ä"}).environ
    environ["CONTENT_TYPE"] += f"; charset={charset}"
    list(application(environ, lambda status, headers: said.append(status)))
    assert said == ["403 Forbidden"]  # for want of a CSRF token
