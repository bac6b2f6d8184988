"""No text breaks the server: every call, with hostile texts in the address, the query and the body.

One of every `EVERY` calls; `make fuzz-texts` makes them all, on PostgreSQL and on SQLite. What a call changes is
undone.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
from urllib.parse import quote

from django.db import transaction

EVERY = int(os.environ.get("EVERY", "29"))
TEXTS = [
    "\u202e\u05d0", "x" * 10_000, "a\u0000b", "%00", "'\";--", "{{ 7 * 7 }}", "99999999999999999999", "-1", "nan",
    "1e999", "null", "\U0001f600", "../../etc/passwd", "2026-13-45", "\r\nSet-Cookie: a=b", "\ud800", "",
]  # fmt: skip
HUGE = "1e999 as a number"
VALUES = [*TEXTS, HUGE, 10**30, -1, 1e308, float("inf"), None, True, [], {}, [[[]]], {"a": {"\u0000": 1}}]
PAGES = ["/", "/slides/", "/cases/", "/jobs/", "/models/", "/reports/check/", "/models/removal/", "/models/mining/"]
ASKED = ["search", "study", "scanner", "reader", "hash", "person", "state", "case", "page", "min_score", "order"]
NOT_SENT = {"/api/v1/schema/", "/api/v1/docs/"}


def calls_of(described, ids):
    """Every call of the description: method, address, content type and body, with one hostile text each."""
    for path, operations in described["paths"].items():
        if path in NOT_SENT:
            continue
        kind = path.split("/")[3]
        names = re.findall(r"{(\w+)}", path)
        real = {name: str(ids.get(kind if name in {"id", "pk"} else name, ids["slides"])) for name in names}
        address = path.format(**real)
        for method, operation in operations.items():
            for name, text in itertools.product(names, TEXTS):
                yield method, path.format(**{**real, name: quoted(text)}), "", ""
            asked = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            for name, text in itertools.product(asked, TEXTS):
                yield method, f"{address}?{name}={quoted(text)}", "", ""
            for content_type, media in operation.get("requestBody", {}).get("content", {}).items():
                examples = [media.get("example"), *(one["value"] for one in media.get("examples", {}).values())]
                for body in bodies_of(next((one for one in examples if one is not None), None)):
                    yield method, address, content_type, body
    for address, name, text in itertools.product(PAGES, ASKED, TEXTS):
        yield "get", f"{address}?{name}={quoted(text)}", "", ""
    for kind, text in itertools.product(("slides", "cases", "models", "api/v1/slides"), TEXTS):
        yield "get", f"/{kind}/{quoted(text)}/", "", ""


def quoted(text):
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def bodies_of(example):
    """A right body with each of its values exchanged for each hostile one, and bodies that are none."""
    yield from ("", "{", "\u0000", "[]", "null", "[" * 5000, "[" * 50_000 + "]" * 50_000, "[1e999]", "NaN")
    places = list(places_of(example))
    for place in places:
        for value in VALUES:
            body = copy.deepcopy(example)
            if not place:
                body = value
            else:
                inner = body
                for key in place[:-1]:
                    inner = inner[key]
                inner[place[-1]] = value
            yield json.dumps(body).replace(json.dumps(HUGE), "1e999")


def places_of(value, above=()):
    """The way to every value within a value, itself first."""
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_of(one, (*above, key))


def test_no_text_breaks_the_server(one_connection, ids, client_of, root, settings):
    client = client_of(root)
    client.raise_request_exception = False
    described = client.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    broken = {}
    calls = list(calls_of(described, ids))[::EVERY]
    assert len(calls) > 100
    for method, address, content_type, body in calls:
        with transaction.atomic():
            answer = client.generic(method.upper(), address, body, content_type or "application/json")
            transaction.set_rollback(True)
        if answer.status_code >= 500:
            broken.setdefault((method, address.split("?")[0][:100], answer.status_code), (address[:200], body[:300]))
    assert not broken
