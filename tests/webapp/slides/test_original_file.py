"""The file of a slide as it was uploaded: for whom it is, in parts, and as a zip."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.contrib.auth.models import Permission
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recorded import recorded
from webapp.api.files import _span
from webapp.audit.models import Action

DATA = bytes(range(256)) * 9000  # more than two blocks


@pytest.fixture
def alice(alice):
    alice.user_permissions.add(Permission.objects.get(codename="view_identity"))
    return alice


@pytest.fixture
def slide(make_slide):
    slide = make_slide(file_name="Ä b.svs")
    (slide.folder / "original").mkdir()
    (slide.folder / "original" / "slide.svs").write_bytes(DATA)
    return slide


@pytest.fixture
def get(client_of, alice, slide):
    def get(**headers):
        return client_of(alice).get(f"/api/v1/slides/{slide.pk}/file/", headers=headers)

    return get


def test_it_comes_back_as_it_was_and_that_is_recorded(get, slide, alice):
    answer = get()
    assert (answer.status_code, answer.getvalue()) == (200, DATA)
    assert answer["Content-Length"] == str(len(DATA))
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''%C3%84%20b.svs"
    assert "no-store" in answer["Cache-Control"]
    assert recorded(Action.IDENTITY_SEEN, slide) == [("alice", None, {"what": "original file"})]


def test_without_the_permission_it_is_refused(client_of, root, bob, slide, django_user_model):
    from webapp.slides.models import Membership

    carl = django_user_model.objects.create_user("carl", password="pw")
    Membership.objects.create(study=slide.case.study, user=carl)
    assert client_of(carl).get(f"/api/v1/slides/{slide.pk}/file/").status_code == 403
    assert client_of(bob).get(f"/api/v1/slides/{slide.pk}/file/").status_code == 404
    assert client_of(None).get(f"/api/v1/slides/{slide.pk}/file/").status_code == 401
    assert not recorded(Action.IDENTITY_SEEN)


def test_a_part_is_sent_where_one_is_asked_for(get, slide):
    part = get(Range="bytes=1048570-2000000")
    assert (part.status_code, part.getvalue()) == (206, DATA[1048570:2000001])
    assert part["Content-Range"] == f"bytes 1048570-2000000/{len(DATA)}"
    assert get(Range="bytes=-5").getvalue() == DATA[-5:]
    past = get(Range=f"bytes={len(DATA)}-")
    assert (past.status_code, past["Content-Range"]) == (416, f"bytes */{len(DATA)}")
    whole = get(Range="bytes=5-", **{"If-Range": '"of another file"'})
    assert (whole.status_code, len(whole.getvalue())) == (200, len(DATA))
    assert get(Range="bytes=5-", **{"If-Range": whole["ETag"]}).status_code == 206


@settings(suppress_health_check=list(HealthCheck))
@given(size=st.integers(1, 40), first=st.integers(0, 60) | st.just(""), last=st.integers(0, 60) | st.just(""))
def test_a_range_is_what_the_standard_says(size, first, last):
    span = _span(f"bytes={first}-{last}", size)
    if first == "":
        wanted = list(range(size))[-last:] if last else None if last == "" else []
    else:
        wanted = [i for i in range(size) if first <= i and (last == "" or i <= last)]
        wanted = None if last != "" and last < first else wanted
    assert (None if span is None else list(range(*span))) == wanted


@pytest.mark.parametrize("header", ["", "lines=1-2", "bytes=a-b", "bytes=1-2,5-6", "bytes=--1", "bytes=1"])
def test_what_is_no_range_is_not_followed(header):
    assert _span(header, 10) is None


def test_a_slide_of_several_files_comes_as_a_zip(make_slide, client_of, alice):
    slide = make_slide(file_name="scan.mrxs.zip")
    for name in ("scan.mrxs", "scan/Data0001.dat"):
        path = slide.folder / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DATA + name.encode())
    answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/file/")
    assert answer["Content-Disposition"] == 'attachment; filename="scan.mrxs.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in zipped.namelist()} == {
            name: DATA + name.encode() for name in ("scan.mrxs", "scan/Data0001.dat")
        }


def test_only_the_head_is_told_where_only_that_is_asked_for(client_of, alice, slide):
    answer = client_of(alice).head(f"/api/v1/slides/{slide.pk}/file/")
    assert (answer.status_code, answer["Content-Length"], answer.getvalue()) == (200, str(len(DATA)), b"")


def test_while_a_slide_is_prepared_its_file_is_not_given(client_of, alice, slide):
    slide.state = "preparing"
    slide.save()
    answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/file/")
    assert (answer.status_code, "being prepared" in answer.json()["detail"]) == (409, True)


def test_a_drawn_slide_has_no_original(make_slide, client_of, alice):
    slide = make_slide(drawn=True)
    assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/file/").status_code == 404
