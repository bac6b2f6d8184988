"""A detection as the worker does it: equal to the detector's own, whatever the shards, deaths and deliveries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.utils import timezone

import worker.run_detection
import worker.shard
from detector.__main__ import main as detector_command
from detector.model.checkpoint import load_weights, save_weights
from tests.waiting import wait_for
from webapp.annotations.services import detection_request
from webapp.celery_app import app
from webapp.jobs.heartbeat import heartbeats
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import job_cancel, job_retry, shard_claim
from webapp.jobs.states import ENDED, State
from webapp.registry.services import version_register
from webapp.slides.models import Study
from webapp.slides.storage import local_path
from worker.tasks import detect


def run_all(job):
    for shard in job.shards.all():
        detect(shard_pk=shard.pk)
    job.refresh_from_db()
    return job


def found(job):
    return list(job.run.candidates.order_by("-score", "y", "x").values_list("x", "y", "score"))


def test_page_rest_and_command_line_find_the_same(alice, make_slide, active_model, capsys, settings):
    slide = make_slide(mpp=0.2456)
    job = run_all(detection_request(slide=slide, by=alice))
    assert job.state == State.SUCCEEDED, job.traceback
    rows = found(job)
    assert len(rows) > 3
    weights = str(settings.MODEL_DIR / "mitoscope.safetensors")
    arguments = ["detect", str(local_path(slide)), "--weights", weights, "--min-score", "0.2", "--precision", "fp32"]
    assert detector_command(arguments) == 0
    detections = json.loads(capsys.readouterr().out)["detections"]
    assert [(d["x"], d["y"], d["score"]) for d in detections] == [
        (round(x, 2), round(y, 2), round(score, 5)) for x, y, score in rows
    ]


def test_how_likely_figures_are_atypical_is_asked_where_the_study_wants_it(alice, make_slide, active_model, settings):
    settings.DEFAULT_MIN_SCORE = 0.3
    weights = settings.MODEL_DIR / "mitoscope.safetensors"
    network, card = load_weights(weights)
    measured = {"mitoses": 9, "atypical": 3, "balanced_accuracy": 0.8, "balanced_accuracy_interval": None,
                "sensitivity": 0.8, "specificity": 0.8, "roc_auc": 0.9}  # fmt: skip
    card["atypical"] = {"metrics_by_source": {"all": measured}}
    save_weights(network, settings.MODEL_DIR / "kinds.safetensors", card, atypical=load_weights(weights)[0])
    kinds = version_register(weights=settings.MODEL_DIR / "kinds.safetensors")
    slide = make_slide(mpp=0.2456)

    def likely(model):
        job = run_all(detection_request(slide=slide, by=alice, model=model))
        assert job.state == State.SUCCEEDED, job.traceback
        return dict(job.run.candidates.values_list("score", "atypical"))

    assert set(likely(kinds).values()) == {None}, "off by default"
    Study.objects.update(atypical=True)
    assert set(likely(active_model).values()) == {None}, "it cannot tell"
    told = likely(kinds)
    assert {score >= 0.3 for score, value in told.items() if value is not None} == {True}
    assert all(0 < value < 1 for score, value in told.items() if score >= 0.3)


def test_the_run_is_stamped_with_everything(alice, make_slide, active_model):
    run = run_all(detection_request(slide=make_slide(mpp=0.5), by=alice)).run
    assert (run.model, run.model_sha256) == (active_model, active_model.sha256)
    assert (run.mpp_x, run.mpp_y, run.precision) == (0.5, 0.5, "fp32")
    assert run.code_version
    assert run.device.startswith("cpu")
    assert run.candidate_count == run.candidates.count()
    assert run.parameters["nms_radius_um"] == 7.5
    assert all(candidate.score >= 0.2 for candidate in run.candidates.all())


ISLANDS = ("##.#.#.", "#.##.##", ".#.##..", "##.#.##", ".#.##.#", "#.#.##.")  # windows with tissue


def islands() -> np.ndarray:
    """Tissue in some windows of 392 px, so that a small slide is cut into many rectangles, some of them touching."""
    side, middle, rng = 392, 96, np.random.default_rng(0)
    image = np.full((len(ISLANDS) * side, len(ISLANDS[0]) * side, 3), 244, dtype=np.uint8)
    kept = np.array([[letter == "#" for letter in row] for row in ISLANDS])
    for row, column in np.argwhere(kept):
        for down, right in ((0, 0), (1, 0), (0, 1)):  # the island itself, and the bridges to the next ones
            if kept[row : row + down + 1, column : column + right + 1].sum() == down + right + 1:
                y, x = row * side + middle, column * side + middle
                block = image[y : y + 200 + down * side, x : x + 200 + right * side]
                block[:] = np.clip(np.array([205, 140, 180]) + rng.normal(0, 30, block.shape), 0, 255)
    return image


@pytest.fixture
def celery_worker(outside) -> Iterator[Callable[[int], None]]:
    """A real worker of Celery for detections; called with a number, it has as many processes from then on."""
    before, log = set(heartbeats() or ()), Path(outside["DATA_DIR"]) / "worker.log"
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-Q", "detect", "-c", "1"]
    command += ["-n", "table@test", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(
        command, cwd=django_settings.BASE_DIR, env=outside, stdout=log.open("w"), stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip

    def have(processes: int) -> None:
        if processes > 1:
            app.control.pool_grow(processes - 1, destination=["table@test"])
        wait_for(
            lambda: len(set(heartbeats() or ()) - before) == processes or worker.poll() is not None,
            seconds=180, what=f"{processes} processes",
        )  # fmt: skip
        assert worker.poll() is None, log.read_text()

    yield have
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    sys.stdout.write(log.read_text())  # is shown where the test has failed


@pytest.mark.django_db(transaction=True)
def test_neither_the_number_of_shards_nor_of_workers_changes_anything(
    alice, make_slide, active_model, settings, celery_worker
):
    slide, results, busy = make_slide(image=islands()), {}, set()
    for workers in (1, 3):
        celery_worker(workers)
        for shards in (1, 4, 16):
            settings.DETECT_SHARDS = shards
            job = detection_request(slide=slide, by=alice)
            ended = Job.objects.filter(pk=job.pk, state__in=ENDED)
            wait_for(ended.exists, seconds=180, what=f"{shards} shards and {workers} workers")
            job.refresh_from_db()
            assert (job.state, job.shards.count()) == (State.SUCCEEDED, shards), job.traceback
            done_by = set(job.shards.values_list("worker", flat=True))
            assert len(done_by) == 1 if workers == 1 else len(done_by) <= 3
            busy |= done_by
            results[workers, shards] = (found(job), job.run.windows_total, job.run.windows_skipped)
    assert len(busy) == 3, "each process did a part"
    first = results[1, 1]
    assert all(result == first for result in results.values())
    assert (len(first[0]) > 50, first[2]) == (True, 31), "there was glass to skip"


def test_progress_is_counted_in_windows_and_ends_at_all_of_them(alice, make_slide, active_model, large):
    job = run_all(detection_request(slide=make_slide(image=large), by=alice))
    assert job.progress["done"] == job.progress["total"] == job.run.windows_total
    assert job.progress["skipped"] == job.run.windows_skipped


def test_a_second_delivery_changes_nothing(alice, make_slide, active_model):
    job = run_all(detection_request(slide=make_slide(), by=alice))
    before = found(job)
    run_all(job)
    assert found(job) == before
    assert job.slide.runs.count() == 1


def test_a_worker_that_dies_before_the_merge_costs_nothing(alice, make_slide, active_model, monkeypatch):
    job = detection_request(slide=make_slide(), by=alice)

    class Killed(BaseException):
        pass

    def die(**_):
        raise Killed

    monkeypatch.setattr(worker.run_detection, "run_save", die)
    with pytest.raises(Killed):
        run_all(job)
    monkeypatch.undo()
    assert not job.slide.runs.exists()
    assert run_all(job).state == State.SUCCEEDED
    assert found(job)


def test_a_worker_that_dies_in_the_middle_is_followed_by_another(alice, make_slide, active_model, monkeypatch):
    job = detection_request(slide=make_slide(), by=alice)

    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    monkeypatch.setattr(worker.run_detection, "scan", die)
    with pytest.raises(Killed):
        run_all(job)
    monkeypatch.undo()
    run_all(job)
    assert job.state == State.RUNNING, "its lease still holds"
    Shard.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert run_all(job).state == State.SUCCEEDED


def test_a_cancel_is_seen_between_windows(alice, make_slide, active_model, monkeypatch, large):
    job = detection_request(slide=make_slide(image=large), by=alice)
    monkeypatch.setattr(worker.shard, "PROGRESS_SECONDS", 0.0)
    said, scored = [], []
    original, logits = worker.shard.shard_progress, worker.run_detection.scorer_of(active_model).logits

    def shard_progress(*, done=0, skipped=0, **kwargs):
        said.append(done > skipped)
        if said[-1]:
            job_cancel(job=Job.objects.get(pk=job.pk))
        original(done=done, skipped=skipped, **kwargs)

    def counted(image):
        scored.append(image.shape)
        return logits(image)

    monkeypatch.setattr(worker.shard, "shard_progress", shard_progress)
    monkeypatch.setattr(worker.run_detection.scorer_of(active_model), "logits", counted)
    run_all(job)
    assert job.state == State.CANCELLED
    assert said[-2:] == [False, True], "nothing is said after the first rectangle"
    assert 1 <= len(scored) <= 3, "of six rectangles, those that were on their way"
    assert not job.slide.runs.exists()
    monkeypatch.undo()
    assert run_all(job_retry(job=job)).state == State.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_a_step_that_takes_longer_than_the_lease_does_not_lose_it(
    alice, make_slide, active_model, monkeypatch, settings
):
    settings.LEASE_SECONDS = 1
    job = detection_request(slide=make_slide(), by=alice)
    original = worker.run_detection.scan
    second_claims = []

    def slow(*arguments, **options):
        for _ in range(5):
            time.sleep(0.5)
            second_claims.append(shard_claim(shard_pk=job.shards.get().pk, worker="thief"))
        return original(*arguments, **options)

    monkeypatch.setattr(worker.run_detection, "scan", slow)
    assert run_all(job).state == State.SUCCEEDED
    assert second_claims == [None] * 5
    assert job.shards.get().attempt == 1


def test_a_failure_has_a_sentence_for_the_user_and_a_traceback_for_the_admin(alice, make_slide, active_model):
    slide = make_slide()
    local_path(slide).write_bytes(b"II*\0 damaged")
    job = run_all(detection_request(slide=slide, by=alice))
    assert job.state == State.FAILED
    assert "Traceback" not in job.error
    assert "Traceback" in job.traceback


def test_weights_that_changed_since_they_were_registered_are_not_used(alice, make_slide, active_model, settings):
    path = settings.MODEL_DIR / "mitoscope.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    job = run_all(detection_request(slide=make_slide(), by=alice))
    assert job.state == State.FAILED
    assert "is damaged" in job.error


def test_a_slide_deleted_while_it_runs_leaves_nothing(alice, make_slide, active_model, monkeypatch):
    slide = make_slide()
    job = detection_request(slide=slide, by=alice)
    shard = job.shards.get()
    monkeypatch.setattr(worker.shard, "shard_progress", lambda **_: slide.delete() if slide.pk else None)
    detect(shard_pk=shard.pk)
    assert not Job.objects.exists()
    detect(shard_pk=shard.pk)
