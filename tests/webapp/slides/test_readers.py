"""Whose a slide is to read: said by page and REST, kept with who said it, and what the worklist makes of it."""

from __future__ import annotations

import pytest

from tests.recorded import recorded
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.audit.models import Action
from webapp.slides.models import Case, Membership, Slide, Study


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


@pytest.mark.parametrize("moved", ["slide", "case"])
def test_who_is_not_of_the_study_that_a_slide_moves_to_reads_it_no_more(slide, moved, client_of, alice, bob, root):
    from webapp.access.models import Answer

    client_of(alice).post(
        f"/api/v1/slides/{slide.pk}/reader/", {"reader": "alice"}, headers={"Idempotency-Key": "k"}, format="json"
    )
    assert Answer.objects.filter(user=alice).exists()
    elsewhere = Study.objects.create(name="Where it belongs")
    Membership.objects.create(study=elsewhere, user=bob)
    admin = client_of(root)
    if moved == "slide":
        case = Case.objects.create(study=elsewhere, identifier="moved")
        sent = admin.post(f"/admin/slides/slide/{slide.pk}/change/", {"name": slide.name, "case": case.pk})
    else:
        sent = admin.post(f"/admin/slides/case/{slide.case_id}/change/", {"study": elsewhere.pk})
    assert sent.status_code == 302
    assert client_of(bob).get(f"/api/v1/slides/{slide.pk}/").json()["reader"] is None
    assert recorded(Action.SLIDE_ASSIGNED, slide)[-1] == ("root", {"reader": "alice"}, {"reader": None})
    assert not Answer.objects.filter(user=alice).exists()


def test_what_is_mine_to_read_is_a_group_of_its_own_until_it_is_read(slide, make_slide, client, client_of, alice):
    make_slide()
    client.force_login(alice)
    assert "Nothing assigned to you" in client.get("/?show=mine").content.decode()
    assign(client_of(alice), slide, "alice")
    assert [row.slide for row in client.get("/?show=mine").context["rows"]] == [slide]
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    assert client.get("/?show=mine").context["rows"] == []
