"""Pages of other origins call the API only where a setting says so."""

from __future__ import annotations

import pytest

from webapp.access.services import token_make
from webapp.core.environment import origins

LAB = "https://lab.example.org"


@pytest.fixture
def call(client_of, alice):
    client = client_of(None)
    token = token_make(user=alice)

    def call(method, address, origin=LAB, **headers):
        given = {"Origin": origin, "Authorization": f"Token {token}", **headers}
        return getattr(client, method)(address, headers=given)

    return call


def test_an_origin_that_is_named_may_call_with_a_token(call, settings):
    settings.CORS_ALLOWED_ORIGINS = [LAB]
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,upload-offset"}
    allowed = call("options", "/api/v1/uploads/", **asked)
    assert allowed.status_code == 200
    assert allowed["Access-Control-Allow-Origin"] == LAB
    assert "PATCH" in allowed["Access-Control-Allow-Methods"]
    assert {"authorization", "upload-offset"} <= set(allowed["Access-Control-Allow-Headers"].split(", "))
    answer = call("get", "/api/v1/slides/")
    assert answer["Access-Control-Allow-Origin"] == LAB
    assert "upload-offset" in answer["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer  # no cookies: a page elsewhere is nobody's session


def test_no_other_origin_and_no_page_is_opened(call, settings):
    assert "Access-Control-Allow-Origin" not in call("get", "/api/v1/slides/")
    settings.CORS_ALLOWED_ORIGINS = [LAB]
    assert "Access-Control-Allow-Origin" not in call("get", "/api/v1/slides/", origin="https://evil.example.org")
    assert "Access-Control-Allow-Origin" not in call("get", "/login/")


def test_what_is_no_origin_is_refused_at_the_start(monkeypatch):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", f"{LAB}, http://127.0.0.1:3000")
    assert origins("CORS_ALLOWED_ORIGINS") == [LAB, "http://127.0.0.1:3000"]
    for wrong in ("lab.example.org", "*", f"{LAB}/app"):
        monkeypatch.setenv("CORS_ALLOWED_ORIGINS", wrong)
        with pytest.raises(SystemExit, match="is no origin"):
            origins("CORS_ALLOWED_ORIGINS")
