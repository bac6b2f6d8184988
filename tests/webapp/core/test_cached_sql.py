"""Queries whose SQL is cached say what the ORM says, of everybody, at every moment."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from knox.models import AuthToken

from webapp.access.services import token_make
from webapp.core.cached_sql import CachedSql
from webapp.slides.models import Slide
from webapp.slides.selectors import slide_shown
from webapp.slides.storage import local_path


@pytest.fixture
def tile(make_slide):
    return f"/api/v1/slides/{make_slide().pk}/tiles_files/9/0_0.jpeg"


def test_it_asks_with_the_values_of_each_call_and_keeps_the_sql(make_slide, django_assert_num_queries):
    first, second = make_slide("a"), make_slide("b")
    built = []

    def by_id(names, *, pk, since):
        built.append(names)
        return Slide.objects.filter(pk=pk, uploaded_at__gt=since).exclude(state="refused").values_list(*names)

    asked = CachedSql(by_id)
    yesterday, tomorrow = (timezone.now() + timedelta(days=days) for days in (-1, 1))
    with django_assert_num_queries(3):
        assert asked(("name",), pk=first.pk, since=yesterday) == [("a",)]
        assert asked(("name",), pk=second.pk, since=yesterday) == [("b",)]
        assert asked(("name",), pk=second.pk, since=tomorrow) == []
    assert asked(("name", "width"), pk=second.pk, since=yesterday) == [("b", 560)]
    assert built == [("name",), ("name", "width")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to lose")
def test_a_connection_that_was_lost_is_opened_again(make_slide, client_of, alice):
    address, client = f"/api/v1/slides/{make_slide().pk}/tiles_files/9/0_0.jpeg", client_of(alice)
    assert client.get(address).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    assert client.get(address).status_code == 200


def test_a_slide_is_shown_to_whom_it_is_visible_and_to_nobody_else(make_slide, alice, bob, charlie, root, study):
    ready, refused = make_slide(), make_slide(state="refused")
    gone = root.__class__.objects.create_superuser("gone", is_active=False)
    for user in (alice, bob, charlie, root, gone, AnonymousUser()):
        seen = slide_shown(user=user, pk=ready.pk)
        assert seen == Slide.objects.visible_to(user).filter(pk=ready.pk).first()
        assert seen is None or (local_path(seen), seen.mpp, seen.case.study) == (local_path(ready), ready.mpp, study)
        assert slide_shown(user=user, pk=refused.pk) is None


def _logs_out(client, user):
    client.logout()


def _changes_the_password(client, user):
    user.set_password("another")
    user.save()


def _is_locked_out(client, user):
    user.is_active = False
    user.save()


def _session_expires(client, user):
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("ends", [_logs_out, _changes_the_password, _is_locked_out, _session_expires])
def test_a_session_that_has_ended_shows_no_tile_more(ends, tile, client_of, alice):
    client = client_of(alice)
    assert client.get(tile).status_code == 200
    key = client.cookies["sessionid"].value
    ends(client, alice)
    client.cookies["sessionid"] = key
    answer = client.get(tile)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(
    "ends",
    [
        lambda user: AuthToken.objects.all().delete(),
        lambda user: AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1)),
        lambda user: _is_locked_out(None, user),
    ],
)
def test_a_token_that_has_ended_opens_nothing_more(ends, tile, client_of, alice):
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token_make(user=alice)}")
    addresses = (tile, "/api/v1/slides/")
    assert [client.get(address).status_code for address in addresses] == [200, 200]
    ends(alice)
    assert [client.get(address).status_code for address in addresses] == [401, 401]
    client.credentials(HTTP_AUTHORIZATION="Token Jürgen")
    assert [client.get(address).status_code for address in addresses] == [401, 401]
