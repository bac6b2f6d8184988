"""Trainings: inputs are frozen with hashes, plans are checked, and no detection waits for one."""

from __future__ import annotations

import pytest

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.core.errors import InvalidInput
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import shard_claim_next
from webapp.retraining.plans import checked_plan
from webapp.retraining.trainings import training_request


def test_inputs_are_frozen_with_hashes(root, labelled_set, make_slide):
    slide = make_slide()
    figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=50, y=50)
    first = training_request(by=root, name="1", sets=[labelled_set])
    again = training_request(by=root, name="2", sets=[labelled_set])
    figure_judge(slide=slide, by=root, label=Label.NON_MITOTIC, x=50, y=50, expected=1)
    other = training_request(by=root, name="3", sets=[labelled_set])
    assert first.manifest_sha256 == again.manifest_sha256 != other.manifest_sha256
    first.refresh_from_db()
    assert first.manifest["figures"][0]["label"] == "mitotic"
    assert first.manifest["figures"][0]["by"] == root.pk
    assert first.manifest["slides"][str(slide.pk)]["sha256"] == slide.sha256


@pytest.mark.parametrize(
    "plan",
    [{"base": "nothing"}, {"ratio": [0, 1]}, {"ratio": "1:1"}, {"seed": -1}, {"iterations": 0}, {"lr": 1},
     {"device": "tpu"}, {"augment": 1}],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(plan):
    with pytest.raises(InvalidInput):
        checked_plan(plan)


def test_there_must_be_something_to_learn_from(root, mined):
    with pytest.raises(InvalidInput, match="No labelled training data"):
        training_request(by=root, name="t", mining=[mined])


def test_a_training_takes_no_turn_from_a_detection(root, labelled_set, make_slide, model):
    from webapp.annotations.services import detection_request

    training_request(by=root, name="t", sets=[labelled_set])
    job = detection_request(slide=make_slide(), by=root)
    assert shard_claim_next(kind=Job.Kind.TRAIN, worker="trainer") is not None
    assert job.queue_position == 1
    claimed = shard_claim_next(kind=Job.Kind.DETECT, worker="detector")
    assert claimed is not None and claimed.job == job
    assert Shard.objects.filter(state="running").count() == 2
