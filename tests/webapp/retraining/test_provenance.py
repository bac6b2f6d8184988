"""Removal reaches everything made from what is removed; every version says where it comes from."""

from __future__ import annotations

import pytest

from tests.webapp.retraining.conftest import trained
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.core.errors import DomainError
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.mining import mined_sample_judge, mining_request
from webapp.retraining.models import (
    LabelledFrame,
    LabelledSet,
    MinedSample,
    Removal,
)
from webapp.retraining.provenance import affected_by, removed_now, sources_of
from webapp.retraining.removals import removal_make
from webapp.retraining.selectors import model_card
from webapp.retraining.trainings import training_again, training_request


def test_removal_reaches_what_was_made_from_what_was_made(root, alice, labelled_set, make_slide, model):
    slide, other = make_slide(), make_slide()
    for one in (slide, other):
        figure_judge(slide=one, by=alice, label=Label.MITOTIC, x=50, y=50)
    first = training_request(by=root, name="first", sets=[labelled_set])
    made = trained(first)
    run = mining_request(slides=[make_slide()], by=root, model=made)
    MinedSample.objects.create(run=run, slide=run.slides.get().slide, x=1, y=1, scores=[1] * 8, least=1, draw=0)
    second = training_request(by=root, name="second", sets=[labelled_set], verdicts=False, mining=[run])
    unrelated = training_request(by=root, name="unrelated", sets=[labelled_set], verdicts=False)
    grandchild = trained(second, "grandchild", "e")

    before = affected_by(removals=[Removal(slide=slide)])
    assert before.trainings == {first.pk, second.pk}
    assert before.versions == {made.pk, grandchild.pk}
    assert before.mining_runs == {run.pk}
    assert removed_now().trainings == set(), "looking changes nothing"

    removal_make(slide=slide, by=root, reason="consent withdrawn")
    manifest = training_request(by=root, name="clean", sets=[labelled_set], mining=[run]).manifest
    assert [row["slide"] for row in manifest["figures"]] == [str(other.pk)]
    assert manifest["mined"] == []
    assert unrelated.pk not in removed_now().trainings
    with pytest.raises(DomainError, match="was made from what has been removed"):
        training_request(by=root, name="t", sets=[labelled_set], parent=grandchild)


def test_the_next_set_is_that_of_a_training_less_what_was_removed(root, alice, labelled_set, mined, make_slide, model):
    slide, other = make_slide(), make_slide()
    for one in (slide, other):
        figure_judge(slide=one, by=alice, label=Label.MITOTIC, x=50, y=50)
    own = LabelledSet.objects.create(name="hers", sha256="b" * 64, by=alice)
    LabelledFrame.objects.create(
        labelled_set=own, name="H_00", case="H", source="lab", mpp=0.25, width=300, height=300, mitoses=[[10, 10]],
        non_mitoses=[], exhaustive=True,
    )  # fmt: skip
    plan = {"seed": 5, "iterations": 9}
    ask = {"sets": [labelled_set, own], "mining": [mined], "plan": plan, "cases": ["A00", "A02", "H"]}
    first = training_request(by=root, name="first", **ask)
    child = training_request(by=root, name="child", parent=trained(first), **ask)
    removal_make(slide=slide, by=root, reason="consent withdrawn")
    removal_make(labelled_set=own, by=root, reason="wrong scanner")
    case_lock(name="A02", by=root)
    again = training_again(training=child, by=root, name="again")
    assert (again.parent, again.plan) == (None, child.plan)
    assert again.manifest["sets"][0]["cases"] == ["A00"]
    assert [row["slide"] for row in again.manifest["figures"]] == [str(other.pk)]
    assert len(again.manifest["mined"]) == len(first.manifest["mined"]) > 0


def test_removing_a_person_takes_out_their_verdicts_their_sets_and_samples_they_confirmed(
    root, alice, labelled_set, mined, make_slide
):
    for person, x in ((alice, 50), (root, 200)):
        figure_judge(slide=mined.slides.get().slide, by=person, label=Label.MITOTIC, x=x, y=50)
    sample = mined.samples.first()
    mined_sample_judge(sample=sample, label=Label.MITOTIC, by=alice)
    own = LabelledSet.objects.create(name="hers", sha256="b" * 64, by=alice)
    removal_make(person=alice, by=root, reason="asked to")
    manifest = training_request(by=root, name="t", sets=[labelled_set], mining=[mined]).manifest
    assert {row["by"] for row in manifest["figures"]} == {root.pk}
    assert len(manifest["mined"]) == 99
    with pytest.raises(DomainError, match="hers has been removed"):
        training_request(by=root, name="t", sets=[own])


def test_from_a_detection_back_to_sample_slide_and_person(
    root, alice, labelled_set, mined, make_slide, make_run, client_of
):
    slide, seen = make_slide("source.tif"), make_slide("seen.tif")
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=50, y=60)
    sample = mined.samples.first()
    mined_sample_judge(sample=sample, label=Label.MITOTIC, by=root)
    version = trained(training_request(by=root, name="t", sets=[labelled_set], mining=[mined]))
    run = make_run(seen, [(10, 10, 0.9)])
    type(run).objects.filter(pk=run.pk).update(model=version)
    client = client_of(root)
    page = client.get(f"/slides/{seen.pk}/").content.decode()
    address = f"/models/{version.pk}/samples/"
    assert address in page
    learnt = client.get(f"{address}?page=1").content.decode() + client.get(f"{address}?page=2").content.decode()
    assert f"/slides/{slide.pk}/#x=50&amp;y=60" in learnt
    assert "judged by alice" in learnt
    assert "confirmed by root" in learnt
    assert f"/models/mining/{mined.pk}/" in learnt
    assert "Not trained here" in client.get(f"/models/{run.model_id}/samples/").content.decode()


def test_from_a_version_back_to_slides_people_and_sets_and_its_card_says_so(root, alice, labelled_set, make_slide):
    slide = make_slide("source.tif")
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=50, y=50)
    version = trained(training_request(by=root, name="t", sets=[labelled_set]))
    found = sources_of(version=version)
    assert [one.name for one in found.slides] == ["source.tif"]
    assert found.people == [alice, root]
    card = model_card(version=version)
    assert card["training"]["sets"][0]["sha256"] == labelled_set.sha256
    assert card["training"]["people"] == ["alice", "root"]
    assert card["judgements"] == []
