"""Uploading in a browser: what breaks off goes on, what belongs together arrives together."""

from __future__ import annotations

import hashlib
import os
import zipfile

import pytest

from webapp.slides.models import Slide, Upload
from webapp.slides.storage import local_path

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(open_as, alice):
    """The worklist of Alice, in a study; questions of the browser are answered with yes."""
    page = open_as(alice, "/", allow=("Failed to load resource",))
    page.on("dialog", lambda dialog: dialog.accept())  # "leave although something is being sent?"
    return page


def arrived(page, name: str) -> Slide:
    page.locator(f"tr:has-text('{name}')").wait_for(timeout=60_000)
    return Slide.objects.get(file_name=name)


def test_an_upload_goes_on_after_the_cable_and_the_tab_were_gone(page, tmp_path):
    file = tmp_path / "big.svs"
    file.write_bytes(os.urandom(40 << 20))  # two and a half requests
    offsets: list[int] = []

    def let_one_through(route):
        offsets.append(int(route.request.headers.get("upload-offset", -1)))
        route.continue_() if len(offsets) == 1 else route.abort()

    page.route("**/api/v1/uploads/*/", let_one_through)
    page.set_input_files("#files", str(file))
    page.locator("#uploads li:has-text('big.svs')", has_text="trying again").wait_for()
    page.reload()
    page.locator("#uploads li:has-text('big.svs')", has_text="16.8 MB of 41.9 MB arrived before").wait_for()
    page.unroute("**/api/v1/uploads/*/")
    sent: list[int] = []
    page.on(
        "request", lambda asked: sent.append(int(asked.headers["upload-offset"])) if asked.method == "PATCH" else None
    )
    page.set_input_files("#files", str(file))
    slide = arrived(page, "big.svs")
    assert sent == [16 << 20, 32 << 20]
    assert hashlib.sha256(local_path(slide).read_bytes()).digest() == hashlib.sha256(file.read_bytes()).digest()
    assert page.locator("#uploads li", has_text="arrived before").count() == 0


def test_pause_and_going_on_and_giving_up(page, tmp_path):
    (tmp_path / "a.svs").write_bytes(os.urandom(20 << 20))
    page.route("**/api/v1/uploads/*/", lambda route: None if route.request.method == "PATCH" else route.continue_())
    page.set_input_files("#files", str(tmp_path / "a.svs"))
    row = page.locator("#uploads li", has_text="a.svs")
    row.get_by_text("Pause").click()
    row.get_by_text("Paused; it goes on where it is.").wait_for()
    page.unroute("**/api/v1/uploads/*/")
    row.get_by_text("Go on").click()
    arrived(page, "a.svs")

    page.route("**/api/v1/uploads/*/", lambda route: None if route.request.method == "PATCH" else route.continue_())
    (tmp_path / "b.svs").write_bytes(os.urandom(1 << 20))
    page.set_input_files("#files", str(tmp_path / "b.svs"))
    page.locator("#uploads li", has_text="b.svs").get_by_text("Cancel").click()
    page.locator("#uploads li", has_text="b.svs").wait_for(state="detached")
    assert not Upload.objects.filter(name="b.svs").exists()


def test_a_folder_is_sorted_into_slides_and_sets_travel_as_zips(page, tmp_path):
    folder = tmp_path / "specimen"
    files = {
        "one.svs": b"svs" * 100,
        "notes.txt": b"no slide",
        "two.mrxs": b"mrxs",
        "two/Data0001.dat": os.urandom(5000),
        "two/Slidedat.ini": b"[GENERAL]",
        "dicom/a.dcm": os.urandom(700),
        "dicom/b.dcm": b"",
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    page.set_input_files("#folder", str(folder))
    assert local_path(arrived(page, "one.svs")).read_bytes() == files["one.svs"]
    sets = {
        "two.zip": ["two.mrxs", "two/Data0001.dat", "two/Slidedat.ini"],
        "dicom.zip": ["dicom/a.dcm", "dicom/b.dcm"],
    }
    for name, inside in sets.items():
        with zipfile.ZipFile(local_path(arrived(page, name))) as archive:
            assert archive.testzip() is None
            assert {path.removeprefix("specimen/"): archive.read(path) for path in archive.namelist()} == {
                path: files[path] for path in inside
            }
    assert Slide.objects.count() == 3
    page.locator("#uploads li", has_text="Left out").get_by_text("1 file that is no slide.").wait_for()
