"""Slides that come in by themselves, to the end: prepared in place or from a copy, by two watchers, from a bucket."""

from __future__ import annotations

import threading
import zipfile
from datetime import timedelta

import pytest
from django.db import connection

from detector.slide.pyramid import write_pyramid
from tests.drawing import draw_tissue
from tests.resilience.dicom_files import dicom_zip, level
from tests.worker.test_storage import bucket, endpoint  # noqa: F401  fixtures
from webapp.intake.models import Arrival
from webapp.intake.naming import Rules
from webapp.intake.places import place_of
from webapp.intake.services import Manner, arrivals_look
from webapp.jobs.models import Job
from webapp.jobs.services import job_retry
from webapp.slides.models import Slide
from webapp.slides.storage import original_of, slide_opened
from worker.tasks import ingest

AT_ONCE = timedelta(0)


def prepared() -> dict[str, Slide]:
    """All slides once their preparing has run, by the names of their files."""
    for job in Job.objects.filter(kind=Job.Kind.INGEST):
        ingest(shard_pk=job.shards.get().pk)
    return {slide.file_name: slide for slide in Slide.objects.all()}


@pytest.fixture
def share(tmp_path, study):
    """A pyramid, a flat frame, a DICOM series and a file that is no slide."""
    case = tmp_path / "share" / study.name / "P-1"
    case.mkdir(parents=True)
    image = draw_tissue(1500, 1200, seed=3)
    write_pyramid(case / "a.tif", lambda top, bottom: image[top:bottom], (1500, 1200), (0.25, 0.25), compression="jpeg")
    write_pyramid(case / "b.tif", lambda top, bottom: image[top:bottom], (1500, 1200), None, compression="jpeg")
    dicom_zip(level(image, 0.25), level(image[::2, ::2], 0.5, number=2))(tmp_path / "series.zip")
    with zipfile.ZipFile(tmp_path / "series.zip") as zipped:
        zipped.extractall(case.with_name("P-2"))
    (case / "c.svs").write_bytes(b"no slide")
    return tmp_path / "share"


@pytest.mark.parametrize("in_place", [True, False])
def test_what_is_in_a_share_is_prepared(share, study, in_place):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in share.rglob("*") if path.is_file()}
    manner = Manner(in_place=in_place, quiet=AT_ONCE)
    assert dict(arrivals_look(place=place_of(str(share)), manner=manner)) == {"taken": 4}
    slides = prepared()
    series = slides["0.dcm" if in_place else "0.zip"]
    assert {name: slide.state for name, slide in slides.items()} == {
        "a.tif": "ready", "b.tif": "needs_mpp", series.file_name: "ready", "c.svs": "refused",
    }  # fmt: skip
    assert (series.format, series.case.identifier) == ("dicom", "P-2")
    for slide in (slides["a.tif"], series):
        with slide_opened(slide) as file:
            assert file.size == (1500, 1200) and file.read(0, 600, 500, 64, 64).std() > 0
        assert original_of(slide).exists()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in share.rglob("*") if path.is_file()} == before


def test_a_share_that_is_not_mounted_at_the_worker_is_no_fault_of_the_slide(share, study):
    (share / study.name / "P-1" / "b.tif").unlink()
    arrivals_look(place=place_of(str(share)), manner=Manner(in_place=True, quiet=AT_ONCE))
    share.rename(share.with_name("away"))
    assert {slide.state for slide in prepared().values()} == {"preparing"}
    jobs = Job.objects.filter(state="failed")
    assert all("Mount the folder that it is used in" in job.error for job in jobs) and jobs.count() == 3
    share.with_name("away").rename(share)
    for job in jobs.all():
        job_retry(job=job)
    assert sorted(slide.state for slide in prepared().values()) == ["ready", "ready", "refused"]


@pytest.mark.django_db(transaction=True)
def test_two_watchers_import_nothing_twice(study, tmp_path):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    share = tmp_path / "share"
    share.mkdir()
    for number in range(40):
        (share / f"{number}.svs").write_bytes(b"%d" % (number // 2))  # each content twice
    ready, failed = threading.Barrier(3), []

    def watch():
        ready.wait()
        try:
            for _ in range(2):
                arrivals_look(place=place_of(str(share)), manner=_manner(study))
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    watchers = [threading.Thread(target=watch) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert not failed
    found = arrivals_look(place=place_of(str(share)), manner=_manner(study))
    assert dict(found) == {"taken": 20, "known": 20}
    assert Slide.objects.count() == Job.objects.count() == 20
    assert len(list(Slide.objects.first().folder.parent.iterdir())) == 20


def _manner(study):
    return Manner(Rules(study.name), quiet=AT_ONCE)


def test_slides_come_from_a_prefix_of_a_bucket(bucket, study, share):  # noqa: F811
    for path in sorted((share / study.name / "P-1").iterdir()):
        bucket.upload_file(str(path), f"scanner/{study.name}/P-1/{path.name}")
    bucket.put_object(Key="scanner/slides.csv", Body=b"file,study,case,mpp\nb.tif,%b,P-9,0.5\n" % study.name.encode())
    bucket.put_object(Key="elsewhere/a.tif", Body=b"not asked for")
    place = place_of("s3://slides/scanner")
    assert dict(arrivals_look(place=place, manner=Manner(quiet=AT_ONCE))) == {"taken": 3}
    assert dict(arrivals_look(place=place, manner=Manner(quiet=AT_ONCE))) == {"taken": 3}
    slides = prepared()
    assert {name: (slide.case.identifier, slide.state) for name, slide in slides.items()} == {
        "a.tif": ("P-1", "ready"), "b.tif": ("P-9", "ready"), "c.svs": ("P-1", "refused"),
    }  # fmt: skip
    assert slides["b.tif"].mpp == (0.5, 0.5)
    assert Arrival.objects.get(name__endswith="a.tif").place == "s3://slides/scanner"
    assert any(bucket.objects.filter(Prefix=f"{slides['a.tif'].pk}/"))
