"""Calibrating for a scanner: which judged figures count, what is refused and how it is said, who may."""

from __future__ import annotations

import pytest

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.core.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_create
from webapp.registry.models import ModelVersion
from webapp.retraining.calibrations import calibrated_name, calibration_request, scanners_judged
from webapp.retraining.locked_cases import case_lock, cases_learnt_by
from webapp.retraining.models import ScannerCalibration
from webapp.retraining.provenance import removed_now
from webapp.retraining.removals import removal_make


@pytest.fixture
def judged_slide(make_slide, make_run, root):
    """Slides of a scanner with a run of the active version and so many judged candidates, every second one mitotic."""

    def make(count, scanner="SS1", label=None, shift=None, by=root):
        slide = make_slide(scanner=scanner)
        rows = [(10.0 + 50 * (i % 11), 10.0 + 50 * (i // 11), 0.9 - i / 100) for i in range(count)]
        run = make_run(slide, rows)
        if shift is not None:
            run.parameters = {**run.parameters, "logit_shift": shift}
            run.save()
        for i, (x, y, _) in enumerate(rows):
            figure_judge(slide=slide, by=by, x=x, y=y, label=label or (Label.NON_MITOTIC if i % 2 else Label.MITOTIC))
        return slide

    return make


def told(scanner):
    return next(one for one in scanners_judged() if one.scanner == scanner)


def test_thirty_judged_figures_with_a_score_are_enough_and_their_verdicts_are_frozen(root, judged_slide, model):
    first, second = judged_slide(20), judged_slide(10, shift=0.75)
    figure_judge(slide=second, by=root, x=400, y=400, label=Label.MITOTIC)  # that the version has not found
    figure_judge(slide=second, by=root, x=400, y=300, label=Label.NON_MITOTIC)
    figure_judge(slide=first, by=root, x=10, y=10, label=Label.UNSURE, expected=1)
    figure_judge(slide=first, by=root, x=10, y=10, label=Label.MITOTIC, expected=2)
    one = told("SS1")
    assert (one.slides, one.mitotic, one.non_mitotic, one.missed, one.refusal) == (2, 15, 15, 1, "")
    calibration = calibration_request(scanner="SS1", by=root)
    assert (calibration.parent, calibration.job.kind, calibration.job.unit) == (model, "calibrate", "figures")
    figures = calibration.figures
    assert len(figures) == 31, "a non-mitotic figure that is not found says nothing"
    assert {row["slide"]: row["logit_shift"] for row in figures} == {str(first.pk): 0.0, str(second.pk): 0.75}
    (missed,) = [row for row in figures if row["score"] is None]
    assert (missed["x"], missed["y"], missed["label"], missed["by"]) == (400, 400, "mitotic", root.pk)
    with pytest.raises(DomainError, match="under way already"):
        calibration_request(scanner="SS1", by=root)
    job_cancel(job=calibration.job)
    assert calibration_request(scanner="SS1", by=root).figures_sha256 == calibration.figures_sha256


def test_too_few_or_one_sided_verdicts_are_refused_with_how_many_there_are(root, judged_slide, make_slide):
    judged_slide(29)
    with pytest.raises(DomainError, match="29 judged figures on slides of SS1 have a score by m; .* at least 30"):
        calibration_request(scanner="SS1", by=root)
    judged_slide(30, scanner="SS2", label=Label.MITOTIC)
    with pytest.raises(DomainError, match="All 30 judged figures .* are mitotic, .* non-mitotic as well"):
        calibration_request(scanner="SS2", by=root)
    make_slide(scanner="SS3")
    assert told("SS3").refusal.startswith("0 judged figures")
    with pytest.raises(InvalidInput, match="No slide here was scanned with SS9; the scanners are: SS1, SS2, SS3"):
        calibration_request(scanner="SS9", by=root)
    assert not ScannerCalibration.objects.exists()


def test_locked_cases_removed_slides_and_other_versions_do_not_count(root, alice, judged_slide, make_slide, model):
    locked, removed, person = judged_slide(5), judged_slide(6), judged_slide(7, by=alice)
    judged_slide(8)
    assert told("SS1").scored == 26
    case_lock(name=locked.case.identifier, by=root)
    assert told("SS1").scored == 21
    removal_make(slide=removed, by=root, reason="consent withdrawn")
    assert told("SS1").scored == 15
    removal_make(person=alice, by=root, reason="left")
    assert (told("SS1").scored, person.figures.count()) == (8, 7)
    model.state = ModelVersion.State.RETIRED
    model.save()
    with pytest.raises(DomainError, match="No model version is active"):
        scanners_judged()
    ModelVersion.objects.create(name="n", state="active", path="n", sha256="1" * 64, card={})
    assert told("SS1").scored == 0, "it has scored nothing yet"


def test_what_it_rests_on_is_not_compared_on_and_is_reached_by_a_removal(root, judged_slide, model):
    slide = judged_slide(30)
    calibration = calibration_request(scanner="SS1", by=root)
    made = ModelVersion.objects.create(name="made", path="made", sha256="d" * 64, card={})
    ScannerCalibration.objects.filter(pk=calibration.pk).update(version=made)
    assert slide.case.identifier in cases_learnt_by(made)
    grandchild = ModelVersion.objects.create(name="g", path="g", sha256="e" * 64, card={})
    again = ScannerCalibration.objects.create(
        scanner="SS2",
        job=job_create(kind=Job.Kind.CALIBRATE, by=root),
        parent=made,
        figures=[],
        figures_sha256="",
        version=grandchild,
    )
    removal_make(slide=slide, by=root, reason="consent withdrawn")
    assert removed_now().versions == {made.pk, again.version_id}


def test_names_say_the_scanners(model):
    assert calibrated_name(model, "SS1") == "m, calibrated for SS1"
    model.name, model.card = "m, calibrated for SS1", {"scanner_shifts": {"SS1": {"logit_shift": 1}}}
    assert calibrated_name(model, "Aperio") == "m, calibrated for Aperio, SS1"
    assert len(calibrated_name(model, "x" * 100)) == 100


def test_page_and_rest_for_administrators_alone(client_of, root, alice, charlie, judged_slide):
    judged_slide(30)
    judged_slide(3, scanner="SS2")
    api = "/api/v1/calibrations/"
    page = client_of(root).get("/models/retraining/").content.decode()
    assert "SS1: 30 figures" in page and "3 judged figures on slides of SS2 have a score by m" in page
    listed = client_of(root).get(f"{api}scanners/").json()
    assert [(one["scanner"], one["mitotic"], one["refusal"][:1]) for one in listed] == [
        ("SS1", 15, ""),
        ("SS2", 2, "3"),
    ]
    for user, code in ((alice, 403), (charlie, 403), (None, 401)):
        assert client_of(user).get(api).status_code == code
        assert client_of(user).get(f"{api}scanners/").status_code == code
        assert client_of(user).post(api, {"scanner": "SS1"}, format="json").status_code == code
    refused = client_of(root).post(api, {"scanner": "SS2"}, format="json")
    assert (refused.status_code, "at least 30" in refused.json()["detail"]) == (409, True)
    assert client_of(root).post(api, {}, format="json").status_code == 400
    answer = client_of(root).post(api, {"scanner": "SS1"}, format="json")
    assert answer.status_code == 202, answer.content
    made = answer.json()
    assert (made["figures"], made["result"], made["version"], made["job"]["kind"]) == (30, None, None, "calibrate")
    assert len(client_of(root).get(f"{api}{made['id']}/figures/").json()["figures"]) == 30
    address = f"/models/calibration/{made['id']}/"
    assert client_of(charlie).get(address).status_code == 403
    shown = client_of(root).get(address).content.decode()
    assert "The calibration is running" in shown and made["figures_sha256"] in shown
    assert f'"{address}"' in client_of(root).get("/models/retraining/").content.decode()
