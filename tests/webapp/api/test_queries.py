"""No list makes a query a row: every address and every list of the admin, with one row of everything and with fifty.

Addresses are found in the URL conf, lists of the admin in `admin.site`. What `Rows` does not make rows of is told by
the list that stays empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from knox.models import AuthToken

from webapp.annotations.models import Figure, Label, Region, Run, Verdict
from webapp.annotations.services import candidates_write
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.jobs.models import Job, Shard
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion, Promotion
from webapp.reports.models import Report
from webapp.reports.services import report_sign
from webapp.results.question import question
from webapp.retraining.models import (
    Judgement,
    LabelledFrame,
    LabelledSet,
    LockedCase,
    MinedSample,
    MinedSlide,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    ScannerCalibration,
    TrainingRun,
)
from webapp.slides.models import Case, Membership, Slide, Study, Upload

MANY = 50
# No lists: pictures and files, forms, what is only sent to, and the export of a study, which reads each slide.
NO_LISTS = {
    "api:tile", "api:dzi", "api:crop", "api:label", "api:macro", "api:thumbnail", "api:tissue", "api:candidates",
    "api:export", "api:file", "api:study-export", "api:report-pdf", "api:schema", "api:docs", "api:upload",
    "difference", "login", "logout", "token-revoke", "admin-login", "password-change", "password-reset",
    "password-reset-confirm",
}  # fmt: skip
# Those that show no rows of the database. (A judgement shows its result, and slides once it has one.)
NO_ROWS = {"metrics", "health", "report-check", "training", "judgement", "calibration"}
POST_ALONE = 405


class Rows:
    """One of everything, of which the addresses are, and as many rows as are asked for around it."""

    def __init__(self, root: User, alice: User, slide: Slide, run: Run) -> None:
        self.root, self.alice, self.slide, self.run, self.count = root, alice, slide, run, 0
        self.case, self.study, self.model = slide.case, slide.case.study, run.model
        self.figure = Figure.objects.create(slide=slide, x=1, y=1, label=Label.MITOTIC)
        self.other = self._run(slide)
        self.version = ModelVersion.objects.create(name="v", path="v", sha256="v" * 64, card={})
        self.set = LabelledSet.objects.create(name="set", sha256="s" * 64, by=root)
        self.mining = MiningRun.objects.create(job=self._job(Job.Kind.MINE), model=run.model, first_look=1, agreement=1)
        self.training = self._training("t", self.version)
        self.judgement = self._judgement(self.version)
        self.calibration = self._calibration(self.version)
        self.job = self._job(Job.Kind.DETECT, slide)
        self.report = report_sign(slide=slide, run=self.other, asked=question(), by=alice)

    def make(self, count: int) -> None:
        """So many rows in all."""
        while self.count < count:
            self.count += 1
            self._people(self.count)
            self._slides(self.count)
            self._on_the_slide(self.count)
            self._retraining(self.count)

    def _people(self, i: int) -> None:
        self.person = User.objects.create_user(f"person {i}")
        Membership.objects.create(study=self.study, user=self.person)
        Group.objects.create(name=f"group {i}")
        for user in (self.root, self.alice):
            AuthToken.objects.create(user)
            Membership.objects.create(study=Study.objects.create(name=f"{user} {i}"), user=user)

    def _slides(self, i: int) -> None:
        """A slide that is ready, one in the queue, one that is being detected, one of which the detection failed."""
        case = Case.objects.create(study=self.study, identifier=f"case {i}")
        self.ready = self._slide(case, f"ready {i}")
        candidates_write(run=self._run(self.ready), rows=[(1, 1, 0.9), (9, 9, 0.8)])
        self._job(Job.Kind.DETECT, self._slide(self.case, f"waiting {i}"), state=State.PENDING)
        self._job(Job.Kind.DETECT, self._slide(self.case, f"running {i}"), state=State.RUNNING)
        self._job(Job.Kind.DETECT, self._slide(self.case, f"failed {i}"), state=State.FAILED)
        for slide in (self.ready, None):
            Upload.objects.create(user=self.alice, study=self.study, name=f"{i}", size=1, slide=slide)
        record(Action.VERDICT, self.slide, who=self.person)

    def _on_the_slide(self, i: int) -> None:
        candidates_write(run=self._run(self.slide), rows=[(x, x, 0.9) for x in range(i)])
        Figure.objects.create(slide=self.slide, x=i, y=i, label=Label.MITOTIC)
        Verdict.objects.create(figure=self.figure, version=i, label=Label.MITOTIC, by=self.person)
        if i > 1:
            of_report = {field.attname: getattr(self.report, field.attname) for field in Report._meta.concrete_fields}
            Report.objects.create(**{**of_report, "id": uuid4(), "version": i, "number": 9 + i, "sha256": f"{i:064}"})
        corners = [[0, 0], [i, 0], [0, i]]
        Region.objects.create(slide=self.slide, kind=Region.Kind.TUMOUR, polygon=corners, by=self.person)

    def _retraining(self, i: int) -> None:
        of_set = LabelledSet.objects.create(
            name=f"set {i}", sha256=f"{i:064}", by=self.person, job=self._job(Job.Kind.INGEST)
        )
        LabelledFrame.objects.create(
            labelled_set=of_set, name="n", case=f"locked {i}", source="lab", mpp=0.25, width=9, height=9, mitoses=[],
            non_mitoses=[], exhaustive=True,
        )  # fmt: skip
        LockedCase.objects.create(name=f"locked {i}", by=self.person)
        MitosisFreeSlide.objects.create(slide=self.ready, by=self.person)
        Removal.objects.create(person=self.person, reason="r", by=self.person)
        version = ModelVersion.objects.create(name=f"v {i}", path="v", sha256=f"{i:064}", card={}, parent=self.model)
        run = MiningRun.objects.create(job=self._job(Job.Kind.MINE), model=version, first_look=0.5, agreement=0.8)
        for mining in (run, self.mining):
            MinedSlide.objects.create(run=mining, slide=self.ready, index=i)
            MinedSample.objects.create(
                run=mining, slide=self.ready, x=i, y=i, scores=[1] * 8, least=1, draw=i / 99, verdict_by=self.person
            )
        self._training(f"t {i}", version)
        TrainingRun.objects.filter(pk=self.training.pk).update(manifest=self._manifest())
        self._judgement(self.version)
        self._calibration(version)
        ScannerCalibration.objects.filter(pk=self.calibration.pk).update(figures=self._manifest()["figures"])
        Promotion.objects.create(version=self.version, replaced=version, by=self.person, reason="r")

    def _slide(self, case: Case, name: str) -> Slide:
        return Slide.objects.create(
            case=case, name=name, state=Slide.State.READY, width=99, height=99, mpp_x=1.0, mpp_y=1.0, path="p",
            tissue_fraction=1.0, uploaded_by=self.person, reader=self.person, scanner=name,
        )  # fmt: skip

    def _run(self, slide: Slide) -> Run:
        stamp = {"model_sha256": "0" * 64, "parameters": {}, "mpp_x": 1, "mpp_y": 1, "code_version": "", "device": ""}
        counts = {"windows_total": 1, "windows_skipped": 0, "candidate_count": 0}
        run: Run = Run.objects.create(slide=slide, model=self.model, precision="fp32", **stamp, **counts)
        return run

    def _job(self, kind: Job.Kind, slide: Slide | None = None, state: State = State.RUNNING) -> Job:
        job: Job = Job.objects.create(kind=kind, slide=slide, state=state, requested_by=self.root)
        Shard.objects.create(
            job=job, index=0, state=state, claim=uuid4(), started_at=timezone.now(), worker="w", facts={"device": "cpu"}
        )
        return job

    def _training(self, name: str, version: ModelVersion) -> TrainingRun:
        training: TrainingRun = TrainingRun.objects.create(
            name=name, job=self._job(Job.Kind.TRAIN), parent=self.model, version=version, plan={},
            manifest=self._manifest(), manifest_sha256="0" * 64,
        )  # fmt: skip
        return training

    def _manifest(self) -> dict[str, Any]:
        row = {"slide": str(self.slide.pk), "case": "c", "x": 1, "y": 1, "label": "mitotic", "by": self.root.pk}
        row |= {"score": 0.5}
        slides = {str(self.slide.pk): {"name": "s", "case": "c", "sha256": ""}}
        nothing: dict[str, Any] = {"sets": [], "mined": [], "train": [], "validation": [], "test": []}
        return {**nothing, "slides": slides, "figures": [row] * self.count}

    def _judgement(self, version: ModelVersion) -> Judgement:
        made: Judgement = Judgement.objects.create(
            job=self._job(Job.Kind.JUDGE), version=version, active=self.model, cases=[], verdict="better"
        )
        return made

    def _calibration(self, version: ModelVersion) -> ScannerCalibration:
        job = self._job(Job.Kind.CALIBRATE)
        made: ScannerCalibration = ScannerCalibration.objects.create(
            scanner="s", job=job, parent=self.model, version=version, figures=[], figures_sha256="0" * 64
        )
        return made

    def arguments(self, path: str) -> dict[str, Any]:
        """What an address is of, by how it begins."""
        of = {
            "slides/": self.slide, "cases/": self.case, "studies/": self.study, "jobs/": self.job,
            "models/": self.version, "models/training/": self.training, "trainings/": self.training,
            "models/mining/": self.mining, "mining-runs/": self.mining, "models/judgement/": self.judgement,
            "labelled-sets/": self.set, "models/calibration/": self.calibration, "calibrations/": self.calibration,
        }  # fmt: skip
        return {"pk": of[path].pk, "figure": self.figure.pk}

    def asked(self, name: str) -> dict[str, Any]:
        """What an address needs after its question mark."""
        asked = {
            "api:compare": {"run": self.run.pk, "other": self.other.pk},
            "api:removal-affected": {"slide": self.slide.pk},
            "removal": {"slide": self.slide.pk},
        }
        return asked.get(name, {})


def found(patterns: list[Any], name: str = "", path: str = "") -> Iterator[tuple[str, str, set[str]]]:
    """Every address that answers GET: its name, how its path begins, and the names of what it is of."""
    for entry in patterns:
        below = path + str(entry.pattern).lstrip("^")
        if isinstance(entry, URLResolver):
            if entry.namespace != "admin":
                yield from found(entry.url_patterns, f"{entry.namespace}:" if entry.namespace else name, below)
        elif isinstance(entry, URLPattern) and f"{name}{entry.name}" not in NO_LISTS and gets(entry.callback):
            begins = below.removeprefix("api/v1/").partition("<")[0].partition("(")[0]
            yield f"{name}{entry.name}", begins, set(entry.pattern.regex.groupindex)


def gets(view: Any) -> bool:
    """Whether it answers GET, as far as it says so."""
    if hasattr(view, "actions"):
        return "get" in view.actions
    return not hasattr(view, "cls") or hasattr(view.cls, "get")


@pytest.fixture
def rows(root, alice, make_slide, make_run) -> Rows:
    slide = make_slide(mpp=1.0)
    return Rows(root, alice, slide, make_run(slide, [(1.0, 1.0, 0.9)]))


def queries(client: Client, address: str, asked: dict[str, Any]) -> tuple[int, Any]:
    """How many queries an answer takes, and the answer."""
    with CaptureQueriesContext(connection) as made:
        answer = client.get(address, asked)
    return len(made), answer


def shown(answer: Any) -> int | None:
    """How many rows an answer shows; None where it is no list."""
    if "json" in answer["Content-Type"]:
        said = answer.json()
        listed = said.get("results") if isinstance(said, dict) else said
        return None if listed is None else len(listed)
    page = answer.content.decode()
    return sum(page.count(f"<{tag}") for tag in ("tr", "li", "figure", "option", "article"))


def compared(addresses: dict[str, tuple[str, dict[str, Any]]], rows: Rows, reader: Client, root: Client) -> list[str]:
    """What is wrong with lists: too many queries with many rows, or no more rows than with one.

    Each is asked for by a reader, or by the administrator where readers may not.
    """
    few: dict[str, tuple[Client, int, int | None]] = {}
    wrong = []
    rows.make(1)
    for name, address in addresses.items():
        for client in (reader, root):
            made, answer = queries(client, *address)
            if answer.status_code == 200:
                few[name] = client, made, shown(answer)
                break
        if answer.status_code not in {200, POST_ALONE}:
            wrong.append(f"{name}: {answer.status_code}; is it a list?")
    rows.make(MANY)
    for name, (client, one, before) in few.items():
        made, answer = queries(client, *addresses[name])
        if made > one:
            made, answer = queries(client, *addresses[name])  # counts are calculated once a slide and kept
        if made > one:
            wrong.append(f"{name}: {one} queries with one row, {made} with {MANY}")
        if before is not None and name not in NO_ROWS and not (shown(answer) or 0) > before:
            wrong.append(f"{name}: shows {before} rows where there is one, and no more where there are {MANY}")
    return wrong


def test_no_list_makes_a_query_a_row(rows, client_of):
    addresses = {
        name: (reverse(name, kwargs={one: rows.arguments(begins)[one] for one in of}), rows.asked(name))
        for name, begins, of in found(get_resolver().url_patterns)
    }
    assert {"api:slide-list", "api:training-list", "worklist", "jobs", "retraining"} <= addresses.keys()
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        addresses[name] = reverse(name), {}
    wrong = compared(addresses, rows, client_of(rows.alice), client_of(rows.root))
    assert not wrong, "\n".join(wrong)
