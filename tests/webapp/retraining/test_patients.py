"""Deleting a patient: nothing that names them is left, and what was signed can still be checked."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from tests.recorded import recorded
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.audit.models import Action
from webapp.core.errors import DomainError
from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from webapp.reports.models import Report
from webapp.reports.selectors import report_faults
from webapp.reports.services import report_sign
from webapp.results.question import question
from webapp.retraining.judgements import judgement_save
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.models import Judgement, LockedCase, Removal
from webapp.retraining.patients import case_delete
from webapp.retraining.provenance import affected_by
from webapp.retraining.trainings import training_request
from webapp.slides.models import Case, CaseDeletion, Membership, Slide, Study, Upload
from webapp.slides.selectors import reports_on
from webapp.slides.services import forget_deleted, slide_delete
from webapp.slides.uploads import upload_create


def manager_of(study, name):
    user = User.objects.create_user(name, password="pw")
    Membership.objects.create(study=study, user=user, role=Membership.Role.MANAGER)
    return user


@pytest.fixture
def mary(study):
    return manager_of(study, "mary")


@pytest.fixture
def slides(study, alice, make_slide, make_run):
    """Two slides of a patient; one with a report over both, signed between two of other patients."""
    case = Case.objects.create(study=study, identifier="Zorka-1961")
    made = [make_slide(name=f"Zorka-1961 slide {i}", mpp=0.25, case=case, file_name=f"zorka {i}.svs") for i in (1, 2)]
    runs = [make_run(slide, [(100, 50, 0.9)]) for slide in made]
    figure_judge(slide=made[0], by=alice, label=Label.MITOTIC, x=100, y=50)
    Upload.objects.create(user=alice, study=study, name="zorka 1.svs", size=1, slide=made[0])

    def another():
        slide = make_slide(mpp=0.25)
        report_sign(slide=slide, run=make_run(slide, [(1, 1, 0.9)]), asked=question(), by=alice)

    another()
    report_sign(slide=made[0], run=runs[0], asked=question(), by=alice, comment="Zorka's", whole_case=True)
    another()
    return made


@pytest.fixture
def rows_of_judgement(model, root):
    def make(**more):
        version = ModelVersion.objects.create(name="v", path="v", sha256="v" * 64, card={})
        job = Job.objects.create(kind=Job.Kind.JUDGE, requested_by=root)
        return Judgement.objects.create(job=job, version=version, active=model, **more)

    return make


def address(slides):
    return f"/api/v1/cases/{slides[0].case_id}/deletion/"


def of_patient():
    return Report.objects.get(number=2)


def test_a_patient_goes_and_the_numbers_of_the_report_stay_without_a_name(
    client_of, mary, slides, django_capture_on_commit_callbacks
):
    client, signed = client_of(mary), of_patient()
    lost = client.get(address(slides)).json()
    assert lost == {
        "slides": 2, "reports": 1, "reports_become": "tombstone", "verdicts": 1, "regions": 0, "mined_samples": 0,
        "versions": 0, "asked_by": None, "asked_at": None,
    }  # fmt: skip
    assert "send confirm: true" in client.post(address(slides)).json()["detail"]
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(address(slides), {"confirm": True}, format="json").json() == {"state": "deleted"}
    assert not Case.objects.filter(identifier="Zorka-1961").exists() and not Upload.objects.exists()
    assert not any(slide.folder.exists() for slide in slides)
    stone = of_patient()
    assert "zorka" not in json.dumps(stone.facts).lower() and bytes(stone.pdf) == b""
    assert stone.facts["count"]["count"] == signed.facts["count"]["count"] and len(stone.facts["others"]) == 1
    assert (stone.sha256, stone.seal, stone.slide_was) == (signed.sha256, signed.seal, slides[0].pk)
    assert all(report_faults(report) == [] for report in Report.objects.all())
    call_command("check_reports", stdout=io.StringIO())
    page = client.get("/reports/check/", {"hash": signed.sha256}).content.decode()
    assert "signed here" in page and "The patient was deleted by mary on" in page and "Zorka" not in page
    assert client.get(f"/api/v1/reports/{stone.pk}/report.pdf").status_code == 404
    assert recorded(Action.CASE_DELETION) == [("mary", {"slides": 2, "reports": 1}, {})]


@pytest.mark.parametrize(
    "change", [{"facts": {"count": 1}}, {"buried_by": "another"}, {"buried_at": timedelta(days=1)}]
)
def test_what_is_left_cannot_be_changed(client_of, mary, slides, change):
    client_of(mary).post(address(slides), {"confirm": True}, format="json")
    stone = of_patient()
    for name, value in change.items():
        setattr(stone, name, getattr(stone, name) + value if isinstance(value, timedelta) else value)
    stone.save()
    assert report_faults(stone) == ["What is left of it is not what was left."]
    stone.delete()
    assert "number 2, is missing" in report_faults(Report.objects.get(number=3))[0]


def test_where_the_study_wants_it_a_second_manager_agrees_and_nothing_stays(client_of, mary, study, slides):
    Study.objects.filter(pk=study.pk).update(deleted_reports="consent")
    peter, confirmed = manager_of(study, "peter"), {"confirm": True}
    assert client_of(mary).post(address(slides), confirmed, format="json").json() == {"state": "asked for"}
    assert Slide.objects.filter(case=slides[0].case_id).count() == 2
    again = client_of(mary).post(address(slides), confirmed, format="json")
    assert (again.status_code, "a second manager" in again.json()["detail"]) == (409, True)
    page = client_of(peter).get(f"/cases/{slides[0].case_id}/?delete").content.decode()
    assert "by mary" in page and "Agree and delete" in page
    assert client_of(peter).delete(address(slides)).status_code == 204 and not CaseDeletion.objects.exists()
    client_of(mary).post(address(slides), confirmed, format="json")
    assert client_of(peter).post(address(slides), confirmed, format="json").json() == {"state": "deleted"}
    assert of_patient().facts == {} and report_faults(of_patient()) == []
    assert client_of(peter).get("/reports/check/", {"hash": of_patient().sha256}).status_code == 200
    assert recorded(Action.CASE_DELETION)[-1] == ("peter", {"slides": 2, "reports": 1}, {"asked for by": "mary"})


def test_without_reports_nobody_else_is_asked(client_of, mary, study, make_slide):
    Study.objects.filter(pk=study.pk).update(deleted_reports="consent")
    slide = make_slide()
    answer = client_of(mary).post(address([slide]), {"confirm": True}, format="json")
    assert answer.json() == {"state": "deleted"} and not Case.objects.filter(pk=slide.case_id).exists()


def test_who_is_no_manager_does_not_see_and_does_nothing(client_of, alice, bob, slides):
    assert client_of(alice).get(address(slides)).status_code == 403
    assert client_of(alice).post(address(slides), {"confirm": True}, format="json").status_code == 403
    assert client_of(bob).post(address(slides), {"confirm": True}, format="json").status_code == 404
    assert "Delete this patient" not in client_of(alice).get(f"/cases/{slides[0].case_id}/?delete").content.decode()


def test_what_learns_from_the_patient_now_stays_removed(root, mary, client_of, slides, labelled_set, model):
    training = training_request(by=root, name="under way", sets=[labelled_set], mining=[], parent=model)
    rows = training.manifest["figures"]
    assert [row["slide"] for row in rows] == [str(slides[0].pk)] and training.version is None
    client_of(mary).post(address(slides), {"confirm": True}, format="json")
    (removal,) = Removal.objects.filter(ended_at=None)
    assert removal.slide_was == slides[0].pk and affected_by(removals=[removal]).trainings == {training.pk}
    page = client_of(root).get("/models/retraining/").content.decode()
    assert "a slide that was deleted: The patient was deleted." in page


def test_what_learnt_from_a_slide_that_was_deleted_before_is_removed_with_its_patient(
    root, mary, client_of, slides, labelled_set, model
):
    training = training_request(by=root, name="before", sets=[labelled_set], mining=[], parent=model)
    slide_delete(slide=slides[0])
    assert not Removal.objects.exists()
    case_delete(case=slides[1].case, by=mary)
    (removal,) = Removal.objects.filter(ended_at=None)
    assert removal.slide_was == slides[0].pk and affected_by(removals=[removal]).trainings == {training.pk}


def test_one_manager_does_not_take_the_second_one_away(client_of, mary, root, study, slides):
    Study.objects.filter(pk=study.pk).update(deleted_reports="consent")
    where = f"/api/v1/studies/{study.pk}/"
    refused = client_of(mary).patch(where, {"deleted_reports": "tombstone"}, format="json")
    assert (refused.status_code, "an administrator alone" in refused.json()["detail"]) == (403, True)
    assert client_of(mary).patch(where, {"shape": "square"}, format="json").status_code == 200
    assert client_of(root).patch(where, {"deleted_reports": "tombstone"}, format="json").status_code == 200


def test_who_is_no_manager_any_more_has_asked_for_nothing(client_of, mary, study, slides):
    Study.objects.filter(pk=study.pk).update(deleted_reports="consent")
    peter, confirmed = manager_of(study, "peter"), {"confirm": True}
    client_of(mary).post(address(slides), confirmed, format="json")
    Membership.objects.filter(user=mary).update(role=Membership.Role.READER)
    assert client_of(peter).post(address(slides), confirmed, format="json").json() == {"state": "asked for"}


def test_pictures_of_comparisons_and_unfinished_uploads_go(
    client_of, mary, alice, study, slides, rows_of_judgement, django_capture_on_commit_callbacks
):
    judgement = rows_of_judgement(cases=["Zorka-1961"])
    judgement.folder.mkdir(parents=True)
    upload = upload_create(user=alice, study=study, name="zorka.svs", size=3, case_identifier="Zorka-1961")
    with django_capture_on_commit_callbacks(execute=True):
        client_of(mary).post(address(slides), {"confirm": True}, format="json")
    assert not judgement.folder.exists()
    assert not Upload.objects.exists() and not upload.file.exists()


def test_the_name_goes_from_locked_cases_and_comparisons(
    client_of, mary, study, slides, make_slide, rows_of_judgement, root
):
    other = Case.objects.create(study=study, identifier="Zorka-19")
    make_slide(case=other)
    for name in ("Zorka-1961", "Zorka-19"):
        case_lock(name=name, by=root)
    judgement = rows_of_judgement(
        cases=["Zorka-19", "Zorka-1961"], left_out={"Zorka-1961": "not read to the end"},
        why="It was trained on Zorka-19, Zorka-1961.", result={"differences": [{"case": "Zorka-1961", "x": 1.0}]},
    )  # fmt: skip
    client_of(mary).post(address(slides), {"confirm": True}, format="json")
    judgement.refresh_from_db()
    assert judgement.cases == [other.identifier, "(deleted)"] and judgement.why.endswith("Zorka-19, (deleted).")
    assert judgement.left_out == {"(deleted)": "not read to the end"}
    assert judgement.result == {"differences": [{"case": "(deleted)", "x": 1.0}]}
    assert [case.name for case in LockedCase.objects.all()] == ["Zorka-19"]


def test_a_number_as_a_name_goes_too_and_what_is_ours_stays(
    client_of, mary, study, make_slide, rows_of_judgement, model
):
    for name in ("19610417", "x", "better"):
        make_slide(case=Case.objects.create(study=study, identifier=name))
    by_us = {"active": {"x": 2}, "verdict": "better", "device": "x"}
    row = {"case": "x", "frame": "Zorka's slide", "x": 1.0, "by": "x"}
    judgement = rows_of_judgement(
        cases=["19610417", "x"], why="Trained on 19610417; F1 0.19610417 of 3 cases.",
        left_out={"x": "No frame of it."}, result={"differences": [row], "left_out": {"x": "None."}, **by_us},
    )  # fmt: skip
    Job.objects.filter(pk=judgement.job_id).update(error="The slides of 19610417 cannot be read.")
    version = judgement.version
    version.card = {"judgement": {"cases": ["19610417", "x"], "why": "19610417 and x"}}
    version.save()
    for case in Case.objects.filter(identifier__in=["19610417", "x", "better"]):
        client_of(mary).post(f"/api/v1/cases/{case.pk}/deletion/", {"confirm": True}, format="json")
    judgement.refresh_from_db()
    version.refresh_from_db()
    assert judgement.why == "Trained on (deleted); F1 0.19610417 of 3 cases."
    assert judgement.left_out == {"(deleted)": "No frame of it."}
    gone = {**row, "case": "(deleted)", "frame": "(deleted)"}
    assert judgement.result == {"differences": [gone], "left_out": {"(deleted)": "None."}, **by_us}
    assert Job.objects.get(pk=judgement.job_id).error == "The slides of (deleted) cannot be read."
    assert version.card["judgement"] == {"cases": ["(deleted)", "(deleted)"], "why": "(deleted) and (deleted)"}


def test_a_comparison_that_runs_meanwhile_does_not_bring_the_name_back(
    client_of, mary, slides, rows_of_judgement, django_capture_on_commit_callbacks
):
    judgement = rows_of_judgement(cases=["Zorka-1961"])
    client_of(mary).post(address(slides), {"confirm": True}, format="json")
    judgement.folder.mkdir(parents=True)
    sides = {"max_f1": 0.5, "f1_at_0.5": 0.5}
    result = {"candidate": sides, "active": sides, "verdict": "better", "why": "On Zorka-1961.", "rule": "r"}
    with django_capture_on_commit_callbacks(execute=True):
        judgement_save(judgement=judgement, result={**result, "differences": [{"case": "Zorka-1961"}]})
    judgement.refresh_from_db()
    judgement.version.refresh_from_db()
    kept = json.dumps([judgement.cases, judgement.why, judgement.result, judgement.version.card])
    assert "Zorka" not in kept and "better" in kept and not judgement.folder.exists()


def test_no_answer_that_is_kept_brings_the_patient_back(client_of, mary, slides):
    client, key = client_of(mary), {"HTTP_IDEMPOTENCY_KEY": "once"}
    said = client.post(f"/api/v1/slides/{slides[1].pk}/reports/", {}, format="json", **key)
    assert said.status_code == 201 and "Zorka" in said.content.decode()
    client.post(address(slides), {"confirm": True}, format="json")
    again = client.post(f"/api/v1/slides/{slides[1].pk}/reports/", {}, format="json", **key)
    assert again.status_code == 404 and "Zorka" not in again.content.decode()


def test_a_slide_in_a_report_over_the_whole_case_goes_with_its_patient_alone(client_of, mary, slides):
    """`make_slide` gives all slides one hash; a report knows its slides by theirs."""
    Slide.objects.filter(pk=slides[1].pk).update(sha256="f" * 64)
    slides[1].refresh_from_db()
    report = of_patient()
    for part in report.facts["others"]:
        part["slide"]["sha256"] = "f" * 64
    report.save()
    assert reports_on(slide=slides[1]) == 1
    answer = client_of(mary).delete(f"/api/v1/slides/{slides[1].pk}/?confirm=true")
    assert answer.status_code == 409 and "Its patient can" in answer.json()["detail"]


def test_what_is_deleted_already_is_said(mary, slides):
    case_delete(case=slides[0].case, by=mary)
    with pytest.raises(DomainError, match="case was deleted meanwhile"):
        case_delete(case=slides[0].case, by=mary)
    with pytest.raises(DomainError, match="deleted meanwhile"):
        slide_delete(slide=slides[0])


def test_files_that_stayed_are_deleted_once_more(mary, slides):
    case_delete(case=slides[0].case, by=mary)  # and the process died before the files went
    assert slides[0].folder.exists()
    forget_deleted()
    assert not slides[0].folder.exists()
