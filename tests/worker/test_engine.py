"""The engine in a worker process: warm before the first message, bounded in memory, heard of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings

from tests.waiting import wait_for
from webapp.annotations.services import detection_request
from webapp.jobs.heartbeat import heartbeats
from webapp.jobs.models import Job
from webapp.jobs.states import State
from worker import process, weights
from worker.process import later_versions
from worker.tasks import detect

# Half a gigabyte beside what the process has by then: 0.5 GB with torch's CPU build, 1.0 with its CUDA build.
BOUNDED = """
import pathlib, re
import numpy as np, torch
from detector.detection.detect import Scorer
from detector.model.network import ResNet12
from worker.memory import limit_memory, memory_mb, peak_memory_mb
torch.manual_seed(1)
scorer = Scorer(ResNet12((4, 4, 4, 4, 4, 4)).eval(), device="cpu", precision="fp32")
image = np.random.default_rng(0).integers(0, 255, (9000, 2000, 3), dtype=np.uint8)
cells = [(0, 0), (500, 100), (1109, 234)]
patches = [scorer.logits(image[r * 8 : r * 8 + 128, q * 8 : q * 8 + 128])[0, 0] for r, q in cells]
taken = int(re.search(r"VmData:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 2**20
resident = memory_mb()
limit_memory(taken + 0.5)
sizes, forward = [], scorer._forward
scorer._forward = lambda network, part: (sizes.append(part.shape[0]), forward(network, part))[1]
found = scorer.logits(image)
assert found.shape == (1110, 235)
assert np.allclose([found[cell] for cell in cells], patches, atol=1e-4)
print(len(sizes), peak_memory_mb() - resident)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds allocations on Linux alone")
def test_a_process_that_may_take_half_a_gigabyte_more_goes_on_in_halves_and_finds_the_same():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # one thread alone needs less
    command = [sys.executable, "-c", BOUNDED]
    done = subprocess.run(
        command, cwd=django_settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    attempts, more = map(int, done.stdout.split())
    assert attempts > 1
    assert more < 512 + 100, "code that is mapped does not count, but is resident once it has run"


def test_the_network_is_there_before_the_first_message_and_the_process_is_heard_of(active_model, monkeypatch):
    monkeypatch.setattr(process, "limit_memory", lambda gigabytes: None)
    monkeypatch.setattr(process.connection, "close", lambda: None)  # the transaction of this test is in it
    weights._load.cache_clear()

    def once(seconds: float) -> None:
        raise SystemExit  # ends the thread

    monkeypatch.setattr(process, "time", SimpleNamespace(time=time.time, sleep=once))
    process.begin(["detect", "mine"])
    assert weights._load.cache_info().currsize == 1
    said = wait_for(
        lambda: (heartbeats() or {}).get(process.worker_name()), seconds=30, what="the process to be heard of"
    )
    assert said["queues"] == ["detect", "mine"]
    assert (said["device"].split(",")[0], said["precision"]) == ("cpu", "fp32")
    assert said["memory_mb"] > 50


def test_without_an_active_version_a_worker_starts_all_the_same(db, monkeypatch):
    monkeypatch.setattr(process.connection, "close", lambda: None)
    assert process._warm() == {}


@pytest.mark.parametrize(("device", "cores", "count"), [("cpu", 16, 1), ("cuda", 16, 8), ("cuda", 4, 4)])
def test_a_gpu_has_several_readers(monkeypatch, device, cores, count):
    import torch

    monkeypatch.setattr(weights, "parse_device", lambda name: torch.device(device))
    monkeypatch.setattr(weights.os, "cpu_count", lambda: cores)
    assert weights.readers() == count


@pytest.mark.parametrize(
    ("asked_with", "own", "later"),
    [("0.4.0+abc", "0.3.0", True), ("0.3.0+abc", "0.3.0+def", False), ("0.2.0", "0.3.0", False), ("", "0.3.0", False),
     ("0.10.0", "0.9.0", True), ("unknown", "0.3.0", False)],
)  # fmt: skip
def test_which_versions_are_later_than_the_workers(monkeypatch, asked_with, own, later):
    monkeypatch.setattr("worker.process.code_version", lambda: own)
    assert later_versions(["0.1.0", asked_with]) == [asked_with] * later


def test_a_job_of_a_later_version_is_left_to_a_worker_that_knows_it(make_slide, alice, model, caplog):
    job = detection_request(slide=make_slide(), by=alice)
    Job.objects.filter(pk=job.pk).update(asked_with="99.0.0")
    detect(shard_pk=job.shards.get().pk)
    job.refresh_from_db()
    assert job.state == State.PENDING
    assert "is asked for by version 99.0.0" in caplog.text and "update it" in caplog.text
