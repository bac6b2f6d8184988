"""From judged figures to a version with a shift, detected with, mined with, compared and calibrated again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.frames import LabStatistics, cases_of, lab_statistics
from detector.model.card import read_card
from detector.model.checkpoint import load_shifts, load_weights, save_weights
from detector.model.stains import stain_range
from tests.drawing import draw_hpf
from webapp.annotations.models import Candidate, Label
from webapp.annotations.services import detection_request, figure_judge, figures_judge
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register
from webapp.results.count import mitosis_count
from webapp.results.question import question
from webapp.retraining.calibrations import calibration_request
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.models import Judgement
from worker.tasks import calibrate, detect, judge


def do(task, job):
    for shard in job.shards.all():
        task(shard_pk=shard.pk)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.traceback
    return job


def noise(seed, width=800, height=700):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal((215, 150, 185), 20, (height, width, 3)), 0, 255).astype(np.uint8)


def logits(scores):
    return np.log(scores / (1 - scores))


def scores_of(run):
    return np.array(run.candidates.order_by("y", "x").values_list("score", flat=True))


def judge_by_threshold(slide, run, by, threshold):
    """As a reader who calls mitotic what this version scores at least so high."""
    rows = Candidate.objects.filter(run=run).values_list("x", "y", "score")
    found = [(x, y, Label.MITOTIC if score >= threshold else Label.NON_MITOTIC) for x, y, score in rows]
    figures_judge(slide=slide, by=by, judged=[], found=found)


def far_from(run):
    """A place of the slide at which the run has found nothing."""
    xy = np.array(run.candidates.values_list("x", "y"))
    places = ((x, y) for x in range(50, 750, 10) for y in range(50, 650, 10))
    return next(place for place in places if np.hypot(*(xy - place).T).min() > 40)


@pytest.fixture
def reviewed(root, make_slide, active_model):
    """A slide of scanner SS1 on which the best threshold is 0.4, with its run."""
    slide = make_slide(scanner="SS1", image=noise(7))
    run = do(detect, detection_request(slide=slide, by=root)).run
    assert run.candidate_count >= 40
    judge_by_threshold(slide, run, root, 0.4)
    return slide, run


def test_a_calibrated_version_counts_at_half_what_people_call_mitotic(
    root, reviewed, make_slide, active_model, client_of
):
    slide, run = reviewed
    x, y = far_from(run)
    figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=x, y=y)
    calibration = calibration_request(scanner="SS1", by=root)
    do(calibrate, calibration.job)
    calibration.refresh_from_db()
    version, result = calibration.version, calibration.result
    assert (version.name, version.state, version.parent) == (
        "test weights, calibrated for SS1", "candidate", active_model,
    )  # fmt: skip
    assert version.sha256 != active_model.sha256
    assert result["logit_shift"] == pytest.approx(-logits(np.array(0.4)), abs=0.25) and result["before"] == 0
    assert result["f1_after"] > 0.9 > result["f1_before"] and result["missed"] == 1
    assert load_shifts(version.file) == {"SS1": result["logit_shift"]}
    card = read_card(version.file)
    assert card["scanner_shifts"]["SS1"]["cases"] == [slide.case.identifier] and card["scanners"] == ["SS1"]
    assert "No test case is locked" in calibration.remark

    again = do(detect, detection_request(slide=slide, by=root, model=version)).run
    assert again.parameters["logit_shift"] == result["logit_shift"] and again.parameters["scanner_known"] is True
    kept = logits(scores_of(run)) + result["logit_shift"]
    np.testing.assert_allclose(np.sort(logits(scores_of(again)))[::-1][:20], np.sort(kept)[::-1][:20], atol=1e-4)
    counted = mitosis_count(run=again, asked=question())
    assert counted.ai.count == pytest.approx(counted.reviewed.count, rel=0.02)
    assert not again.doubts

    page = client_of(root).get(f"/models/{version.pk}/").content.decode()
    assert "Calibrated for scanners" in page and f"/models/calibration/{calibration.pk}/" in page
    page = client_of(root).get(f"/models/calibration/{calibration.pk}/").content.decode()
    assert "No test case is locked" in page and f"/models/{version.pk}/" in page

    other = make_slide(scanner="SS2", image=noise(8, 500, 400))
    elsewhere = do(detect, detection_request(slide=other, by=root, model=version)).run
    assert (elsewhere.parameters["logit_shift"], elsewhere.parameters["scanner_known"]) == (0.0, False)
    assert "scanner" in elsewhere.doubts[0]
    stale = mitosis_count(run=elsewhere, asked=question()).stale
    assert elsewhere.doubts[0] in stale


def test_calibrated_again_the_shift_of_the_runs_is_taken_back_out(root, reviewed):
    slide, _ = reviewed
    first = calibration_request(scanner="SS1", by=root)
    do(calibrate, first.job)
    first.refresh_from_db()
    version_activate(version=first.version)
    do(detect, detection_request(slide=slide, by=root))
    second = calibration_request(scanner="SS1", by=root)
    assert second.parent == first.version
    do(calibrate, second.job)
    second.refresh_from_db()
    assert second.result["before"] == first.result["logit_shift"]
    assert second.result["logit_shift"] == pytest.approx(first.result["logit_shift"], abs=0.2)
    assert second.result["f1_before"] == pytest.approx(second.result["f1_after"], abs=0.05)
    assert second.version.name == "test weights, calibrated for SS1"


def test_it_is_compared_on_locked_cases_with_its_shift(root, reviewed, make_slide, active_model):
    slide = make_slide(scanner="SS1", image=noise(11))
    run = do(detect, detection_request(slide=slide, by=root)).run
    judge_by_threshold(slide, run, root, 0.4)
    case_lock(name=slide.case.identifier, by=root)
    calibration = calibration_request(scanner="SS1", by=root)
    assert {row["slide"] for row in calibration.figures} == {str(reviewed[0].pk)}
    do(calibrate, calibration.job)
    judgement = Judgement.objects.get()
    do(judge, judgement.job)
    judgement.refresh_from_db()
    assert (judgement.cases, judgement.reviewed) == ([slide.case.identifier], [str(slide.pk)])
    result = judgement.result
    assert (result["cases_imported"], result["cases_reviewed"], result["left_out"]) == (0, 1, {})
    assert result["candidate"]["f1_at_0.5"] > result["active"]["f1_at_0.5"], "its shift was applied"
    assert list(result["candidate"]["by_source"]) == ["SS1"]


def test_a_slide_whose_stain_is_not_known_is_scored_at_every_cell_and_says_so(
    root, make_slide, active_model, client_of
):
    network, card = load_weights(active_model.file)
    tissue = noise(3)
    near, far = (
        cases_of([replace(draw_hpf("A00_00"), stain=stain)])
        for stain in (lab_statistics([tissue]), LabStatistics((60, 90, 90), (9, 9, 9)))
    )
    runs = {}
    for name, cases in (("near", near), ("far", far)):
        path = active_model.file.parent / f"{name}.safetensors"
        coarse = type(network)((2,) * 6)
        save_weights(network, path, {**card, "name": name, "stains": stain_range(cases)}, coarse=coarse,
                     shifts={name: 0.0})  # fmt: skip
        version: ModelVersion = version_register(weights=path)
        runs[name] = do(detect, detection_request(slide=make_slide(image=tissue), by=root, model=version)).run
    near_run, far_run = runs["near"], runs["far"]
    assert (near_run.parameters["stain_known"], near_run.parameters["cascade"]) == (True, True)
    assert (far_run.parameters["stain_known"], far_run.parameters["cascade"]) == (False, False)
    assert len(far_run.parameters["stain"]["mean"]) == 3
    page = client_of(root).get(f"/slides/{far_run.slide_id}/").content.decode()
    assert "Outside the training range" in page and "the count is less certain" in page
    api = f"/api/v1/slides/{far_run.slide_id}"
    assert client_of(root).get(f"{api}/runs/").json()[0]["doubts"][0].startswith("The stain of this slide")
    assert "less certain" in client_of(root).get(f"{api}/mitosis-count/").json()["stale"][0]


def test_weights_without_a_range_of_stain_say_nothing(root, make_slide, active_model, client_of):
    run = do(detect, detection_request(slide=make_slide(), by=root)).run
    assert {"stain_known", "scanner_known", "stain"} & run.parameters.keys() == set()
    assert run.parameters["logit_shift"] == 0.0 and run.doubts == []
    assert "Outside the training range" not in client_of(root).get(f"/slides/{run.slide_id}/").content.decode()
