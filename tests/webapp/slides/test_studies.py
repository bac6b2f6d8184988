"""Studies by REST: making and changing them, and who is in them."""

from __future__ import annotations

import unicodedata

import pytest
from django.contrib.auth.models import Permission, User

from tests.recorded import recorded
from webapp.audit.models import Action
from webapp.slides.models import Membership, Slide, Study


@pytest.fixture
def manager(study):
    user = User.objects.create_user("mary", password="pw")
    Membership.objects.create(study=study, user=user, role=Membership.Role.MANAGER)
    return user


@pytest.fixture
def members(study, client_of, manager):
    """Calls the members of the study as its manager."""

    def call(method, name="", role=None):
        body = {} if role is None else {"role": role}
        return getattr(client_of(manager), method)(
            f"/api/v1/studies/{study.pk}/members/{name + '/' if name else ''}", body, format="json"
        )

    return call


def names(answer):
    return {row["username"]: row["role"] for row in answer.json()}


def test_who_may_add_studies_makes_one_and_manages_it(client_of, alice):
    asked = {"name": "  Cafe\u0301 2 ", "rule": "per-mm2", "area_mm2": 1.5, "shape": "square"}
    refused = client_of(alice).post("/api/v1/studies/", asked, format="json")
    assert (refused.status_code, "ask an administrator" in refused.json()["detail"]) == (403, True)
    alice.user_permissions.add(Permission.objects.get(codename="add_study"))
    made = client_of(alice).post("/api/v1/studies/", asked, format="json")
    assert made.status_code == 201
    assert made.json()["name"] == unicodedata.normalize("NFC", "Cafe\u0301 2")
    assert [made.json()[key] for key in ("rule", "area_mm2", "shape")] == ["per-mm2", 1.5, "square"]
    assert Membership.objects.get(study=made.json()["id"]).role == Membership.Role.MANAGER
    again = client_of(alice).post("/api/v1/studies/", {"name": "Caf\u00e9 2"}, format="json")
    assert (again.status_code, "already" in again.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "\u202e"}, {"name": "x" * 201}, {"name": "a", "rule": "mine"},
     {"name": "a", "area_mm2": 0}, {"name": "a", "area_mm2": 101}, {"name": "a", "shape": "star"}],
)  # fmt: skip
def test_a_study_that_makes_no_sense_is_refused(client_of, root, body):
    assert client_of(root).post("/api/v1/studies/", body, format="json").status_code == 400
    assert not Study.objects.exists()


def test_its_managers_change_how_it_counts(client_of, study, alice, bob, manager):
    address, change = f"/api/v1/studies/{study.pk}/", {"shape": "fields", "area_mm2": None}
    assert client_of(alice).patch(address, change, format="json").status_code == 403
    assert client_of(bob).patch(address, change, format="json").status_code == 404
    assert client_of(manager).patch(address, change, format="json").json()["shape"] == "fields"
    study.refresh_from_db()
    assert (study.name, study.shape, study.area_mm2) == ("Breast", "fields", None)


def test_members_are_listed_added_given_another_role_and_taken_out(members, alice, bob, study, manager):
    assert names(members("get")) == {"alice": "reader", "mary": "manager"}
    assert members("put", "bob").json() == {"username": "bob", "role": "reader"}
    assert members("put", "bob", role="manager").json()["role"] == "manager"
    assert members("put", "bob").json()["role"] == "manager"
    assert members("put", "bob", role="king").status_code == 400
    assert members("delete", "alice").status_code == 204
    assert names(members("get")) == {"bob": "manager", "mary": "manager"}
    assert members("delete", "alice").status_code == 404
    unknown = members("put", "nobody")
    assert (unknown.status_code, unknown.json()["detail"]) == (400, "No person is called nobody.")


def test_readers_see_who_is_in_the_study_and_change_nothing(client_of, study, alice, bob):
    address = f"/api/v1/studies/{study.pk}/members/"
    assert names(client_of(alice).get(address)) == {"alice": "reader"}
    assert client_of(alice).put(f"{address}bob/", {}, format="json").status_code == 403
    assert client_of(alice).delete(f"{address}alice/").status_code == 403
    assert client_of(bob).get(address).status_code == 404


def test_a_manager_stays(members, study, manager):
    for answer in (members("delete", "mary"), members("put", "mary", role="reader")):
        assert (answer.status_code, "needs a manager" in answer.json()["detail"]) == (409, True)
    assert names(members("get")) == {"mary": "manager"}


def test_slides_of_who_leaves_have_no_reader(members, make_slide, alice, study):
    slide = make_slide(reader=alice)
    members("delete", "alice")
    assert Slide.objects.get(pk=slide.pk).reader is None
    assert recorded(Action.SLIDE_ASSIGNED, slide) == [("mary", {"reader": "alice"}, {"reader": None})]
    role = {"person": "alice", "role": "reader"}, {"person": "alice", "role": None}
    assert recorded(Action.ROLE, study)[-1] == ("mary", *role)
