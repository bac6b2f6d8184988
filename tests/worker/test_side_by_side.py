"""Two trainings in processes of their own, a reader's detection beside them, and kill -9 in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from detector.model.checkpoint import load_weights
from detector.training.train import CHECKPOINT
from tests.waiting import wait_for
from tests.worker.test_retraining import do
from webapp.annotations.services import detection_request
from webapp.jobs.models import Shard
from webapp.jobs.states import State
from webapp.retraining.models import TrainingRun
from webapp.retraining.trainings import training_request
from worker.tasks import detect, train

PLAN = {
    "iterations": 60,
    "device": "cpu",
    "changes": {
        "widths": [4, 4, 4, 4, 4, 4], "foreground_per_batch": 1, "background_per_batch": 2, "ema_decay": 0.8,
        "hard_negatives_at": [500], "evaluate_every": 1000, "checkpoint_every": 1000,
    },
}  # fmt: skip
TRAINERS = """
import os, django, torch._dynamo
django.setup()
from worker.tasks import train
first = os.fork()
second = first and os.fork()
if first and second:
    os.waitpid(first, 0), os.waitpid(second, 0)
else:
    train(shard_pk=0)
    os._exit(0)
"""  # as Celery starts its processes: what is imported once is there in each


@pytest.fixture
def trainers(outside: dict[str, str]) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Two processes that each take the training whose turn it is."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", TRAINERS]
        started.append(subprocess.Popen(command, cwd=settings.BASE_DIR, env=outside, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def weights_of(training: TrainingRun) -> dict[str, bytes]:
    training.refresh_from_db()
    state = load_weights(training.version.file)[0].state_dict()
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


@pytest.mark.django_db(transaction=True)
def test_two_trainings_do_not_mix_a_killed_one_loses_nothing_and_no_reader_waits(
    drawn_set,
    root,
    alice,
    active_model,
    make_slide,
    trainers,
):
    ask = {"by": root, "sets": [drawn_set], "cases": ["B00", "B01"]}
    killed = training_request(name="killed", plan=PLAN, **ask)
    other = training_request(name="other", plan={**PLAN, "seed": 7}, **ask)
    both = trainers()
    for training in (killed, other):
        checkpoint = training.folder / CHECKPOINT
        wait_for(checkpoint.exists, seconds=90, what=f"the checkpoint of {training.name}", every=0.02)

    slide = detection_request(slide=make_slide(), by=alice)
    assert slide.queue_position == 1, "trainings wait in a queue of their own"
    assert do(detect, slide).state == State.SUCCEEDED
    under_way = Shard.objects.filter(job__training__in=[killed, other], state=State.RUNNING)
    assert under_way.count() == 2, "the detection began after both trainings, and ended before them"

    os.kill(int(Shard.objects.get(job=killed.job).worker.rsplit("/", 1)[1]), signal.SIGKILL)
    assert do(train, killed.job).state == State.RUNNING, "the lease of the dead process still holds"
    Shard.objects.filter(job=killed.job).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert do(train, killed.job).state == State.SUCCEEDED, killed.job.traceback
    assert both.wait(timeout=90) == 0

    whole = training_request(name="whole", plan=PLAN, **ask)
    assert killed.manifest_sha256 == whole.manifest_sha256
    assert do(train, whole.job).state == State.SUCCEEDED
    assert weights_of(killed) == weights_of(whole)
    assert any("checkpoint" in line["said"] for line in killed.log)
    assert [row["iteration"] for row in killed.curve] == [row["iteration"] for row in whole.curve]
    alone = training_request(name="alone", plan={**PLAN, "seed": 7}, **ask)
    assert do(train, alone.job).state == State.SUCCEEDED
    assert weights_of(other) == weights_of(alone) != weights_of(whole)
