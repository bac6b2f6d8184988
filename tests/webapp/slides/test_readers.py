"""Whose a slide is to read: said by page and REST, kept with who said it, and what the worklist makes of it."""

from __future__ import annotations

import pytest

from tests.recorded import recorded
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.audit.models import Action
from webapp.slides.models import Slide


@pytest.fixture
def slide(make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    return slide


def assign(client, slide, reader):
    return client.post(f"/api/v1/slides/{slide.pk}/reader/", {"reader": reader}, format="json")


def test_a_slide_is_given_to_a_reader_and_back_and_who_did_it_is_kept(slide, client_of, alice, root):
    answer = assign(client_of(root), slide, "alice")
    assert (answer.status_code, answer.json()["reader"]) == (200, "alice")
    assert [one["id"] for one in client_of(root).get("/api/v1/slides/?reader=alice").json()["results"]] == [
        str(slide.pk)
    ]
    assert client_of(root).get("/api/v1/slides/?reader=root").json()["count"] == 0
    assert assign(client_of(alice), slide, None).json()["reader"] is None
    nobody, her = {"reader": None}, {"reader": "alice"}
    assert recorded(Action.SLIDE_ASSIGNED, slide) == [("root", nobody, her), ("alice", her, nobody)]


def test_only_who_may_see_a_slide_can_be_its_reader_or_say_who_is(slide, client_of, alice, bob):
    answer = assign(client_of(alice), slide, "bob")
    assert (answer.status_code, "not in the study" in answer.json()["detail"]) == (400, True)
    unknown = assign(client_of(alice), slide, "eve")
    assert unknown.json()["detail"].replace("eve", "bob") == answer.json()["detail"]  # who there is is not told
    assert assign(client_of(bob), slide, "bob").status_code == 404
    assert Slide.objects.get().reader is None


def test_what_is_mine_to_read_is_a_group_of_its_own_until_it_is_read(slide, make_slide, client, client_of, alice):
    make_slide()
    client.force_login(alice)
    assert "Nothing assigned to you" in client.get("/?show=mine").content.decode()
    assign(client_of(alice), slide, "alice")
    assert [row.slide for row in client.get("/?show=mine").context["rows"]] == [slide]
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    assert client.get("/?show=mine").context["rows"] == []
