"""The admin by every address and method: for staff alone, who see and change what their studies allow; static files."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import models, transaction
from django.test import Client
from django.urls import get_resolver, reverse

from tests.security.rules import ADMINISTRATORS, SECRET, STAFF
from tests.security.test_matrix import ALL, KINDS, METHODS, body_of

SITE = next(one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "admin")
# Signing in, texts, who is signed out already, and the way to the page on which all change their passwords.
PUBLIC = {"/admin/login/", "/admin/jsi18n/", "/admin/logout/", "/admin/password_change/"}


def addresses() -> list[str]:
    """Those of the site, and of each model with a row of it."""
    found = [reverse(f"admin:{name}") for name in ("index", "login", "logout", "jsi18n", "autocomplete")]
    found += [reverse("admin:password_change"), reverse("admin:password_change_done")]
    found += [reverse("admin:app_list", args=[label]) for label in {m._meta.app_label for m in admin.site._registry}]
    for model, page in admin.site._registry.items():
        one = model._default_manager.order_by("pk").first()
        for entry in page.get_urls():
            of = entry.pattern.regex.groups
            if entry.name is None or (of and one is None):
                continue
            found.append(reverse(f"admin:{entry.name}", args=[one.pk] if of and one else []))
    return found


def call(client: Client, method: str, address: str) -> Any:
    """The answer, and all that the call changed undone."""
    session = client.cookies.get("sessionid")
    with transaction.atomic():
        answer = client.generic(method, address, "post=yes", "application/x-www-form-urlencoded")
        transaction.set_rollback(True)
    if session is not None:
        client.cookies["sessionid"] = session
    return answer


def test_every_address_of_the_admin_is_asked(people, rows):
    asked = {address.rstrip("/") for address in addresses()}
    assert len(asked) > 60
    parts = {str(entry.pattern) for entry in SITE.url_patterns}
    models = {f"{m._meta.app_label}/{m._meta.model_name}/" for m in admin.site._registry}
    known = models | {"", "login/", "logout/", "password_change/", "password_change/done/", "autocomplete/", "jsi18n/"}
    rest = {part for part in parts if not any(part == one for one in known)}
    assert all(part.startswith(("r/<", "^(?P<app_label>", "(?P<url>")) for part in rest), rest


@pytest.mark.parametrize("kind", KINDS)
def test_the_admin_is_for_staff_and_shows_them_what_their_studies_allow(kind, people, rows):
    client, wrong = Client(raise_request_exception=False), []
    if (person := people[kind]) is not None:
        client.force_login(person)
    for address in addresses():
        for method in METHODS if ALL else ("GET", "POST"):
            answer = call(client, method, address)
            shown = f"{method} {address}: {answer.status_code}"
            to_sign_in = answer.status_code == 302 and "/login/" in answer["Location"]
            if answer.status_code >= 500:
                wrong.append(shown)
            if (
                kind not in STAFF
                and address not in PUBLIC
                and not to_sign_in
                and answer.status_code not in {403, 404, 405}
            ):
                wrong.append(f"{shown}, to a {kind}")
            if kind not in ADMINISTRATORS and SECRET in body_of(answer).replace(f"{SECRET}-{kind}", ""):
                wrong.append(f"{shown} names what is of another study")
            if kind in ADMINISTRATORS and method == "GET" and answer.status_code not in {200, 302, 403, 404, 405}:
                wrong.append(f"{shown}, to an administrator")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_deletes_in_the_admin_what_is_of_another_study(kind, people, rows):
    client, gone = Client(raise_request_exception=False), []
    if (person := people[kind]) is not None:
        client.force_login(person)
    of_the_study: list[models.Model] = [rows.study, rows.slide.case, rows.slide, rows.upload]
    for row in of_the_study:
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk])
        with transaction.atomic():
            client.post(address, {"post": "yes"})
            if not type(row)._default_manager.filter(pk=row.pk).exists():
                gone.append(address)
            transaction.set_rollback(True)
    assert not gone or kind in ADMINISTRATORS, gone


def test_static_files_are_for_everybody_and_nothing_else_is_among_them(people, rows, settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    (tmp_path / "secret.css").write_text("secret")
    call_command("collectstatic", interactive=False, verbosity=0)
    outside = ("../secret.css", "%2e%2e/secret.css", "..%2fsecret.css", "%2fetc/passwd", "css", "")
    for person in people.values():
        client = Client(raise_request_exception=False)
        if person is not None:
            client.force_login(person)
        for method in METHODS:
            answer = client.generic(method, "/static/css/base.css")
            assert answer.status_code == (200 if method in {"GET", "HEAD"} else 405), method
            for path in outside:
                assert client.generic(method, f"/static/{path}").status_code in {404, 405}, (method, path)
