"""Nobody sees anything unless a membership says so: lists, objects, tiles, pages."""

from __future__ import annotations

import pytest
from django.urls import reverse

from webapp.annotations.services import detection_request

OBJECTS = [
    "/api/v1/slides/{slide}/",
    "/api/v1/slides/{slide}/detections/",
    "/api/v1/slides/{slide}/mitosis-count/",
    "/api/v1/slides/{slide}/export/?format=csv",
    "/api/v1/slides/{slide}/runs/",
    "/api/v1/slides/{slide}/tiles.dzi",
    "/api/v1/slides/{slide}/tiles_files/9/0_0.jpeg",
    "/api/v1/slides/{slide}/thumbnail.jpeg",
    "/api/v1/slides/{slide}/crop.jpeg?x=100&y=100",
    "/api/v1/jobs/{job}/",
    "/api/v1/slides/{slide}/reports/",
    "/slides/{slide}/",
    "/slides/{slide}/report/",
]
CHANGES = [
    "/api/v1/slides/{slide}/detections/",
    "/api/v1/slides/{slide}/mpp/",
    "/api/v1/slides/{slide}/import/",
    "/api/v1/slides/{slide}/reports/",
    "/api/v1/jobs/{job}/cancel/",
    "/api/v1/jobs/{job}/retry/",
]
LISTS = ["/api/v1/slides/", "/api/v1/jobs/"]
STUDIES = "/api/v1/studies/"


@pytest.fixture
def ids(alice, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(10, 20, 0.9)])
    return {"slide": slide.pk, "job": detection_request(slide=slide, by=alice).pk}


@pytest.mark.parametrize("address", OBJECTS)
def test_members_and_administrators_see_it_and_nobody_else_does(address, ids, client_of, alice, bob, charlie, root):
    address = address.format(**ids)
    seen = {user.username: client_of(user).get(address).status_code for user in (alice, root, bob, charlie)}
    assert seen == {"alice": 200, "root": 200, "bob": 404, "charlie": 404}


@pytest.mark.parametrize("address", OBJECTS)
def test_strangers_are_asked_to_sign_in(address, ids, client_of):
    answer = client_of(None).get(address.format(**ids))
    assert answer.status_code == (401 if address.startswith("/api") else 302)


@pytest.mark.parametrize("address", CHANGES)
def test_strangers_and_other_studies_change_nothing(address, ids, client_of, bob, charlie):
    address = address.format(**ids)
    answers = [client_of(user).post(address, {"mpp": 0.3}, format="json").status_code for user in (bob, charlie, None)]
    assert answers == [404, 404, 401]


@pytest.mark.parametrize("address", LISTS)
def test_lists_hold_what_one_may_see(address, ids, client_of, alice, bob, charlie, root):
    counts = {user.username: client_of(user).get(address).json()["count"] for user in (alice, root, bob, charlie)}
    assert counts == {"alice": 1, "root": 1, "bob": 0, "charlie": 0}
    assert client_of(None).get(address).status_code == 401


def test_the_worklist_shows_the_slides_of_ones_studies(ids, client_of, alice, bob):
    assert "s.tif" in client_of(alice).get("/").content.decode()
    assert "s.tif" not in client_of(bob).get("/").content.decode()


def test_somebody_who_is_no_longer_active_sees_nothing(ids, client_of, alice):
    client = client_of(alice)
    alice.is_active = False
    alice.save()
    assert client.get(f"/api/v1/slides/{ids['slide']}/").status_code == 401


def test_leaving_a_study_takes_the_tiles_away_at_once(ids, client_of, alice, study):
    client = client_of(alice)
    address = f"/api/v1/slides/{ids['slide']}/tiles_files/9/0_0.jpeg"
    tag = client.get(address)["ETag"]
    study.memberships.all().delete()
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 404


def test_a_run_of_another_slide_is_not_reached_through_ones_own(ids, client_of, bob, make_slide, make_run, alice):
    from webapp.slides.models import Case, Study

    elsewhere = Case.objects.create(study=Study.objects.get(name="Elsewhere"), identifier="x")
    secret = make_run(make_slide(case=elsewhere), [(1, 1, 0.99)])
    answer = client_of(alice).get(f"/api/v1/slides/{ids['slide']}/detections/?run={secret.pk}")
    assert answer.status_code == 404


@pytest.mark.parametrize("name", ["api:slide-list", "api:job-list", "api:model-list", "api:uploads"])
def test_the_api_asks_for_a_person(name, client, db):
    assert client.get(reverse(name)).status_code == 401


def test_studies_are_those_that_one_is_in(ids, study, client_of, alice, bob, charlie):
    names = {
        user: [s["name"] for s in client_of(user).get(STUDIES).json()["results"]] for user in (alice, bob, charlie)
    }
    assert names == {alice: ["Breast"], bob: ["Elsewhere"], charlie: []}
    assert client_of(bob).get(f"{STUDIES}{study.pk}/").status_code == 404
