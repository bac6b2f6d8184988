"""Whatever is written, the next count is that of what holds then: in every process, though all remember counts."""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.models import User

import webapp.annotations.services
import webapp.exchange.services
import webapp.registry.services
import webapp.slides.services
import webapp.slides.studies
import webapp.slides.uploads
from webapp.access.services import token_make
from webapp.annotations.evaluable import evaluable_of
from webapp.annotations.models import Candidate, Figure, Label, Region
from webapp.annotations.services import RunStamp, figure_judge, region_draw, region_remove, run_save
from webapp.core.redis import ask_again
from webapp.core.typed_json import to_json
from webapp.exchange.imports import Review
from webapp.exchange.services import review_import
from webapp.jobs.models import Job
from webapp.jobs.services import job_create, shard_claim
from webapp.readings.services import reading_finish, readings_begin
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_promote, version_roll_back
from webapp.results import cache, count, question
from webapp.slides.models import Case, Membership, Slide, Study
from webapp.slides.services import slide_delete, slide_measure_tissue, slide_set_mpp
from webapp.slides.studies import member_put, member_remove, study_change

CANDIDATES = [(100.0, 100.0, 0.95), (300.0, 200.0, 0.6), (400.0, 300.0, 0.9)]
CORNER = [[50.0, 50.0], [350.0, 50.0], [350.0, 350.0], [50.0, 350.0]]


def _another_run(slide, by):
    job = job_create(kind=Job.Kind.DETECT, slide=slide, by=by)
    shard_claim(shard_pk=job.shards.get().pk, worker="a")
    stamp = RunStamp(**{field.name: getattr(slide.runs.get(), field.name) for field in fields(RunStamp)})
    run_save(job=job, stamp=stamp, candidates=[*CANDIDATES, (10.0, 10.0, 0.8)])


def _another_version(state=ModelVersion.State.CANDIDATE):
    (settings.MODEL_DIR / "n").parent.mkdir(exist_ok=True)
    (settings.MODEL_DIR / "n").touch()
    return ModelVersion.objects.create(name="n", state=state, path="n", sha256="1" * 64, card={})


def _mpp(slide, by):
    slide_set_mpp(slide=slide, mpp=0.5, user=User.objects.create_superuser("root"))


def _manager(slide):
    root = User.objects.create_superuser("root")
    member_put(study=slide.case.study, user=root, role=Membership.Role.MANAGER, by=root)
    return root


def _measured(slide, by):
    Slide.objects.update(tissue_fraction=0.3)
    yield
    slide_measure_tissue(slide=slide)


def _promoted_and_back(slide, by):
    model = ModelVersion.objects.get()
    model.file.parent.mkdir(exist_ok=True)
    model.file.touch()
    version_promote(version=_another_version(), by=by, reason="better")
    yield
    version_roll_back(by=by)


def _judged_twice(slide, by):
    figure_judge(slide=slide, by=by, x=300, y=200, label=Label.NON_MITOTIC)
    yield
    figure_judge(slide=slide, by=by, x=300, y=200, label=Label.MITOTIC, expected=1)
    yield
    figure_judge(slide=slide, by=by, x=300, y=200, label=Label.OPEN, expected=2)


def _drawn_changed_removed(slide, by):
    region = region_draw(slide=slide, by=by, kind=Region.Kind.TUMOUR, polygon=CORNER)
    yield
    region = region_draw(slide=slide, by=by, kind=Region.Kind.EXCLUSION, polygon=CORNER, replaces=region)
    yield
    region_remove(region=region, by=by)


def _read_blinded(slide, by):
    readers = [User.objects.create_superuser(name) for name in ("anna", "ben")]
    readings_begin(slides=[slide], readers=readers, by=_manager(slide), rounds=[True])
    copies = {reading.reader: reading.copy for reading in slide.readings.all()}
    for reader, copy in copies.items():
        figure_judge(slide=copy, by=reader, x=100, y=100, label=Label.NON_MITOTIC)
        reading_finish(copy=copy, by=reader)


# By the service that does it, or what an administrator does in the admin. Where it does several things, it yields.
WRITES = {
    "figure_judge": _judged_twice,
    "figure_judge, a missed one": lambda slide, by: figure_judge(slide=slide, by=by, x=20, y=400, label=Label.MITOTIC),
    "region_draw, region_remove": _drawn_changed_removed,
    "review_import, figures_judge, regions_keep": lambda slide, by: review_import(
        slide=slide,
        by=by,
        review=Review([(300.0, 200.0, Label.NON_MITOTIC, "line 2")], [(Region.Kind.EXCLUSION, CORNER, "line 3")]),
    ),
    "run_save": _another_run,
    "slide_set_mpp": _mpp,
    "slide_measure_tissue": _measured,
    "version_activate": lambda slide, by: version_activate(version=_another_version()),
    "version_promote, version_roll_back": _promoted_and_back,
    "study_change": lambda slide, by: study_change(study=slide.case.study, by=_manager(slide), shape="square"),
    "member_remove": lambda slide, by: member_remove(study=slide.case.study, user=by, by=_manager(slide)),
    "slide_delete": lambda slide, by: slide_delete(slide=slide),
    "figures_bring_together": _read_blinded,
    "the model gets another name": lambda slide, by: ModelVersion.objects.update(name="another"),
    "the run is deleted": lambda slide, by: slide.runs.get().delete(),
    "the person leaves the study": lambda slide, by: Membership.objects.filter(user=by).delete(),
    "the case moves to another study": lambda slide, by: Case.objects.update(study=Study.objects.create(name="Other")),
    "the person is locked out": lambda slide, by: User.objects.filter(pk=by.pk).update(is_active=False),
}
# What does not change a count: it makes what is not counted yet, or says who, when and what about it.
SILENT = {
    "annotations_copy", "bytes_used", "candidates_place", "candidates_write", "clean_name", "demand_identity",
    "demand_quota", "demand_room", "detection_request", "detection_request_if_wanted", "forget_deleted", "has_room",
    "may_set_mpp", "member_put", "new_pseudonym", "polygon_checked", "promotion_newest", "slide_add_remark",
    "slide_assign", "slide_correct_case", "slide_create", "slide_identity_seen", "slide_prepared", "slide_refused",
    "slides_changed_study", "slides_identity_seen", "study_create", "upload_append", "upload_cancel", "upload_create",
    "upload_finish", "uploads_expire", "uploads_sweep", "version_active", "version_note", "version_register",
    "version_weights",
}  # fmt: skip


def _check_candidates(slide):
    """Worklist and filters find those on the evaluable area by what is written with them."""
    for now in Slide.objects.filter(pk=slide.pk):
        evaluable = evaluable_of(now, list(Region.objects.current().filter(slide=now)))
        rows = list(Candidate.objects.filter(run__slide=now).values_list("x", "y", "evaluable"))
        inside = evaluable.contains(np.array([row[:2] for row in rows], float).reshape(-1, 2))
        assert [row[2] for row in rows] == inside.tolist()


@pytest.mark.parametrize("name", WRITES)
def test_the_next_count_is_of_what_holds(name, client_of, alice, make_slide, make_run, monkeypatch):
    slide = make_slide(mpp=1.0, mpp_source="entered")
    make_run(slide, CANDIDATES)
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token_make(user=alice)}")
    processes = [cache.Remembered(), cache.Remembered()]

    def answers():
        for memory in processes:
            monkeypatch.setattr(count, "remembered", memory)
            yield client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/?area_mm2=0.05")

    before = [(answer.json(), answer["ETag"]) for answer in answers()]
    assert before[0] == before[1]
    steps = WRITES[name](slide, alice)
    for _ in steps if inspect.isgenerator(steps) else [None]:
        _check_candidates(slide)
        after = list(answers())
        assert after[0].status_code == after[1].status_code
        assert after[0].content == after[1].content
        if after[0].status_code == 200:
            assert after[0]["ETag"] == after[1]["ETag"] != before[0][1]
            assert after[0].json() != before[0][0]
            run = slide.runs.first()
            study = Study.objects.get(pk=slide.case.study_id)
            asked = question.question(area_mm2=0.05, study=question.Counting.of(study))
            with monkeypatch.context() as nothing_kept:
                nothing_kept.setattr(count, "remembered", cache.Remembered())
                nothing_kept.setattr(count, "shared", lambda kind, key, make: make())
                counted = json.loads(to_json(count.mitosis_count(run=run, asked=asked)))
            assert {key: after[0].json()[key] for key in counted} == counted
            before = [(answer.json(), answer["ETag"]) for answer in after]
        else:
            assert after[0].status_code in {401, 404, 409}


def test_every_service_is_known_to_change_counts_or_not():
    modules = [getattr(webapp, room).services for room in ("annotations", "registry", "exchange", "slides")]
    modules += [webapp.slides.studies, webapp.slides.uploads]
    public = {
        name
        for module in modules
        for name, thing in vars(module).items()
        if inspect.isfunction(thing) and thing.__module__ == module.__name__ and not name.startswith("_")
    }
    tested = {name for name in public if any(re.search(rf"\b{name}\b", write) for write in WRITES)}
    assert tested | SILENT == public, "say in WRITES or SILENT what a new service does to the count"
    assert not tested & SILENT


def test_verdicts_and_regions_are_written_in_one_place():
    """A count is remembered by how many verdicts and regions there were: histories that only grow."""
    root = Path(settings.BASE_DIR)
    kept = {Figure.__name__, Region.__name__}
    for path in [*(root / "webapp").rglob("*.py"), *(root / "worker").rglob("*.py")]:
        if path.parent.name == "migrations" or path == root / "webapp/annotations/services.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                chain = ast.unparse(node.func)
                writes = node.func.attr in {"create", "bulk_create", "update", "bulk_update", "delete", "get_or_create"}
                assert not (writes and chain.split(".")[0] in kept), f"{path}: {chain}"
    from django.contrib import admin

    assert not {Figure, Region} & set(admin.site._registry)


def test_the_count_of_a_new_detection_is_there_before_it_is_asked(client_of, alice, make_slide, make_run, monkeypatch):
    slide = make_slide(mpp=1.0)
    count.count_ahead(run=make_run(slide, CANDIDATES))

    def nobody(**_):
        raise AssertionError("it is counted again")

    monkeypatch.setattr(count, "figures_counted", nobody)
    assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()["ai"]["count"] == 3
    assert f"/slides/{slide.pk}/" in client_of(alice).get("/?show=to-read").content.decode()


def test_who_has_the_count_already_is_told_so(client_of, alice, make_slide, make_run):
    slide = make_slide(mpp=1.0)
    make_run(slide, CANDIDATES)
    client, address = client_of(alice), f"/api/v1/slides/{slide.pk}/mitosis-count/"
    first = client.get(address)
    assert first["Content-Type"] == "application/json" and "no-cache" in first["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    figure_judge(slide=slide, by=alice, x=300, y=200, label=Label.NON_MITOTIC)
    changed = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200 and changed["ETag"] != first["ETag"]


def test_what_goes_past_drf_is_refused_in_the_same_form(client_of, alice, bob, make_slide, make_run, settings):
    slide = make_slide(mpp=1.0)
    make_run(slide, CANDIDATES)
    address = f"/api/v1/slides/{slide.pk}/mitosis-count/"
    stranger = client_of(None)
    stranger.credentials(HTTP_AUTHORIZATION="Token wrong")
    answers = {
        401: [stranger.get(address), client_of(None).get(address)],
        404: [client_of(bob).get(address)],
        405: [client_of(alice).post(address)],
        400: [client_of(alice).get(address + "?rule=none"), client_of(alice).get(address + "?min_score=x")],
    }
    settings.CALLS_PER_MINUTE = 1
    ask_again()  # a busy machine may have kept Redis from answering in time a moment ago
    answers[429] = [[client_of(alice).get(address) for _ in range(3)][-1]]
    for status, refused in answers.items():
        for answer in refused:
            assert answer.status_code == answer.json()["status"] == status
            assert answer["Content-Type"] == "application/problem+json"
    assert answers[401][0]["WWW-Authenticate"] == "Token"
    assert 0 < int(answers[429][0]["Retry-After"]) <= 60
