"""Every address of the site, every method, eight kinds of people: allowed, refused, and nothing that is not theirs.

The addresses are those of the URL configuration, the rules `tests.security.rules`. What a call changes is undone.
`make security` runs this with every method, on PostgreSQL and on SQLite; other runs with those of the rules.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.addresses import addresses
from tests.rows import Rows
from tests.security.rules import NAME, RULES, SECRET
from webapp.retraining.models import LockedCase, MitosisFreeSlide, Removal

KINDS = ("stranger", "outsider", "viewer", "uploader", "reader", "manager", "staff", "administrator")
ALL = "EVERY" in os.environ
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
STRANGERS = {"stranger", "outsider", "staff"}  # to the study
NOT_THERE = {"api:label", "api:macro", "api:file", "difference"}  # 404 for who may see it, too: this slide has none
BODIES = {
    "api:slide-mpp": {"mpp": 0.3},
    "api:slide-reader": {"reader": None},
    "api:study-member": {"role": "viewer"},
    "api:study-detail": {"shape": "square"},
}
NUMBERED = {"locked-cases/": LockedCase, "mitosis-free-slides/": MitosisFreeSlide, "removals/": Removal}
UPLOAD = {
    "HTTP_TUS_RESUMABLE": "1.0.0", "HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_OFFSET": "0",
    "HTTP_UPLOAD_METADATA": f"filename {base64.b64encode(b'a.tif').decode()},study "
    f"{base64.b64encode(f'{SECRET} study'.encode()).decode()}",
}  # fmt: skip


ROUTES = {address.name: (address.begins, address.of) for address in addresses()}


def address_of(name: str, rows: Rows) -> str:
    begins, of = ROUTES[name]
    more = {
        "level": 8, "column": 0, "row": 0, "username": f"{SECRET}-viewer", "key": "none", "number": 0, "uidb64": "x",
        "token": "x", "region": rows.slide.regions.all()[0].pk, "figure": rows.figure.pk, "other": rows.slide.pk,
        **rows.dicom,
    }  # fmt: skip
    own = {"reports/": rows.report, "uploads/": rows.upload}
    if begins in own:
        more["pk"] = own[begins].pk
    elif begins in NUMBERED and "pk" in of:
        more["pk"] = NUMBERED[begins].objects.order_by("pk")[0].pk
    elif "pk" in of:
        more["pk"] = rows.arguments(begins)["pk"]
    address = reverse(name, kwargs={key: more[key] for key in of})
    asked = {**rows.asked(name), **({"format": "csv"} if name in {"api:export", "api:study-export"} else {})}
    if name == "api:crop":
        asked = {"x": 100, "y": 100}
    return address + ("?" + "&".join(f"{key}={value}" for key, value in asked.items()) if asked else "")


def call(client: Client, method: str, name: str, address: str) -> Any:
    """The answer, and all that the call changed undone."""
    body, more = json.dumps(BODIES.get(name, {})), {}
    if name in {"api:uploads", "api:upload"} and method in {"POST", "PATCH"}:
        body, more = ("abc" if method == "PATCH" else ""), dict(UPLOAD)
    kind = "application/offset+octet-stream" if name == "api:upload" else "application/json"
    with transaction.atomic():
        session = client.cookies.get("sessionid")
        answer = client.generic(method, address, body, kind, **more)
        transaction.set_rollback(True)
    if session is not None:
        client.cookies["sessionid"] = session  # signing out is undone as well
    return answer


def let_in(answer: Any, name: str) -> bool:
    to_sign_in = answer.status_code == 302 and answer["Location"].startswith("/login/?next=")
    if answer.status_code == 404 and name in NOT_THERE:
        return True
    if name == "api:uploads" and answer.status_code == 400:
        return False  # in no study of that name
    return not to_sign_in and answer.status_code not in {401, 403, 404, 405}


def body_of(answer: Any) -> str:
    return str(answer.getvalue().decode("utf-8", "replace")).lower()


def test_every_address_has_a_rule():
    assert ROUTES.keys() == RULES.keys()


def wrong_of(kind: str, client: Client, rows: Rows) -> Iterator[str]:
    """What is wrong with the answers that a kind of person gets."""
    for name, rule in RULES.items():
        address = address_of(name, rows)
        for method in METHODS if ALL else sorted({*rule, "POST"}):
            answer = call(client, method, name, address)
            status, wanted = answer.status_code, kind in rule.get("GET" if method == "HEAD" else method, ())
            shown = f"{method} {address} ({name}): {status}"
            if status >= 500:
                yield f"{shown}, an error"
            elif method == "OPTIONS":
                pass  # tells what an address takes, and nothing of what is there
            elif wanted and not let_in(answer, name):
                yield f"{shown}, though a {kind} may"
            elif not wanted and let_in(answer, name) and not (name in NOT_THERE and status == 404):
                as_get = (
                    method == "POST"
                    and not name.startswith("api:")
                    and "POST" not in rule
                    and kind in rule.get("GET", ())
                )
                if not as_get:  # a page that takes nothing shows itself
                    yield f"{shown}, though a {kind} may not"
            body = body_of(answer)
            said_so = name == "api:uploads"  # a study that is not theirs, by the name that they gave
            if kind in STRANGERS and not said_so and SECRET in body.replace(address.lower(), ""):
                yield f"{shown} names what is of another study"
            if kind not in {"reader", "administrator", "staff"} and NAME in body:
                yield f"{shown} names the file, which may name a patient"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_person_may_what_the_rules_say_and_sees_no_more(kind, people, rows):
    client = Client(raise_request_exception=False)
    if (person := people[kind]) is not None:
        client.force_login(person)
    wrong = list(wrong_of(kind, client, rows))
    assert not wrong, "\n".join(wrong)
