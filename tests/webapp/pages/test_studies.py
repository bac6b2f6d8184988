"""Members and rules of a study on its page."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User

from tests.recorded import recorded
from webapp.audit.models import Action
from webapp.slides.models import Membership, Study


@pytest.fixture
def mary(study):
    mary = User.objects.create_user("mary", password="pw")
    Membership.objects.create(study=study, user=mary, role=Membership.Role.MANAGER)
    return mary


def sent(client, study, **fields):
    return client.post(f"/studies/{study.pk}/", fields, follow=True).content.decode()


def role_of(study, name):
    return Membership.objects.filter(study=study, user__username=name).values_list("role", flat=True).first()


def test_a_manager_adds_changes_and_removes_members(client_of, mary, study, bob):
    client = client_of(mary)
    assert "bob is viewer here." in sent(client, study, do="put", username="bob", role="viewer")
    assert "bob is reader here." in sent(client, study, do="put", username="bob", role="reader")
    assert role_of(study, "bob") == "reader"
    assert "not in the study any more" in sent(client, study, do="remove", username="bob")
    assert role_of(study, "bob") is None
    assert [entry[0] for entry in recorded(Action.ROLE, study)][-3:] == ["mary"] * 3
    assert "No person is called nobody." in sent(client, study, do="put", username="nobody", role="reader")
    assert "Choose a role." in sent(client, study, do="put", username="bob", role="king")


def test_a_study_keeps_a_manager(client_of, mary, study):
    assert "make somebody else a manager first" in sent(client_of(mary), study, do="remove", username="mary")
    assert "make somebody else a manager first" in sent(
        client_of(mary), study, do="put", username="mary", role="reader"
    )
    assert role_of(study, "mary") == "manager"


def test_how_a_study_counts_is_changed(client_of, mary, study):
    client = client_of(mary)
    form = {"do": "change", "name": "Breast 2", "rule": "nottingham-0.55", "shape": "fields", "area_mm2": "",
            "deleted_reports": "consent"}  # fmt: skip
    assert "Saved." in sent(client, study, **form)
    study.refresh_from_db()
    assert (study.name, study.rule, study.shape, study.area_mm2) == ("Breast 2", "nottingham-0.55", "fields", None)
    for wrong in ({"rule": "none"}, {"shape": "star"}, {"area_mm2": "nan"}, {"area_mm2": "1000"}, {"name": ""},
                  {"deleted_reports": "x"}):  # fmt: skip
        assert "Saved." not in sent(client, study, **{**form, **wrong}), wrong
    assert "Saved." in sent(client, study, **{**form, "area_mm2": "1,5"})
    study.refresh_from_db()
    assert (study.area_mm2, study.reading, study.candidates_hidden) == (1.5, "open", False)
    assert "Saved." in sent(client, study, **form, reading="blinded", candidates_hidden="on")
    study.refresh_from_db()
    assert (study.reading, study.candidates_hidden) == ("blinded", True)


def test_managers_read_where_a_pacs_sends_to(client_of, mary, alice, study):
    address = f"http://testserver/api/v1/dicomweb/{study.pk}"
    assert address in client_of(mary).get(f"/studies/{study.pk}/").content.decode()
    assert client_of(mary).get(f"{address}/studies").json() == []
    assert address not in client_of(alice).get(f"/studies/{study.pk}/").content.decode()


def test_who_manages_nothing_looks_and_others_see_nothing(client_of, alice, bob, study):
    page = client_of(alice).get(f"/studies/{study.pk}/").content.decode()
    assert "alice" in page and "<form method" not in page.split("<main")[1]
    assert client_of(alice).post(f"/studies/{study.pk}/", {"do": "remove", "username": "alice"}).status_code == 403
    assert client_of(bob).get(f"/studies/{study.pk}/").status_code == 404
    assert study.name not in client_of(bob).get("/studies/").content.decode()


def test_who_may_add_studies_makes_one(client_of, alice, bob):
    bob.user_permissions.add(Permission.objects.get(codename="add_study"))
    page = client_of(bob).post("/studies/", {"name": "Canine"}, follow=True).content.decode()
    assert "Canine" in page and role_of(Study.objects.get(name="Canine"), "bob") == "manager"
    assert (
        "There is a study called Canine already"
        in client_of(bob).post("/studies/", {"name": "Canine"}, follow=True).content.decode()
    )
    assert client_of(alice).post("/studies/", {"name": "Mine"}).status_code == 403
