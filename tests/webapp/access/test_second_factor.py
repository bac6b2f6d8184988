"""Second factors: asked for after the password, used once, limited, demanded of whom the setting names."""

from __future__ import annotations

import time

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.recorded import recorded
from webapp.access.models import Passkey, ProviderIdentity
from webapp.access.second_factor import app_begin, recovery_codes_left, recovery_codes_make
from webapp.access.services import token_make
from webapp.audit.models import Action


def code_of(device, steps=0):
    """What the app shows, or will show so many half minutes later."""
    totp = TOTP(device.bin_key)
    totp.time = time.time() + 30 * steps
    return f"{totp.token():06d}"


@pytest.fixture
def app(alice):
    device = app_begin(user=alice)
    device.confirmed = True
    device.save()
    return device


def half_in(name="alice"):
    """Who has given the password."""
    browser = Client()
    answer = browser.post("/login/", {"username": name, "password": "pw", "next": "/slides/"})
    assert answer.status_code == 302
    return browser, answer["Location"]


def is_in(browser):
    return browser.get("/slides/").status_code == 200


def test_after_the_password_a_code_of_the_app_is_asked_for_and_serves_once(app):
    browser, where = half_in()
    assert where == "/login/second/" and not is_in(browser)
    assert "Wrong code" in browser.post(where, {"code": "000000"}).content.decode()
    code = code_of(app)
    assert browser.post(where, {"code": f"{code[:3]} {code[3:]}"})["Location"] == "/slides/" and is_in(browser)
    assert recorded(Action.SIGNED_IN)[-1] == ("alice", None, {"second factor": "app"})
    other, where = half_in()
    assert other.post(where, {"code": code}).status_code == 403 and not is_in(other)


def test_a_recovery_code_opens_once(alice, app):
    code = recovery_codes_make(user=alice)[0]
    browser, where = half_in()
    assert browser.post(where, {"code": code.upper()}).status_code == 302 and is_in(browser)
    assert recovery_codes_left(alice) == 9
    other, where = half_in()
    other.post(where, {"code": code})
    assert not is_in(other)


def test_codes_are_not_guessed(app):
    browser, where = half_in()
    for guess in range(6):
        answer = browser.post(where, {"code": f"{guess:06d}"})
    assert "Too many wrong" in answer.content.decode() and len(recorded(Action.SIGN_IN_FAILED)) == 5
    browser.post(where, {"code": code_of(app)})
    assert not is_in(browser)
    assert Client().post("/login/", {"username": "alice", "password": "pw"}).status_code == 200  # nor from the start


def test_a_new_password_ends_the_way_in(alice, app):
    browser, where = half_in()
    alice.set_password("another one 7")
    alice.save()
    assert browser.post(where, {"code": code_of(app)})["Location"] == "/login/" and not is_in(browser)


def test_who_must_have_one_sets_it_up_on_the_way_in(settings, root):
    opened = Client()
    opened.force_login(root)
    assert is_in(opened)
    settings.SECOND_FACTOR = "administrators"
    assert not is_in(opened)  # a session from before lacks it
    assert opened.get("/api/v1/slides/").status_code == 401
    assert opened.get("/api/v1/slides/7d1d94f2-5b9a-4be9-9c2c-2b9d0a7e6c11/tiles_files/0/0_0.jpeg").status_code == 401
    browser, where = half_in("root")
    assert browser.get(where)["Location"] == "/second-factor/"
    page = browser.get("/second-factor/").content.decode()
    assert "needs a second factor" in page and not is_in(browser)
    assert "QR code" in browser.post("/second-factor/", {"do": "app"}).content.decode()
    device = TOTPDevice.objects.get(user=root)
    wrong = browser.post("/second-factor/", {"do": "app-code", "code": "1"}).content.decode()
    assert "not the code of the app" in wrong and "QR code" in wrong
    done = browser.post("/second-factor/", {"do": "app-code", "code": code_of(device)}).content.decode()
    assert "Keep these recovery codes" in done and 'href="/slides/"' in done and is_in(browser)
    browser.post("/second-factor/", {"do": "remove", "which": "app"})
    assert TOTPDevice.objects.filter(user=root).exists()  # the last one stays


@pytest.mark.parametrize(("whom", "asked"), [("optional", False), ("administrators", False), ("everybody", True)])
def test_readers_are_asked_where_everybody_is(settings, alice, whom, asked):
    settings.SECOND_FACTOR = whom
    browser, where = half_in()
    assert (where == "/login/second/") is asked is not is_in(browser)


def test_factors_are_changed_after_the_password_alone(alice, app):
    browser = Client()
    browser.force_login(alice)
    assert "Your password first" in browser.get("/second-factor/").content.decode()
    for do in ("remove", "app", "codes", "passkey"):
        assert "Enter your password first" in browser.post("/second-factor/", {"do": do}).content.decode()
    assert browser.post("/second-factor/passkey/").status_code == 403
    assert "Wrong password" in browser.post("/second-factor/", {"do": "password", "password": "x"}).content.decode()
    browser.post("/second-factor/", {"do": "password", "password": "pw"})
    recovery_codes_make(user=alice)
    browser.post("/second-factor/", {"do": "remove", "which": "app"})
    assert not TOTPDevice.objects.exists() and recovery_codes_left(alice) == 0
    assert len(recorded(Action.SECOND_FACTOR)) == 2
    assert browser.post("/second-factor/", {"do": "codes"}).status_code == 409  # of nothing there are none
    assert recovery_codes_left(alice) == 0


def test_another_phone_takes_the_place_of_the_first(alice, app):
    browser = Client()
    browser.force_login(alice)
    browser.post("/second-factor/", {"do": "password", "password": "pw"})
    browser.post("/second-factor/", {"do": "app"})
    assert TOTPDevice.objects.filter(confirmed=True).get() == app  # until the new one has shown a code
    new = TOTPDevice.objects.get(confirmed=False)
    browser.post("/second-factor/", {"do": "app-code", "code": code_of(new)})
    assert TOTPDevice.objects.get() == new


@pytest.mark.parametrize(
    "answer", ["", "{", "[]", '{"id": 1}', '{"id": "a", "rawId": "a", "type": "x", "response": {}}']
)
def test_what_is_no_passkey_is_refused(alice, answer):
    browser = Client()
    browser.post("/login/passkey/asked/", HTTP_HOST="localhost")
    browser.post("/login/passkey/", {"answer": answer}, HTTP_HOST="localhost")
    assert not is_in(browser)


def test_strangers_do_not_grow_the_record_with_passkeys(db):
    for _ in range(60):
        Client().post("/login/passkey/", {"answer": "x"})
    assert len(recorded(Action.SIGN_IN_FAILED)) == 50


def test_passkeys_need_a_name_of_the_host(db):
    assert "Sign in with a passkey" not in Client().get("/login/", HTTP_HOST="127.0.0.1").content.decode()
    assert "Sign in with a passkey" in Client().get("/login/", HTTP_HOST="localhost").content.decode()


def test_who_has_lost_everything_is_let_in_by_an_administrator(alice, root, app):
    Passkey.objects.create(user=alice, name="gone", credential="c", public_key=b"")
    recovery_codes_make(user=alice)
    call_command("remove_second_factor", "alice")
    assert not alice.passkeys.exists() and recovery_codes_left(alice) == 0
    browser, where = half_in()
    assert where == "/slides/" and is_in(browser)
    with pytest.raises(CommandError, match="no account called nobody"):
        call_command("remove_second_factor", "nobody")
    app_begin(user=alice)
    TOTPDevice.objects.update(confirmed=True)
    admin = Client()
    admin.force_login(root)
    admin.post("/admin/auth/user/", {"action": "take_factors_away", "_selected_action": alice.pk})
    assert not TOTPDevice.objects.exists()


def test_a_token_lets_nobody_in_without_the_factor_that_they_must_have(settings, alice, app):
    token = {"Authorization": f"Token {token_make(user=alice)}"}
    tile = "/api/v1/slides/7d1d94f2-5b9a-4be9-9c2c-2b9d0a7e6c11/tiles_files/0/0_0.jpeg"
    settings.SECOND_FACTOR = "everybody"
    assert Client().get("/api/v1/slides/", headers=token).status_code == 200
    app.delete()
    for address in ("/api/v1/slides/", tile):
        answer = Client().get(address, headers=token)
        assert (answer.status_code, "set one up" in answer.json()["detail"]) == (401, True)
    ProviderIdentity.objects.create(user=alice, issuer="https://id.example.org", subject="1")
    assert Client().get("/api/v1/slides/", headers=token).status_code == 200
