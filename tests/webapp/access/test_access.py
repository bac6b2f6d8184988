"""How programs come in: tokens, calls sent twice, limits, one form of errors."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from webapp.access.models import Answer
from webapp.access.throttle import _Reservations
from webapp.core.redis import ask_again, ask_redis
from webapp.jobs.models import Job


@pytest.fixture
def slide(model, make_slide):
    return make_slide()


def calls(client, slide, key, body=None, path="detections"):
    return client.post(
        f"/api/v1/slides/{slide.pk}/{path}/", body or {}, format="json", headers={"Idempotency-Key": key}
    )


def with_token(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def test_a_person_makes_a_token_sees_it_once_and_revokes_it(client_of, alice, slide):
    page = client_of(alice).post("/tokens/", {"days": "30"})
    token = page.context["made"]
    assert token in page.content.decode() and "no-store" in page["Cache-Control"]
    kept = AuthToken.objects.get()
    assert token not in (kept.digest, kept.token_key)
    assert kept.expiry - timezone.now() == pytest.approx(timedelta(days=30), abs=timedelta(minutes=1))
    assert with_token(token).get("/api/v1/slides/").json()["count"] == 1
    later = client_of(alice).get("/tokens/").content.decode()
    assert kept.token_key in later and token not in later
    client_of(alice).post(f"/tokens/{kept.token_key}/revoke/")
    assert with_token(token).get("/api/v1/slides/").status_code == 401


def test_an_expired_token_lets_nobody_in(alice):
    call_command("make_token", "alice", stdout=(out := io.StringIO()))
    token = out.getvalue().strip()
    assert with_token(token).get("/api/v1/slides/").status_code == 200
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert with_token(token).get("/api/v1/slides/").status_code == 401


def test_nobody_revokes_the_token_of_somebody_else(client_of, alice, bob):
    client_of(alice).post("/tokens/", {"days": "90"})
    key = AuthToken.objects.get().token_key
    page = client_of(bob).post(f"/tokens/{key}/revoke/", follow=True)
    assert "revoked or expired already" in page.content.decode()
    assert AuthToken.objects.count() == 1


@pytest.mark.parametrize("days", ["", "x", "36500"])
def test_a_token_lives_no_longer_than_is_offered(client_of, alice, days):
    assert client_of(alice).post("/tokens/", {"days": days}).status_code == 400
    assert not AuthToken.objects.exists()


def test_a_token_does_not_make_tokens(client_of, alice):
    client_of(alice).post("/tokens/", {"days": "90"})
    assert with_token("x").post("/tokens/", {"days": "90"}).status_code == 302


def test_the_same_call_sent_twice_is_done_once(client_of, alice, slide):
    client = client_of(alice)
    first, second = (calls(client, slide, "k1") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_a_key_is_for_one_call_of_one_person(client_of, alice, root, slide):
    assert calls(client_of(alice), slide, "k1", {"mpp": 0.3}, "mpp").status_code == 403
    assert calls(client_of(alice), slide, "k1").status_code == 202  # what was refused is not kept
    answer = calls(client_of(alice), slide, "k1", {"mpp": 0.3}, "mpp")
    assert answer.status_code == 422 and answer["Content-Type"] == "application/problem+json"
    assert calls(client_of(root), slide, "k1").status_code == 409  # her own key: the job is under way
    assert calls(client_of(alice), slide, "x" * 201).status_code == 400


def test_a_replay_is_for_who_may_still_come_in(client_of, alice, slide, study):
    client = client_of(alice)
    calls(client, slide, "k1")
    alice.is_active = False
    alice.save()
    assert calls(client, slide, "k1").status_code == 401


def test_answers_are_forgotten_after_a_day(client_of, alice, slide):
    calls(client_of(alice), slide, "k1")
    Answer.objects.update(at=timezone.now() - timedelta(days=2))
    assert calls(client_of(alice), slide, "k2").status_code == 409
    assert calls(client_of(alice), slide, "k1").status_code == 409


def test_an_upload_begun_twice_is_one_upload(client_of, alice):
    headers = {"Idempotency-Key": "u", "Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    headers["Upload-Metadata"] = "filename cy50aWY="
    first, second = (client_of(alice).post("/api/v1/uploads/", headers=headers) for _ in range(2))
    assert first["Location"] == second["Location"]


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_does_it_and_both_get_the_answer(client_of, alice, slide):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write at a time")
    clients = [client_of(alice), client_of(alice)]

    def call(client):
        try:
            return calls(client, slide, "k1").json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(call, clients))) == 1
    assert Job.objects.count() == 1


def test_too_many_calls_are_told_when_to_come_again(client_of, alice, root, slide, settings):
    settings.CALLS_PER_MINUTE = 3
    for key in ask_redis(lambda redis: redis.keys("calls:*")):  # SQLite gives people of other tests the same keys
        ask_redis(lambda redis, key=key: redis.delete(key))
    answers = [client_of(alice).get("/api/v1/slides/") for _ in range(10)]
    assert answers[0].status_code == 200
    late = answers[-1]  # even where the minute turned over in between
    assert late.status_code == 429
    assert 0 < int(late["Retry-After"]) <= 60
    assert late["Content-Type"] == "application/problem+json"
    assert client_of(root).get("/api/v1/slides/").status_code == 200


def test_without_redis_nobody_is_held_up(client_of, alice, slide, settings):
    settings.CALLS_PER_MINUTE = 1
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    try:
        assert [client_of(alice).get("/api/v1/slides/").status_code for _ in range(3)] == [200] * 3
    finally:
        ask_again()


@pytest.mark.parametrize("header", ["Token \udcff\udcfe", "Token", "Token a b", "Token " + "x" * 64, "Basic eDp5"])
def test_what_is_no_token_is_answered(db, client_of, header):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header.encode("utf-8", "surrogateescape").decode("latin-1"))
    answer = client.get("/api/v1/slides/")
    assert answer.status_code == 401 and answer["Content-Type"] == "application/problem+json"


def test_handfuls_of_calls_are_never_more_than_the_limit(settings):
    settings.CALLS_PER_MINUTE = 5000  # handfuls of five
    processes = [_Reservations(), _Reservations()]
    name = uuid4().hex
    made = sum(processes[number % 2].take(name, 5000, 77) for number in range(5200))
    assert made == 5000
    alone = [processes[0].take(f"{name} too", 5000, 77) for _ in range(12)]
    assert all(alone)
    assert int(ask_redis(lambda redis: redis.get(f"calls:{name} too:77"))) == 15
    others = sum(processes[1].take(f"{name} too", 5000, 77) for _ in range(6000))
    assert others == 5000 - 15
    assert processes[0].take(f"{name} too", 5000, 78)  # the next minute


@pytest.mark.parametrize(("headers", "status"), [({}, 200), ({"Content-Length": "20000"}, 413)])
def test_a_stranger_sends_little(client, headers, status, db):
    body = b"x" * int(headers.get("Content-Length", "10"))
    answer = client.post("/login/", body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == status
