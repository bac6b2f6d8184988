"""A real Celery worker on a real Redis: names of tasks agree, messages arrive, a killed worker loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings as django_settings
from django.db import connection

from webapp.annotations.services import detection_request
from webapp.celery_app import QUEUES
from webapp.jobs.dispatch import task_name
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import jobs_watch
from webapp.jobs.states import State


def test_every_task_that_is_sent_is_known_to_the_workers():
    from worker.app import app

    assert {task_name(kind) for kind in Job.Kind} <= set(app.tasks)
    assert set(Job.Kind) <= set(QUEUES)


@pytest.fixture
def start_worker(settings):
    """Start workers on the tests' own database."""
    if connection.vendor == "sqlite":
        pytest.skip("a second process cannot open SQLite's test database in memory")
    database = connection.settings_dict
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://postgres:@/{database['NAME']}?host={database['OPTIONS']['host']}",
        "MODEL_DIR": str(settings.MODEL_DIR),
        "LEASE_SECONDS": "5",
    }
    # Slides lie below DATA_DIR; the tests put them in a folder of their own.
    data = settings.SLIDE_DIR.parent
    environment["DATA_DIR"] = str(data)
    processes = []

    def start(name: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-Q", "detect", "-c", "1"]
        command += ["-n", f"{name}@test", "--without-gossip", "--without-mingle", "-P", "solo"]
        process = subprocess.Popen(
            command,
            cwd=django_settings.BASE_DIR,
            env=environment,
            stderr=(data / f"{name}.log").open("w"),
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def detected(slide, by, start_worker, *, kill: bool) -> list[tuple[float, float, float]]:
    job = detection_request(slide=slide, by=by)
    first = start_worker(f"first-{kill}")
    if kill:
        assert wait_for(lambda: Shard.objects.get(job=job).state == State.RUNNING)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        start_worker("second")

    def done() -> bool:
        jobs_watch()
        return Job.objects.get(pk=job.pk).state == State.SUCCEEDED

    assert wait_for(done)
    if not kill:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    return list(Job.objects.get(pk=job.pk).run.candidates.values_list("x", "y", "score"))


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_is_followed_by_another_and_nothing_is_lost(
    alice, make_slide, active_model, start_worker, settings, large
):
    settings.LEASE_SECONDS = 5
    slide = make_slide(image=large)
    undisturbed = detected(slide, alice, start_worker, kill=False)
    assert undisturbed
    assert detected(slide, alice, start_worker, kill=True) == undisturbed
