"""Signing in: failures are limited and recorded; a new password ends what was opened with the old one."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from tests.recorded import recorded, take_guards_away
from tests.waiting import wait_for
from webapp.access.services import token_make
from webapp.audit.models import Action, Entry


def sign_in(name="alice", password="wrong", address="192.0.2.1", **more):
    return Client(REMOTE_ADDR=address).post("/login/", {"username": name, "password": password, **more})


def signed_in(**given):
    return sign_in(**given).status_code == 302


def later(minutes):
    """As if what was recorded had been so long ago."""
    take_guards_away()
    for entry in Entry.objects.all():
        Entry.objects.filter(pk=entry.pk).update(at=entry.at - timedelta(minutes=minutes))


def test_after_five_wrong_passwords_not_even_the_right_one_opens(alice):
    for _ in range(4):
        assert "Wrong name or password" in sign_in().content.decode()
    assert "Too many wrong passwords" in sign_in().content.decode()
    refused = sign_in(password="pw")
    assert refused.status_code == 200 and "Try again in 15 minutes" in refused.content.decode()
    assert signed_in(password="pw", address="192.0.2.2")  # the name has four times as many from everywhere
    assert len(recorded(Action.SIGN_IN_FAILED)) == 5 and len(recorded(Action.SIGN_IN_REFUSED)) == 1
    sign_in()
    assert len(recorded(Action.SIGN_IN_REFUSED)) == 1  # once in a while is enough
    later(15)
    assert signed_in(password="pw")


def test_a_name_is_not_guessed_from_many_addresses(alice):
    for number in range(20):
        sign_in(address=f"198.51.100.{number}")
    assert not signed_in(password="pw", address="203.0.113.9")


def test_an_address_does_not_try_many_names(alice):
    for number in range(50):
        sign_in(name=f"person {number}")
    assert not signed_in(password="pw")
    assert signed_in(password="pw", address="203.0.113.9")


def test_a_success_forgets_the_failures_before_it(alice):
    for _ in range(3):
        for _ in range(4):
            sign_in()
        assert signed_in(password="pw")


def test_the_address_is_that_of_the_connection_unless_proxies_are_named(alice, settings):
    for number in range(5):
        sign_in(headers={"X-Forwarded-For": f"198.51.100.{number}"})
    assert not signed_in(password="pw")
    settings.PROXIES = 1
    for number in range(5):
        Client(headers={"X-Forwarded-For": "forged, 203.0.113.7"}).post(
            "/login/", {"username": "alice", "password": str(number)}
        )
    assert not Client(headers={"X-Forwarded-For": "203.0.113.7"}).login(username="alice", password="x")
    assert Entry.objects.filter(action=Action.SIGN_IN_FAILED, origin="203.0.113.7").count() == 5


def test_the_admin_has_the_same_sign_in(client_of, alice, root):
    answer = client_of(None).get("/admin/login/?next=/admin/slides/")
    assert answer["Location"] == "/login/?next=%2Fadmin%2Fslides%2F"
    assert client_of(None).post("/admin/login/", {"username": "root", "password": "pw"}).status_code == 302
    assert not recorded(Action.SIGNED_IN)
    assert client_of(alice).get("/admin/", follow=True).status_code == 403


def test_signing_in_and_out_is_recorded(alice):
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.post("/login/", {"username": "alice", "password": "pw"})
    client.post("/logout/")
    done = Entry.objects.filter(who="alice").order_by("id").values_list("action", "origin")
    assert list(done)[-2:] == [("signed in", "192.0.2.1"), ("signed out", "192.0.2.1")]


def test_a_new_password_ends_other_sessions_and_all_tokens(alice, client_of, make_slide):
    slide = make_slide()
    other, own = Client(), Client()
    for client in (other, own):
        assert client.post("/login/", {"username": "alice", "password": "pw"}).status_code == 302
    token = token_make(user=alice)
    good = "correct horse 7"
    wrong = own.post("/password/", {"old_password": "x", "new_password1": good, "new_password2": good})
    assert wrong.status_code == 200 and AuthToken.objects.exists()
    weak = own.post("/password/", {"old_password": "pw", "new_password1": "abc", "new_password2": "abc"})
    assert "too short" in weak.content.decode()
    changed = own.post("/password/", {"old_password": "pw", "new_password1": good, "new_password2": good}, follow=True)
    assert "Your password is changed" in changed.content.decode()
    assert own.get(f"/slides/{slide.pk}/").status_code == 200
    assert other.get(f"/slides/{slide.pk}/").status_code == 302
    assert other.get(f"/api/v1/slides/{slide.pk}/tiles.dzi").status_code == 401
    assert other.get("/api/v1/slides/", headers={"Authorization": f"Token {token}"}).status_code == 401
    assert recorded(Action.PASSWORD_CHANGED)[-1] == ("alice", None, {"tokens ended": 1})


def test_a_forgotten_password_is_reset_by_mail_where_there_is_mail(alice, client_of, settings):
    nobody = client_of(None)
    assert nobody.get("/password/reset/").status_code == 404
    settings.EMAIL_HOST = "mail.example.org"
    alice.email = "alice@example.org"
    alice.save()
    unknown = nobody.post("/password/reset/", {"email": "stranger@example.org"})
    known = nobody.post("/password/reset/", {"email": "alice@example.org"})
    assert (unknown.status_code, known.status_code) == (302, 302)
    wait_for(lambda: mail.outbox, seconds=10, what="the mail")
    (letter,) = mail.outbox
    address = next(line for line in letter.body.splitlines() if "/password/reset/" in line).split("testserver")[1]
    form = nobody.get(address, follow=True)
    good = "correct horse 7"
    done = nobody.post(form.request["PATH_INFO"], {"new_password1": good, "new_password2": good}, follow=True)
    assert "Your password is set" in done.content.decode()
    assert signed_in(password=good)
    assert "used before" in nobody.get(address, follow=True).content.decode()
    for _ in range(5):
        nobody.post("/password/reset/", {"email": "alice@example.org"})
    wait_for(lambda: len(mail.outbox) == 4, seconds=10, what="as many mails as one may ask for")


def test_a_slow_mail_server_does_not_tell_whether_somebody_has_an_address(alice, client_of, settings, monkeypatch):
    settings.EMAIL_HOST = "mail.example.org"
    alice.email = "alice@example.org"
    alice.save()
    begun, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(mail.EmailMessage, "send", lambda *_: begun.set() or goes_on.wait(30))
    asked = time.monotonic()
    assert client_of(None).post("/password/reset/", {"email": "alice@example.org"}).status_code == 302
    assert begun.wait(30) and time.monotonic() - asked < 20
    goes_on.set()


def test_a_token_has_a_name_and_says_when_it_was_used(alice, client_of, django_capture_on_commit_callbacks):
    page = client_of(alice)
    token = page.post("/tokens/", {"days": "90", "name": "export to the LIS"}).context["made"]
    assert AuthToken.objects.get().use.used_at is None
    with django_capture_on_commit_callbacks(execute=True):
        client_of(None).get("/api/v1/slides/", headers={"Authorization": f"Token {token}"})
    used = AuthToken.objects.get().use.used_at
    assert timezone.now() - used < timedelta(minutes=1)
    shown = page.get("/tokens/").content.decode()
    assert "export to the LIS" in shown and f"{used:%Y-%m-%d %H:%M}" in shown


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b"])
def test_any_name_is_answered(db, name):
    assert sign_in(name=name).status_code in {200, 400}


def test_a_token_is_good_for_many_calls(alice, client_of, django_capture_on_commit_callbacks):
    token = token_make(user=alice)
    for _ in range(3):
        with django_capture_on_commit_callbacks(execute=True):
            answer = client_of(None).get("/api/v1/slides/", headers={"Authorization": f"Token {token}"})
        assert answer.status_code == 200


def test_guesses_of_ones_old_password_are_counted_as_those_of_the_sign_in(alice, client_of):
    page, good = client_of(alice), "correct horse 7"
    for _ in range(5):
        page.post("/password/", {"old_password": "x", "new_password1": good, "new_password2": good})
    page.post("/password/", {"old_password": "pw", "new_password1": good, "new_password2": good})
    alice.refresh_from_db()
    assert alice.check_password("pw") and len(recorded(Action.SIGN_IN_FAILED)) == 5


def test_a_new_password_lifts_the_limit_of_a_name(alice):
    for _ in range(5):
        sign_in()
    assert not signed_in(password="pw")
    alice.set_password("correct horse 7")
    alice.save()
    assert signed_in(password="correct horse 7")


def test_a_stranger_does_not_grow_the_table_without_end(db):
    for number in range(60):
        sign_in(name=f"person {number}")
    assert (len(recorded(Action.SIGN_IN_FAILED)), len(recorded(Action.SIGN_IN_REFUSED))) == (50, 1)
