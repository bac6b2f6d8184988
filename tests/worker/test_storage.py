"""Slides in a bucket of a real S3-compatible server, with a bounded cache on each machine."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from django.core.management import CommandError, call_command

from detector.errors import SlideError
from detector.slide.pyramid import write_pyramid
from tests.ports import free_port, listening
from tests.waiting import wait_for
from webapp.annotations.services import detection_request
from webapp.core.bucket import s3_bucket
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.registry.services import version_activate, version_register
from webapp.slides import storage
from webapp.slides.models import Slide
from webapp.slides.services import slide_create
from webapp.slides.storage import (
    cache_sweep,
    local_path,
    slide_fetched,
    slide_forget,
    slide_held,
    slide_keep,
    tissue_keep,
    tissue_read,
)
from worker import weights
from worker.tasks import detect, ingest

KEYS = {"access_key": "mitoscope", "secret_key": "not-a-secret"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[str]:
    """The address of an S3 server with a bucket `slides`."""
    port = free_port()
    environment = {**os.environ, "NANIO_ACCESS_KEY": KEYS["access_key"], "NANIO_SECRET_KEY": KEYS["secret_key"]}
    command = [sys.executable, "-m", "nanio", "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(tmp_path_factory.mktemp("s3")), "--log-level", "error", "--no-access-log"]
    server = subprocess.Popen(command, env=environment)
    address = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    wait_for(lambda: listening(port), seconds=30, what="the S3 server")
    client.create_bucket(Bucket="slides")
    yield address
    server.terminate()
    server.wait()


@pytest.fixture
def bucket(settings: Any, endpoint: str) -> Any:
    """Slides are kept there."""
    settings.S3_BUCKET = "slides"
    storages = copy.deepcopy(settings.STORAGES)
    storages["slides"]["OPTIONS"] = {
        "bucket_name": "slides", "endpoint_url": endpoint, "region_name": "us-east-1", **KEYS,
    }  # fmt: skip
    settings.STORAGES = storages
    return s3_bucket()


def keys(bucket: Any, slide: Slide) -> set[str]:
    return {found.key.split("/", 1)[1] for found in bucket.objects.filter(Prefix=f"{slide.pk}/")}


def size(slide: Slide) -> int:
    return sum(path.stat().st_size for path in slide.folder.rglob("*") if path.is_file())


def test_a_bucket_is_made_once_and_what_is_in_the_way_is_said(bucket, settings, capsys):
    storages = copy.deepcopy(settings.STORAGES)
    storages["slides"]["OPTIONS"]["bucket_name"] = settings.S3_BUCKET = "new-slides"
    settings.STORAGES = storages
    for words in ("has been made", "is there already"):
        call_command("make_bucket")
        assert words in capsys.readouterr().out
    settings.S3_BUCKET = ""
    with pytest.raises(CommandError, match="S3_BUCKET is empty"):
        call_command("make_bucket")


def test_without_a_bucket_the_file_is_where_it_is(make_slide):
    slide = make_slide()
    slide_keep(slide)
    assert slide_fetched(slide) == local_path(slide)
    assert {path.name for path in slide.folder.iterdir()} == {"pyramid.tif", "thumbnail.jpeg"}


def test_a_slide_that_is_kept_is_shown_by_a_machine_that_has_never_seen_it(bucket, make_slide, client_of, alice):
    slide = make_slide()
    here = client_of(alice)
    addresses = [
        f"/api/v1/slides/{slide.pk}/{end}" for end in ("thumbnail.jpeg", "tiles.dzi", "tiles_files/9/0_0.jpeg")
    ]
    before = [here.get(address).content for address in addresses]
    slide_keep(slide)
    assert keys(bucket, slide) == {"pyramid.tif", "thumbnail.jpeg"}
    shutil.rmtree(slide.folder)
    assert here.get(addresses[0]).content == before[0]
    assert not slide.folder.exists(), "a thumbnail is had without the slide"
    assert [here.get(address).content for address in addresses] == before
    assert local_path(slide).exists()


def test_preparing_puts_the_slide_into_the_bucket_and_a_worker_elsewhere_detects_on_it(
    bucket, active_model, study, alice, picture, tmp_path
):
    height, width = picture.shape[:2]
    write_pyramid(tmp_path / "s.tif", lambda a, b: picture[a:b], (width, height), (0.25, 0.25), compression="deflate")
    slide = slide_create(study=study, case_identifier="", name="s.tif", file=tmp_path / "s.tif", user=alice)
    ingest(shard_pk=job_create(kind=Job.Kind.INGEST, slide=slide, by=alice).shards.get().pk)
    assert "thumbnail.jpeg" in keys(bucket, slide)
    shutil.rmtree(slide.folder)
    job = Job.objects.get(kind=Job.Kind.DETECT)
    detect(shard_pk=job.shards.get().pk)
    job.refresh_from_db()
    assert job.state == "succeeded", job.traceback
    assert job.run.candidate_count > 0


def test_a_report_is_signed_where_the_slide_is_in_the_bucket_alone(bucket, make_slide, make_run, client_of, alice):
    slide = make_slide()
    make_run(slide, [(100.0, 100.0, 0.9)])
    slide_keep(slide)
    shutil.rmtree(slide.folder)
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/reports/", {}, format="json")
    assert answer.status_code == 201, answer.content
    assert client_of(alice).get(answer.json()["pdf"]).content.startswith(b"%PDF")


def test_weights_that_were_trained_here_are_had_by_a_worker_elsewhere(
    bucket, active_model, make_slide, alice, settings
):
    trained = settings.TRAINING_DIR / "one" / "weights.safetensors"
    trained.parent.mkdir(parents=True)
    shutil.copyfile(active_model.file, trained)
    shutil.copyfile(active_model.file.with_suffix(".json"), trained.with_suffix(".json"))
    active_model.delete()
    version = version_register(weights=trained)
    version_activate(version=version)
    shutil.rmtree(trained.parent)
    weights._load.cache_clear()
    job = detection_request(slide=make_slide(), by=alice)
    detect(shard_pk=job.shards.get().pk)
    job.refresh_from_db()
    assert job.state == "succeeded", job.traceback
    assert (job.run.model, trained.exists()) == (version, True)


def test_the_cache_keeps_what_was_used_last_and_what_is_in_use(bucket, make_slide, settings):
    old, held, last = (make_slide() for _ in range(3))
    settings.SLIDE_CACHE_BYTES = int(2.5 * size(old))
    for age, slide in ((30, old), (20, held), (10, last)):
        slide_keep(slide)
        os.utime(slide.folder / ".whole", (time.time() - age,) * 2)
    new = make_slide()
    with slide_held(old) as path:  # the oldest, but somebody reads it
        slide_keep(new)
        assert path.exists()
    assert [slide.folder.exists() for slide in (old, held, last, new)] == [True, False, False, True]
    assert slide_fetched(held).exists()
    assert [slide.folder.exists() for slide in (old, new)] == [False, True]


def test_what_is_not_in_the_bucket_yet_never_makes_room(bucket, make_slide, settings):
    settings.SLIDE_CACHE_BYTES = 1
    preparing, kept = make_slide(), make_slide()
    slide_keep(kept)
    assert local_path(preparing).exists()
    assert local_path(kept).exists(), "a slide that is larger than the cache stays while it is used"


def test_many_readers_at_once_fetch_a_slide_once(bucket, make_slide, monkeypatch):
    slide, fetched = make_slide(), []
    slide_keep(slide)
    content = local_path(slide).read_bytes()
    shutil.rmtree(slide.folder)
    download = storage._download
    monkeypatch.setattr(storage, "_download", lambda slide: (fetched.append(slide), download(slide)))
    found = []
    threads = [threading.Thread(target=lambda: found.append(slide_fetched(slide).read_bytes())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [content] * 6
    assert len(fetched) == 1


def test_a_fetch_that_broke_off_is_begun_anew(bucket, make_slide):
    slide = make_slide()
    slide_keep(slide)
    shutil.rmtree(slide.folder)
    partial = slide.folder.with_name(f"{slide.pk}.partial")
    partial.mkdir()
    (partial / "pyramid.tif").write_bytes(b"half of it")
    assert slide_fetched(slide).stat().st_size > 1000
    assert not partial.exists()


def test_a_slide_that_is_forgotten_is_nowhere(bucket, make_slide):
    slide = make_slide()
    slide_keep(slide)
    slide_forget(slide)
    assert keys(bucket, slide) == set()
    assert not slide.folder.exists()
    with pytest.raises(SlideError, match="not in the storage"):
        slide_fetched(slide)


def test_what_was_deleted_on_another_host_leaves_this_one(bucket, make_slide):
    gone, kept, preparing = make_slide(), make_slide(), make_slide()
    for slide in (gone, kept):
        slide_keep(slide)
    folder, broken_off = gone.folder, gone.folder.with_name(f"{gone.pk}.partial")
    broken_off.mkdir()
    (broken_off / ".whole").touch()
    Slide.objects.filter(pk__in=[gone.pk, preparing.pk]).delete()
    (folder.parent / "of somebody else").mkdir()
    assert cache_sweep() == 0  # it may be on its way here
    for path in folder.parent.iterdir():
        os.utime(path, (time.time() - 4000,) * 2)
    assert cache_sweep() == 3
    assert not any(path.exists() for path in (folder, broken_off, preparing.folder)) and kept.folder.exists()
    assert (folder.parent / "of somebody else").exists()


def test_whether_tissue_was_measured_is_known_without_fetching_the_slide(bucket, make_slide):
    slide = make_slide()
    assert tissue_read(slide) is None
    tissue_keep(slide, np.ones((20, 30), bool))
    shutil.rmtree(slide.folder)
    assert tissue_read(slide) is not None and not slide.folder.exists()
