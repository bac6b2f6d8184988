"""What is slow and what is stuck is said; figures for Prometheus are for staff; logs carry ids."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.utils import timezone
from knox.models import AuthToken
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rest_framework.test import APIClient

from webapp.core.logs import About, JsonFormatter, PlainFormatter, log_about
from webapp.jobs.health import health_of_jobs
from webapp.jobs.heartbeat import REAPER, heartbeat_send
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import job_create, shard_claim, shard_finish, shard_progress
from webapp.jobs.stored import ShardFacts


@pytest.fixture(autouse=True)
def nobody(settings):
    """Nobody has said that they are there."""
    with Redis.from_url(settings.REDIS_URL) as redis:
        for key in redis.scan_iter("mitoscope:here:*"):
            redis.delete(key)


@pytest.fixture
def here(nobody):
    """The reaper and one detecting worker say that they are there."""
    heartbeat_send(name=REAPER, facts={"queues": []})
    heartbeat_send(name="host/1", facts={"queues": ["detect"], "device": "cpu", "precision": "bf16", "memory_mb": 900})


@pytest.fixture
def shard(make_slide):
    """A running shard of a detection, half done."""
    job = job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None)
    shard = shard_claim(shard_pk=job.shards.get().pk, worker="host/1")
    shard_progress(shard=shard, done=50, total=100, skipped=10)
    return shard


def test_all_well_says_nothing(here, shard):
    health = health_of_jobs()
    assert (health.stuck, health.slow) == ([], [])
    assert [(queue.kind, queue.running, queue.workers) for queue in health.queues] == [
        ("ingest", 0, 0), ("detect", 1, 1), ("mine", 0, 0), ("train", 0, 0), ("judge", 0, 0),
        ("calibrate", 0, 0),
    ]  # fmt: skip


def test_work_that_no_worker_takes_and_a_missing_watch_are_said(make_slide, db):
    job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None)
    stuck = " ".join(health_of_jobs().stuck)
    assert "No worker takes the 1 detection job waiting" in stuck
    assert "No reaper of lost jobs is running" in stuck


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lease_until": timedelta(seconds=-1)}, "whose worker has died"),
        ({"progressed_at": timedelta(minutes=-6)}, "without progress for 5 minutes"),
        ({"attempt": 3}, "third attempt"),
    ],
)
def test_what_is_stuck_is_said_without_names(here, shard, fields, words, client):
    now = timezone.now()
    Shard.objects.update(**{k: now + v if isinstance(v, timedelta) else v for k, v in fields.items()})
    stuck = client.get("/api/v1/health/").json()["jobs"]["stuck"]
    assert len(stuck) == 1
    assert words in stuck[0]
    assert "host" not in stuck[0]


def test_a_shard_far_slower_than_its_device_was_today_is_said(here, make_slide, shard):
    facts = ShardFacts(device="cpu", precision="bf16", seconds=10)
    for _ in range(3):
        other = job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None).shards.get()
        done = shard_claim(shard_pk=other.pk, worker="host/1")
        shard_progress(shard=done, done=100, total=100)
        shard_finish(shard=done, facts=facts)
    Shard.objects.filter(pk=shard.pk).update(facts=facts.to_json(), started_at=timezone.now() - timedelta(seconds=90))
    assert "less than half as fast" in health_of_jobs().slow[0], "40 windows in 90 s, others 10 a second"
    Shard.objects.filter(pk=shard.pk).update(units_done=910)
    assert health_of_jobs().slow == []


def test_a_person_who_waits_too_long_is_said(here, make_slide, alice):
    job = job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=alice)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=31))
    (sentence,) = health_of_jobs().slow
    assert "waited 31 minutes for a detection, and 1 job in all" in sentence


def test_the_health_page_is_for_staff(here, shard, client_of, root, alice):
    page = client_of(root).get("/health/").content.decode()
    assert "healthy" in page
    assert "host/1" in page
    assert client_of(alice).get("/health/").status_code == 403


def test_metrics_are_for_staff_and_in_the_format_of_prometheus(here, shard, client_of, root, alice, client):
    assert client.get("/metrics").status_code == 401
    assert client_of(alice).get("/metrics").status_code == 403
    _, token = AuthToken.objects.create(root)
    text = APIClient().get("/metrics", headers={"Authorization": f"Token {token}"}).content.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    for name, labels, value in [
        ("mitoscope_jobs_running", {"kind": "detect"}, 1),
        ("mitoscope_workers", {"kind": "detect"}, 1),
        ("mitoscope_worker_memory_bytes", {"worker": "host/1", "device": "cpu"}, 943_718_400),
    ]:
        assert [one.value for one in samples if (one.name, one.labels) == (name, labels)] == [value]
    for line in text.splitlines():
        name, value = line.rsplit(" ", 1)
        assert line.startswith("# ") or (name.startswith("mitoscope_") and float(value) >= 0)


def test_each_line_of_the_log_carries_the_ids_of_what_it_is_about():
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "took %d s", (3,), None)
    record.ms = 3000
    with log_about(request="r1"), log_about(job="j1"):
        About().filter(record)
    line = json.loads(JsonFormatter().format(record))
    assert line.items() >= {"message": "took 3 s", "request": "r1", "job": "j1", "ms": 3000}.items()
    assert "name" not in line
    assert PlainFormatter().format(record).endswith("took 3 s [request=r1 job=j1]")


def test_an_answer_carries_the_id_of_its_request_and_so_does_the_log(client_of, alice, make_slide, model, caplog):
    slide = make_slide()
    caplog.handler.addFilter(About())
    with caplog.at_level(logging.INFO):
        answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/detections/", headers={"X-Request-ID": "from-proxy"})
    assert answer.headers["X-Request-ID"] == "from-proxy"
    asked = next(record for record in caplog.records if "requested" in record.message)
    assert asked.about == {"request": "from-proxy", "job": answer.json()["id"]}
    assert any("POST" in record.message and "202" in record.message for record in caplog.records)
    forged = client_of(alice).get("/api/v1/slides/", headers={"X-Request-ID": "a b\tc"})
    assert forged.headers["X-Request-ID"] != "a b\tc"
