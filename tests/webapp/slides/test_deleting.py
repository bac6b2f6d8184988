"""Deleting a slide by REST: what would be lost is said first."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.recorded import recorded
from webapp.annotations.models import Label, Region
from webapp.annotations.services import figure_judge, region_draw
from webapp.audit.models import Action
from webapp.reports.services import report_sign
from webapp.results.question import question
from webapp.retraining.models import MitosisFreeSlide, Removal
from webapp.retraining.provenance import affected_by
from webapp.slides.models import Membership, Slide
from webapp.slides.services import slide_identity_seen

NOTHING = dict.fromkeys(
    ("runs", "candidates", "verdicts", "regions", "reports", "mined_samples", "trainings", "versions"), 0
) | {"mitosis_free": False}


@pytest.fixture
def manager(study):
    user = User.objects.create_user("mary", password="pw")
    Membership.objects.create(study=study, user=user, role=Membership.Role.MANAGER)
    return user


def test_a_slide_that_nobody_has_judged_is_deleted_with_its_files(
    client_of, manager, make_slide, make_run, django_capture_on_commit_callbacks
):
    slide = make_slide()
    make_run(slide, [(100, 50, 0.9)])
    client, address = client_of(manager), f"/api/v1/slides/{slide.pk}/"
    assert client.get(f"{address}losses/").json() == {**NOTHING, "runs": 1, "candidates": 1}
    with django_capture_on_commit_callbacks(execute=True):
        assert client.delete(address).status_code == 204
    assert client.get(address).status_code == client.delete(address).status_code == 404
    assert not slide.folder.exists()


def test_work_of_people_is_lost_only_where_that_is_confirmed(client_of, manager, alice, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 50, 0.9)])
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=50)
    region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=[[0, 0], [500, 0], [500, 400]])
    client, address = client_of(manager), f"/api/v1/slides/{slide.pk}/"
    refused = client.delete(address)
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("With this slide 1 verdicts, 1 regions would be lost")
    assert client.delete(f"{address}?confirm=maybe").status_code == 400
    assert Slide.objects.filter(pk=slide.pk).exists()
    assert client.delete(f"{address}?confirm=true").status_code == 204
    assert not Slide.objects.filter(pk=slide.pk).exists()


def test_a_slide_with_a_signed_report_stays(client_of, root, alice, make_slide, make_run):
    slide = make_slide()
    report_sign(slide=slide, run=make_run(slide, [(100, 50, 0.9)]), asked=question(), by=alice)
    answer = client_of(root).delete(f"/api/v1/slides/{slide.pk}/?confirm=true")
    assert (answer.status_code, "signed reports (1)" in answer.json()["detail"]) == (409, True)
    assert client_of(root).get(f"/api/v1/slides/{slide.pk}/losses/").json()["reports"] == 1


def test_a_slide_that_was_removed_from_training_or_marked_is_not_lost_by_the_way(client_of, root, make_slide):
    slide = make_slide()
    address = f"/api/v1/slides/{slide.pk}/"
    removal = Removal.objects.create(slide=slide, reason="withdrawn", by=root)
    MitosisFreeSlide.objects.create(slide=slide, by=root)
    refused = client_of(root).delete(address)
    assert "1 mark as mitosis-free would be lost" in refused.json()["detail"]
    assert client_of(root).delete(f"{address}?confirm=true").status_code == 204
    removal.refresh_from_db()
    assert (removal.slide, removal.slide_was, str(removal)) == (None, slide.pk, "a slide that was deleted")
    assert affected_by(removals=[removal]).slides == {slide.pk}
    refused = client_of(root).delete(f"/api/v1/removals/{removal.pk}/")
    assert (refused.status_code, "stays removed" in refused.json()["detail"]) == (409, True)
    assert "A slide that was deleted" in client_of(root).get(f"/models/removal/?removal={removal.pk}").content.decode()


def test_who_deleted_and_who_had_seen_a_name_outlives_the_slide(client_of, root, make_slide):
    slide = make_slide()
    slide_identity_seen(slide=slide, user=root, what="label image")
    assert client_of(root).delete(f"/api/v1/slides/{slide.pk}/").status_code == 204
    before = {"case": slide.case.identifier, "study": slide.case.study.name, "sha256": slide.sha256}
    assert recorded(Action.SLIDE_DELETED, slide) == [("root", before, None)]
    assert recorded(Action.IDENTITY_SEEN, slide) == [("root", None, {"what": "label image"})]


def test_only_managers_of_the_study_delete(client_of, alice, bob, make_slide):
    slide = make_slide(uploaded_by=alice)
    assert client_of(alice).delete(f"/api/v1/slides/{slide.pk}/").status_code == 403
    assert client_of(bob).delete(f"/api/v1/slides/{slide.pk}/").status_code == 404
    assert Slide.objects.filter(pk=slide.pk).exists()
