"""The life of a job: claims, leases, cancel, retry, watch. On a real database, with real concurrency."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone

from webapp.annotations.services import detection_request, run_save
from webapp.errors import DomainError
from webapp.jobs import dispatch, services
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import (
    JobStopped,
    job_cancel,
    job_create,
    job_is_complete,
    job_retry,
    jobs_forget_messages,
    jobs_watch,
    shard_claim,
    shard_fail,
    shard_finish,
    shard_progress,
)
from webapp.jobs.states import ENDED, MOVES, OPEN, State


@pytest.fixture
def sent(monkeypatch):
    """Keys of the shards whose messages were sent."""
    keys: list[int] = []

    def send(shard: Shard) -> None:
        keys.append(shard.pk)
        Shard.objects.filter(pk=shard.pk).update(sent_at=timezone.now())

    monkeypatch.setattr(services, "send", send)
    monkeypatch.setattr(dispatch, "send", send)
    return keys


@pytest.fixture
def job(make_slide):
    return job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None, shards=3)


def shards(job):
    return list(job.shards.all())


def expire(shard):
    Shard.objects.filter(pk=shard.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_every_state_is_in_the_table_and_ended_means_no_way_on_but_retry():
    assert set(MOVES) == set(State) == {*OPEN, *ENDED}
    assert all(MOVES[state] <= {State.PENDING} for state in ENDED)


def test_a_second_delivery_finds_the_shard_claimed(job):
    first = shard_claim(shard_pk=shards(job)[0].pk, worker="a")
    assert first is not None
    assert first.job.state == State.RUNNING
    assert shard_claim(shard_pk=first.pk, worker="b") is None


def test_a_lost_lease_can_be_claimed_and_the_dead_worker_can_write_no_more(job):
    dead = shard_claim(shard_pk=shards(job)[0].pk, worker="dead")
    expire(dead)
    alive = shard_claim(shard_pk=dead.pk, worker="alive")
    assert alive.attempt == 2
    for call in (lambda: shard_progress(shard=dead, done=1, total=2), lambda: shard_finish(shard=dead, result=b"old")):
        with pytest.raises(JobStopped):
            call()
    shard_fail(shard=dead, error="the dead do not fail others")
    shard_finish(shard=alive, result=b"new")
    assert bytes(Shard.objects.get(pk=dead.pk).result) == b"new"
    assert Job.objects.get().state == State.RUNNING


def test_progress_renews_the_lease(job):
    shard = shard_claim(shard_pk=shards(job)[0].pk, worker="a")
    expire(shard)
    shard_progress(shard=shard, done=3, total=9, skipped=2)
    assert Shard.objects.get(pk=shard.pk).lease_until > timezone.now()
    assert Job.objects.get().progress == {"done": 3, "total": 9, "skipped": 2}


def test_the_job_is_complete_with_its_last_shard_and_merged_once(job, model):
    for shard in shards(job):
        assert not job_is_complete(job_pk=job.pk)
        shard_finish(shard=shard_claim(shard_pk=shard.pk, worker="a"))
    assert job_is_complete(job_pk=job.pk)
    stamp = {
        "model": model, "model_sha256": "0", "parameters": {}, "mpp_x": 0.25, "mpp_y": 0.25, "code_version": "",
        "device": "", "precision": "", "windows_total": 0, "windows_skipped": 0,
    }  # fmt: skip
    run = run_save(job=job, stamp=stamp, candidates=[(1, 2, 0.5)])
    with pytest.raises(JobStopped):
        run_save(job=job, stamp=stamp, candidates=[(3, 4, 0.6)])
    assert [c.x for c in run.candidates.all()] == [1]
    assert job.slide.runs.count() == 1
    assert not job_is_complete(job_pk=job.pk)


def test_a_cancelled_job_stops_its_workers_and_is_not_merged(job):
    shard = shard_claim(shard_pk=shards(job)[0].pk, worker="a")
    assert job_cancel(job=job).state == State.CANCELLED
    with pytest.raises(JobStopped):
        shard_progress(shard=shard, done=1, total=2)
    assert shard_claim(shard_pk=shards(job)[1].pk, worker="b") is None
    with pytest.raises(DomainError):
        job_cancel(job=job)


def test_retry_sends_only_what_is_missing(job, sent, django_capture_on_commit_callbacks):
    done, broken, _ = shards(job)
    shard_finish(shard=shard_claim(shard_pk=done.pk, worker="a"), result=b"kept")
    shard_fail(shard=shard_claim(shard_pk=broken.pk, worker="a"), error="No.", traceback="Traceback ...")
    job.refresh_from_db()
    assert (job.state, job.error, job.traceback) == (State.FAILED, "No.", "Traceback ...")
    with django_capture_on_commit_callbacks(execute=True):
        job_retry(job=job)
    jobs_watch()
    states = [shard.state for shard in shards(job)]
    assert states == [State.SUCCEEDED, State.PENDING, State.PENDING]
    assert sorted(sent) == [shard.pk for shard in shards(job)[1:]]
    with pytest.raises(DomainError):
        job_retry(job=job)


def test_the_same_work_is_not_under_way_twice(make_slide, model, alice):
    slide = make_slide()
    first = detection_request(slide=slide, by=alice)
    with pytest.raises(DomainError, match="under way"):
        detection_request(slide=slide, by=alice)
    job_cancel(job=first)
    second = detection_request(slide=slide, by=alice)
    with pytest.raises(DomainError, match="under way"):
        job_retry(job=first)
    second.refresh_from_db()
    assert second.state == State.PENDING


def test_the_watch_brings_back_lost_workers_lost_messages_and_lost_merges(job, sent):
    waiting, dead, fine = shards(job)
    old = timezone.now() - timedelta(hours=1)
    Shard.objects.update(sent_at=old)
    expire(shard_claim(shard_pk=dead.pk, worker="dead"))
    shard_claim(shard_pk=fine.pk, worker="alive")
    assert jobs_watch() == 2
    assert sent == [waiting.pk, dead.pk]
    assert jobs_watch() == 0, "what was sent a moment ago is not sent again"

    for shard in (waiting, dead):
        shard_finish(shard=shard_claim(shard_pk=shard.pk, worker="b"))
    expire(fine)
    shard_finish(shard=shard_claim(shard_pk=fine.pk, worker="b"))
    Shard.objects.update(sent_at=old)
    sent.clear()
    assert jobs_watch() == 1, "all shards are done and nobody merged"
    assert sent == [waiting.pk]


def test_after_a_fresh_start_everything_is_sent_at_once(job, sent):
    shard = shard_claim(shard_pk=shards(job)[0].pk, worker="killed with the machine")
    Shard.objects.update(sent_at=timezone.now())
    jobs_forget_messages()
    assert jobs_watch() == 3
    assert shard_claim(shard_pk=shard.pk, worker="new") is not None


def test_a_shard_that_kills_every_worker_ends_its_job_with_a_sentence(job, sent):
    for _ in range(services.MAX_ATTEMPTS):
        expire(shard_claim(shard_pk=shards(job)[0].pk, worker="w"))
    jobs_watch()
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert "died" in job.error


def test_a_broker_that_is_away_costs_nothing_but_time(make_slide, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(dispatch, "app", Celery("away", broker="redis://127.0.0.1:1/0"))
    with django_capture_on_commit_callbacks(execute=True):
        job = job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None)
    assert job.shards.get().sent_at is None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_at_once_one_gets_the_shard(make_slide):
    shard = job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None).shards.get()
    start = threading.Barrier(8)
    claims = []

    def work(name: str) -> None:
        start.wait()
        try:
            claims.append(shard_claim(shard_pk=shard.pk, worker=name))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 8
    assert sum(claim is not None for claim in claims) == 1


def test_queue_positions_count_what_came_before(make_slide):
    jobs = [job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None) for _ in range(3)]
    assert [job.queue_position for job in jobs] == [1, 2, 3]
    shard_claim(shard_pk=jobs[0].shards.get().pk, worker="a")
    assert [Job.objects.get(pk=job.pk).queue_position for job in jobs] == [None, 1, 2]
