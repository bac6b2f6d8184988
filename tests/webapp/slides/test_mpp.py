"""um/px: entered where the file has none, by who may, with a record; never against the file."""

from __future__ import annotations

import pytest

from tests.recorded import recorded
from webapp.audit.models import Action
from webapp.jobs.models import Job
from webapp.slides.models import Membership, Slide


def enter(client, slide, mpp):
    return client.post(f"/api/v1/slides/{slide.pk}/mpp/", {"mpp": mpp}, format="json")


def test_the_uploader_enters_it_and_the_waiting_detection_begins(client_of, alice, make_slide, model):
    slide = make_slide(mpp=None, uploaded_by=alice)
    answer = enter(client_of(alice), slide, 0.2456)
    assert answer.json()["mpp"] == [0.2456, 0.2456]
    assert Job.objects.get().kind == Job.Kind.DETECT
    assert recorded(Action.MPP_ENTERED, slide) == [("alice", {"mpp": None}, {"mpp": 0.2456})]


def test_a_reader_who_did_not_upload_it_may_not_a_manager_may(client_of, alice, root, make_slide, study, model):
    slide = make_slide(mpp=None, uploaded_by=root)
    assert enter(client_of(alice), slide, 0.25).status_code == 403
    assert not Job.objects.exists()
    Membership.objects.filter(user=alice).update(role=Membership.Role.MANAGER)
    assert enter(client_of(alice), slide, 0.25).status_code == 200


def test_the_file_is_not_contradicted(client_of, root, make_slide):
    slide = make_slide(mpp=0.25)
    assert enter(client_of(root), slide, 0.5).status_code == 409
    slide.refresh_from_db()
    assert slide.mpp == (0.25, 0.25)


@pytest.mark.parametrize("mpp", [0, -1, 40, "forty", None, float("nan"), float("inf")])
def test_a_value_that_no_microscope_has_is_refused(client_of, root, make_slide, mpp):
    slide = make_slide(mpp=None)
    client = client_of(root)
    assert (
        client.post(f"/api/v1/slides/{slide.pk}/mpp/", f'{{"mpp": {mpp}}}', content_type="application/json").status_code
        == 400
    )


def test_detection_waits_for_it_and_says_so(client_of, alice, make_slide, model):
    slide = make_slide(mpp=None)
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/detections/", {}, format="json")
    assert answer.status_code == 409
    assert "um/px" in answer.json()["detail"]


def test_without_it_there_is_a_count_but_no_density(client_of, alice, make_slide, make_run):
    slide = make_slide(mpp=None)
    make_run(slide, [(1, 2, 0.9)])
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()
    assert (body["count"], body["count_per_mm2"], body["tissue_mm2"]) == (1, None, None)
    assert "um/px" in body["reason"]
    assert Slide.objects.get().tissue_mm2 is None
