"""Second factors in a real browser, with an authenticator that it plays: set up, signed in with, taken away."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from typing import Any

import pytest
from django_otp.oath import TOTP

from tests.browser import offences, shoot, sign_in
from webapp.access.models import Passkey


@pytest.fixture
def page(browser: Any, live_server: Any, alice: Any) -> Any:
    """A browser with a fingerprint reader at `localhost`, as passkeys know no address in digits."""
    alice.set_password("a password of hers")
    alice.save()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(15_000)
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.address = live_server.url.replace("127.0.0.1", "localhost")
    yield page
    context.close()


def test_a_passkey_is_added_signs_in_and_is_removed(page, alice):
    sign_in(page, page.address, "alice", "a password of hers")
    page.goto(f"{page.address}/second-factor/")
    page.fill("[name=name]", "reading room")
    page.click("button:has-text('Add a passkey')")
    page.wait_for_selector("h2:has-text('Keep these recovery codes')")
    codes = page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10 and offences(page) == []
    shoot(page, "page-second-factor-codes")
    page.click("button:has-text('Sign out')")

    page.click("button:has-text('Sign in with a passkey')")  # without a name
    page.wait_for_selector("h1:has-text('Worklist')")
    assert Passkey.objects.get().used_at is not None
    page.click("button:has-text('Sign out')")

    page.fill("[name=username]", "alice")
    page.fill("[name=password]", "a password of hers")
    page.click("button:has-text('Sign in'):not(:has-text('passkey'))")
    page.wait_for_selector("h1:has-text('Second factor')")
    assert offences(page) == []
    shoot(page, "page-second-step")
    page.click("button:has-text('Use a passkey')")
    page.wait_for_selector("h1:has-text('Worklist')")

    page.goto(f"{page.address}/second-factor/")
    page.click("button[aria-label='Remove reading room']")
    page.wait_for_selector("text=Removed.")
    page.click("button:has-text('Sign out')")
    page.click("button:has-text('Sign in with a passkey')")
    page.wait_for_selector("text=This passkey is not known here.")


def test_an_app_is_set_up_by_its_key(page):
    sign_in(page, page.address, "alice", "a password of hers")
    page.goto(f"{page.address}/second-factor/")
    page.click("button:has-text('Set up an app')")
    assert page.locator(".qr svg").is_visible() and offences(page) == []
    shoot(page, "page-second-factor-app")
    key = re.sub(r"\s", "", page.locator("p:has-text('Or type the key') .mono").inner_text())
    totp = TOTP(b32decode(key))
    totp.time = time.time()
    page.fill("[name=code]", f"{totp.token():06d}")
    page.click("button:has-text('Confirm')")
    page.wait_for_selector("h2:has-text('Keep these recovery codes')")
    code = page.locator(".codes li").first.inner_text()
    page.click("button:has-text('Sign out')")
    page.fill("[name=username]", "alice")
    page.fill("[name=password]", "a password of hers")
    page.click("button.primary")
    page.fill("[name=code]", code)
    page.click("button:has-text('Go on')")
    page.wait_for_selector("h1:has-text('Worklist')")
