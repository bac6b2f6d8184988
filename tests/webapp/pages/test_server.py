"""The page of settings and storage, for administrators."""

from __future__ import annotations

import re

from webapp.core import environment


def test_settings_are_shown_with_their_origin_and_secrets_never(client_of, root, alice, monkeypatch, settings):
    monkeypatch.setitem(environment._asked, "PORT", "8123")
    monkeypatch.setitem(environment._origins, "PORT", "environment")
    monkeypatch.setitem(environment._origins, "SECRET_KEY", "file /run/secrets/key")
    page = client_of(root).get("/server/").content.decode()
    rows = {re.search(r">(\w+)</span>", row)[1]: row for row in page.split("<tr>") if '<td><span class="mono">' in row}
    assert "8123" in rows["PORT"] and "environment" in rows["PORT"]
    assert "not shown" in rows["SECRET_KEY"] and "/run/secrets/key" in rows["SECRET_KEY"]
    assert settings.SECRET_KEY not in page
    assert "the largest file" in rows["MAX_UPLOAD_GB"] and "default" in rows["MAX_UPLOAD_GB"]
    assert client_of(alice).get("/server/").status_code == 403


def test_what_studies_and_people_take_is_summed(client_of, root, alice, make_slide):
    make_slide(uploaded_by=alice, bytes=3 << 20)
    make_slide(uploaded_by=alice, bytes=5 << 20)
    make_slide(uploaded_by=alice, bytes=9 << 20, state="refused")
    page = client_of(root).get("/server/").content.decode().replace("\xa0", " ")
    assert page.count("8.0 MB") == 2 and "alice" in page
