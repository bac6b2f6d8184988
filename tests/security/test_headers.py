"""What every page says to the browser, and that no script and no style stands in it."""

from __future__ import annotations

import re

from django.test import Client

from tests.security.rules import RULES
from tests.security.test_matrix import address_of

INLINE = re.compile(
    r"""<style|\sstyle=|\son\w+=["']|javascript:|<script(?![^>]*(src=|type="application/json"))""", re.I
)


def test_no_page_holds_a_script_or_a_style_and_each_is_guarded(people, rows):
    client, wrong, pages = Client(), [], 0
    client.force_login(people["administrator"])
    for name, rule in RULES.items():
        if name.startswith("api:") or "GET" not in rule:
            continue
        answer = client.get(address_of(name, rows))
        policy = answer["Content-Security-Policy"]
        for part in ("default-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
            if part not in policy:
                wrong.append(f"{name}: {part} is not in its policy")
        if "unsafe" in policy:
            wrong.append(f"{name}: {policy}")
        for header, value in {
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }.items():
            if answer.get(header) != value:
                wrong.append(f"{name}: {header} is {answer.get(header)}")
        if answer.status_code == 200 and "html" in answer["Content-Type"]:
            pages += 1
            if found := INLINE.search(answer.content.decode()):
                wrong.append(f"{name}: {found[0]} stands in it")
    assert pages > 15
    assert not wrong, "\n".join(wrong)
