"""The life of a job: claims, leases, cancel, retry, watch. On a real database, with real concurrency."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone

from webapp.annotations.services import RunStamp, detection_request, run_save
from webapp.core.errors import DomainError, TooMany
from webapp.jobs import dispatch, services
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import (
    READER_JOBS,
    JobStopped,
    job_cancel,
    job_create,
    job_is_complete,
    job_retry,
    jobs_forget_messages,
    jobs_watch,
    shard_begin,
    shard_claim,
    shard_claim_next,
    shard_fail,
    shard_finish,
    shard_progress,
)
from webapp.jobs.states import ENDED, MOVES, OPEN, State
from webapp.jobs.stored import MineParameters, ShardFacts
from webapp.jobs.templatetags.durations import duration


@pytest.fixture
def sent(monkeypatch):
    """Keys of the shards whose messages were sent."""
    keys: list[int] = []

    def send(shard: Shard) -> bool:
        keys.append(shard.pk)
        return True

    for module in (services, dispatch):
        monkeypatch.setattr(module, "send", send)
        monkeypatch.setattr(module, "messages_waiting", lambda kind: len(keys) if kind == Job.Kind.DETECT else 0)
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
    assert Job.objects.get().progress == {"done": 3, "total": 9, "skipped": 2, "shards_done": 0, "shards_total": 3}


def test_the_job_is_complete_with_its_last_shard_and_merged_once(job, model):
    for shard in shards(job):
        assert not job_is_complete(job_pk=job.pk)
        shard_finish(shard=shard_claim(shard_pk=shard.pk, worker="a"))
    assert job_is_complete(job_pk=job.pk)
    stamp = RunStamp(
        model=model, model_sha256="0", parameters={}, mpp_x=0.25, mpp_y=0.25, code_version="",
        device="", precision="", windows_total=0, windows_skipped=0,
    )  # fmt: skip
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


def test_the_watch_sends_a_message_for_each_piece_of_work_that_has_none(job, sent):
    waiting, dead, fine = shards(job)
    expire(shard_claim(shard_pk=dead.pk, worker="dead"))
    shard_claim(shard_pk=fine.pk, worker="alive")
    assert jobs_watch() == 2
    assert sent == [waiting.pk, dead.pk]
    assert jobs_watch() == 0, "there are as many messages as there is work"
    sent.pop(0)
    assert jobs_watch() == 1, "one was lost"


def test_a_job_of_which_only_the_merge_is_missing_is_brought_back_when_the_merger_is_dead(job, sent):
    for shard in shards(job):
        shard_finish(shard=shard_claim(shard_pk=shard.pk, worker="a"))
    assert jobs_watch() == 0, "who finished the last shard is merging"
    Shard.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert jobs_watch() == 1
    assert sent == [shards(job)[0].pk]
    sent.clear()
    assert jobs_watch() == 0, "somebody has been asked to merge a moment ago"


def test_a_broker_that_holds_as_many_messages_as_it_may_gets_no_more(make_slide, sent, monkeypatch):
    monkeypatch.setattr(services, "MESSAGES_PER_QUEUE", 2)
    job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None, shards=5)
    assert jobs_watch() == 2


def test_after_a_fresh_start_everything_is_free_at_once(job, sent):
    shard = shard_claim(shard_pk=shards(job)[0].pk, worker="killed with the machine")
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


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock: hours from the true time."""
    true = timezone.now

    def set_to(hours: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: true() + timedelta(hours=hours))

    return set_to


def test_a_clock_that_jumps_ahead_costs_work_and_no_result(job, sent, clock):
    first = shard_claim(shard_pk=shards(job)[0].pk, worker="was faster")
    clock(1)
    assert jobs_watch() == 3, "its lease has ended, as far as anybody can tell"
    second = shard_claim(shard_pk=first.pk, worker="came after")
    shard_finish(shard=second, result=b"once")
    for late in (lambda: shard_progress(shard=first), lambda: shard_finish(shard=first, result=b"twice")):
        with pytest.raises(JobStopped):
            late()
    assert bytes(Shard.objects.get(pk=first.pk).result) == b"once"


def test_a_clock_that_is_set_back_does_not_hide_a_dead_worker(job, sent, clock):
    clock(1)
    dead = shard_claim(shard_pk=shards(job)[0].pk, worker="dead")
    alive = shard_claim(shard_pk=shards(job)[1].pk, worker="alive")
    clock(0)
    jobs_watch()
    assert shard_claim(shard_pk=dead.pk, worker="impatient") is None
    clock(121 / 3600)
    shard_progress(shard=alive)
    assert shard_claim(shard_pk=dead.pk, worker="new") is not None
    assert shard_claim(shard_pk=alive.pk, worker="new") is None


def test_a_broker_that_is_away_costs_nothing_but_time(
    make_slide, settings, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(dispatch, "app", Celery("away", broker="redis://127.0.0.1:1/0"))
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with django_capture_on_commit_callbacks(execute=True):
        job = job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None)
    assert job.shards.get().state == State.PENDING
    assert jobs_watch() == 0


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


def names_in_turn(kind=Job.Kind.DETECT) -> list[str]:
    """Slides in the order in which workers take them."""
    order = []
    while shard := shard_claim_next(kind=kind, worker="w"):
        order.append(shard.job.slide.name)
    return order


def ask(make_slide, name, by, **options):
    return job_create(kind=Job.Kind.DETECT, slide=make_slide(name=name), by=by, **options)


def test_a_readers_slide_goes_before_a_bulk_run_and_positions_say_so(make_slide, alice, bob):
    bulk = [ask(make_slide, f"bulk{i}", alice) for i in range(READER_JOBS + 3)]
    urgent = ask(make_slide, "urgent", bob)
    positions = {job.slide.name: Job.objects.get(pk=job.pk).queue_position for job in [*bulk, urgent]}
    assert positions["urgent"] == 2, "the first of each person, then the second of each"
    assert names_in_turn() == sorted(positions, key=positions.get)
    assert [job.priority for job in bulk[-3:]] == [Job.Priority.BULK] * 3


def test_two_bulk_runs_take_turns(make_slide, alice, bob, monkeypatch):
    monkeypatch.setattr(services, "READER_JOBS", 0)
    for i in range(4):
        ask(make_slide, f"a{i}", alice)
    for i in range(2):
        ask(make_slide, f"b{i}", bob)
    assert names_in_turn() == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_who_asks_later_does_not_wait_for_rounds_that_are_over(make_slide, alice, bob):
    for i in range(4):
        ask(make_slide, f"a{i}", alice)
    for _ in range(2):
        shard_claim_next(kind=Job.Kind.DETECT, worker="w")
    ask(make_slide, "b", bob)
    assert names_in_turn() == ["a2", "b", "a3"]


def test_asking_for_a_slide_that_waits_in_a_bulk_run_moves_it_to_the_front(make_slide, model, alice, bob, monkeypatch):
    monkeypatch.setattr(services, "READER_JOBS", 0)
    for i in range(3):
        ask(make_slide, f"a{i}", alice)
    slide = make_slide(name="wanted")
    waiting = detection_request(slide=slide, by=alice)
    assert waiting.queue_position == 4
    assert detection_request(slide=slide, by=bob) == waiting
    assert Job.objects.get(pk=waiting.pk).queue_position == 1
    with pytest.raises(DomainError, match="under way"):
        detection_request(slide=slide, by=bob)


def test_one_person_may_have_so_many_jobs_waiting_and_no_more(make_slide, settings, alice, bob):
    settings.JOBS_PER_USER = 2
    jobs = [ask(make_slide, f"a{i}", alice) for i in range(2)]
    with pytest.raises(TooMany, match="2 jobs"):
        ask(make_slide, "one too many", alice)
    ask(make_slide, "b", bob)
    shard_claim(shard_pk=jobs[0].shards.get().pk, worker="w")
    ask(make_slide, "again", alice)
    for _ in range(3):
        job_create(kind=Job.Kind.INGEST, slide=make_slide(), by=alice)


def test_a_job_about_no_one_slide_lives_the_same_life_and_is_seen_by_who_asked(alice, bob, root):
    job = job_create(kind=Job.Kind.DETECT, by=alice, parameters=MineParameters(slides=("x", "y")), shards=2)
    assert [Job.objects.visible_to(user).count() for user in (alice, bob, root)] == [1, 0, 1]
    shard = shard_claim_next(kind=Job.Kind.DETECT, worker="w")
    shard_fail(shard=shard, error="No.")
    job.refresh_from_db()
    assert job_retry(job=job).state == State.PENDING
    assert job_cancel(job=job).state == State.CANCELLED


def test_progress_says_shards_windows_workers_devices_and_the_time_that_is_left(make_slide):
    job = ask(make_slide, "s", None, shards=3)
    first, second = (shard_claim_next(kind=Job.Kind.DETECT, worker=name) for name in ("host/1", "host/2"))
    shard_begin(shard=first, facts=ShardFacts(device="NVIDIA H100", precision="bf16"))
    shard_progress(shard=first, done=30, total=50, skipped=10)
    shard_progress(shard=second, done=20, total=60, skipped=0)
    Shard.objects.filter(job=job).update(started_at=timezone.now() - timedelta(seconds=10))
    job = Job.objects.get(pk=job.pk)
    assert job.progress == {"done": 50, "total": 110, "skipped": 10, "shards_done": 0, "shards_total": 3}
    assert job.workers == ["host/1, NVIDIA H100, bf16", "host/2"]
    # 4 windows a second together; 60 are left of the two, and the third is taken to have (40 + 60) / 2
    assert job.seconds_left == pytest.approx((60 + 50) / 4, rel=0.02)
    shard_finish(shard=first)
    assert Job.objects.get(pk=job.pk).progress["shards_done"] == 1


def test_queue_positions_count_what_came_before(make_slide):
    jobs = [job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=None) for _ in range(3)]
    assert [job.queue_position for job in jobs] == [1, 2, 3]
    shard_claim(shard_pk=jobs[0].shards.get().pk, worker="a")
    assert [Job.objects.get(pk=job.pk).queue_position for job in jobs] == [None, 1, 2]


def test_a_time_that_is_left_is_said_in_what_one_waits_in_rounded_up():
    said = [duration(seconds) for seconds in (0.2, 40, 119.5, 121, 7199, 7500)]
    assert said == ["1 s", "40 s", "2 min", "3 min", "2 h 0 min", "2 h 5 min"]
