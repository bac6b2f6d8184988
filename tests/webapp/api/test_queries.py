"""No list makes a query a row: every address and every list of the admin, with one row of everything and with fifty.

Addresses are found in the URL conf, lists of the admin in `admin.site`. What `Rows` does not make rows of is told by
the list that stays empty.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.addresses import addresses
from tests.rows import Rows

MANY = 50
# No lists: pictures and files, forms, what is only sent to, and the export of a study, which reads each slide.
NO_LISTS = {
    "api:tile", "api:dzi", "api:crop", "api:label", "api:macro", "api:thumbnail", "api:tissue", "api:candidates",
    "api:export", "api:file", "api:study-export", "api:report-pdf", "api:report-fhir", "api:schema", "api:docs",
    "api:upload", "api:dicomweb-study", "api:dicomweb-series", "api:dicomweb-instance", "api:dicomweb-frames",
    "api:dicomweb-study-metadata", "api:dicomweb-series-metadata", "api:dicomweb-instance-metadata",
    "difference", "login", "logout", "token-revoke", "admin-login", "password-change", "password-reset",
    "password-reset-confirm", "invitation", "admin-password-change", "provider", "provider-callback", "second-step",
}  # fmt: skip
# Those that show no rows of the database. (A judgement shows its result, and slides once it has one.)
NO_ROWS = {"metrics", "health", "report-check", "training", "judgement", "calibration", "beside", "glossary"}
POST_ALONE = 405


def gets(view: Any) -> bool:
    """Whether it answers GET, as far as it says so."""
    if hasattr(view, "actions"):
        return "get" in view.actions
    return not hasattr(view, "cls") or hasattr(view.cls, "get")


@pytest.fixture
def rows(root, alice, make_slide, make_run) -> Rows:
    slide = make_slide(mpp=1.0)
    return Rows(root, alice, slide, make_run(slide, [(1.0, 1.0, 0.9)]))


def queries(client: Client, address: str, asked: dict[str, Any]) -> tuple[int, Any]:
    """How many queries an answer takes, and the answer."""
    with CaptureQueriesContext(connection) as made:
        answer = client.get(address, asked)
    return len(made), answer


def shown(answer: Any) -> int | None:
    """How many rows an answer shows; None where it is no list."""
    if "json" in answer["Content-Type"]:
        said = answer.json()
        listed = said.get("results") if isinstance(said, dict) else said
        return None if listed is None else len(listed)
    page = answer.content.decode()
    return sum(page.count(f"<{tag}") for tag in ("tr", "li", "figure", "option", "article"))


def compared(addresses: dict[str, tuple[str, dict[str, Any]]], rows: Rows, reader: Client, root: Client) -> list[str]:
    """What is wrong with lists: too many queries with many rows, or no more rows than with one.

    Each is asked for by a reader, or by the administrator where readers may not.
    """
    few: dict[str, tuple[Client, int, int | None]] = {}
    wrong = []
    rows.make(1)
    for name, address in addresses.items():
        for client in (reader, root):
            made, answer = queries(client, *address)
            if answer.status_code == 200:
                few[name] = client, made, shown(answer)
                break
        if answer.status_code not in {200, POST_ALONE}:
            wrong.append(f"{name}: {answer.status_code}; is it a list?")
    rows.make(MANY)
    for name, (client, one, before) in few.items():
        made, answer = queries(client, *addresses[name])
        if made > one:
            made, answer = queries(client, *addresses[name])  # counts are calculated once a slide and kept
        if made > one:
            wrong.append(f"{name}: {one} queries with one row, {made} with {MANY}")
        if before is not None and name not in NO_ROWS and not (shown(answer) or 0) > before:
            wrong.append(f"{name}: shows {before} rows where there is one, and no more where there are {MANY}")
    return wrong


def test_no_list_makes_a_query_a_row(rows, client_of):
    asked = {
        name: (reverse(name, kwargs={one: rows.arguments(begins)[one] for one in of}), rows.asked(name))
        for name, begins, of, view in addresses()
        if name not in NO_LISTS and gets(view)
    }
    assert {"api:slide-list", "api:training-list", "worklist", "jobs", "retraining"} <= asked.keys()
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        asked[name] = reverse(name), {}
    wrong = compared(asked, rows, client_of(rows.alice), client_of(rows.root))
    assert not wrong, "\n".join(wrong)
