"""The locked split is guarded: what is judged on is never learnt from."""

from __future__ import annotations

import pytest

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.core.errors import DomainError, InvalidInput
from webapp.registry.models import ModelVersion
from webapp.retraining.judgements import judgement_request
from webapp.retraining.locked_cases import case_lock, case_unlock, free_slide_add
from webapp.retraining.mining import mining_request
from webapp.retraining.models import (
    TrainingRun,
)
from webapp.retraining.removals import removal_make
from webapp.retraining.trainings import training_request
from webapp.slides.models import Case


def test_a_locked_case_that_is_offered_is_refused_by_name(root, labelled_set, mined, make_slide):
    case_lock(name="A01", by=root)
    with pytest.raises(DomainError, match="Locked test case.*A01"):
        training_request(by=root, name="t", sets=[labelled_set], cases=["A00", "A01"])
    case = mined.slides.get().slide.case.identifier
    case_lock(name=case, by=root)
    with pytest.raises(DomainError, match=f"Locked test case.*{case}"):
        training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    with pytest.raises(DomainError, match=case):
        mining_request(slides=[mined.slides.get().slide], by=root)
    assert not TrainingRun.objects.exists()


def test_without_being_offered_locked_cases_stay_out_and_nobody_is_on_two_sides(root, labelled_set, make_slide, study):
    case_lock(name="A01", by=root)
    locked_slide = make_slide(case=Case.objects.create(study=study, identifier="A01"))
    open_slide = make_slide()
    for slide in (locked_slide, open_slide):
        figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=50, y=50)
    manifest = training_request(by=root, name="t", sets=[labelled_set]).manifest
    assert [row["slide"] for row in manifest["figures"]] == [str(open_slide.pk)]
    parts = [set(manifest[name]) for name in ("train", "validation", "test")]
    assert parts[2] == {"A01"}
    assert len(parts[1]) == 1
    assert sum(map(len, parts)) == len(set.union(*parts)) == 5


def test_a_case_that_was_judged_on_stays_locked(root, labelled_set, model, candidate):
    case = case_lock(name="A01", by=root)
    case_unlock(case=case)
    case = case_lock(name="A01", by=root)
    judgement_request(version=candidate, by=root)
    with pytest.raises(DomainError, match="stays locked"):
        case_unlock(case=case)


def test_a_case_that_the_active_version_learnt_from_cannot_be_locked(root, labelled_set, model):
    model.card = {"data": [{"case_names": ["A01"]}]}
    model.save()
    with pytest.raises(DomainError, match="was trained on the case A01"):
        case_lock(name="A01", by=root)
    with pytest.raises(InvalidInput, match="No labelled frame"):
        case_lock(name="nobody", by=root)


def test_a_version_is_not_judged_on_what_it_learnt_from(root, labelled_set, model, candidate):
    case_lock(name="A01", by=root)
    candidate.card = {"data": [{"case_names": ["A01"]}]}
    candidate.save()
    with pytest.raises(DomainError, match="was trained on A01"):
        judgement_request(version=candidate, by=root)


def test_a_slide_without_mitoses_is_said_so_by_a_person_and_locks_its_case(
    root, alice, labelled_set, model, candidate, make_slide
):
    free, other, gone = make_slide("free.tif"), make_slide("other.tif"), make_slide("gone.tif")
    figure_judge(slide=other, by=alice, label=Label.MITOTIC, x=5, y=5)
    with pytest.raises(DomainError, match="has a mitotic verdict"):
        free_slide_add(slide=other, by=root)
    with pytest.raises(DomainError, match="not ready"):
        free_slide_add(slide=make_slide(mpp=None), by=root)
    for slide in (free, gone):
        free_slide_add(slide=slide, by=root)
    with pytest.raises(DomainError, match=free.case.identifier):
        mining_request(slides=[free], by=root)
    removal_make(slide=gone, by=root, reason="consent withdrawn")
    case_lock(name="A01", by=root)
    assert judgement_request(version=candidate, by=root).slides == [str(free.pk)]
    learner = ModelVersion.objects.create(
        name="l", path="l.safetensors", sha256="9" * 64, card={"data": [{"case_names": [free.case.identifier]}]}
    )
    with pytest.raises(DomainError, match="was trained on"):
        judgement_request(version=learner, by=root)
