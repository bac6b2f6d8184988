"""One of everything, of which the addresses of the site are, and rows around it: for tests of all addresses."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import numpy as np
from django.contrib.auth.models import Group, User
from django.utils import timezone
from knox.models import AuthToken

from tests.resilience.dicom_files import level
from webapp.access.models import Passkey, ProviderIdentity
from webapp.annotations.models import Figure, Label, Region, Run, Verdict
from webapp.annotations.services import candidates_write
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicomweb.inbox import waiting_folder
from webapp.dicomweb.models import Instance, Series
from webapp.intake.models import Arrival
from webapp.jobs.models import Job, Shard
from webapp.jobs.states import State
from webapp.notices.models import Delivery, Kind, Notice, Webhook
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
from webapp.slides.models import Case, Membership, Reading, Slide, Study, Upload


class Rows:
    """One of everything, of which the addresses are, and as many rows as are asked for around it."""

    def __init__(self, root: User, alice: User, slide: Slide, run: Run) -> None:
        self.root, self.alice, self.slide, self.run, self.count = root, alice, slide, run, 0
        self.person = alice
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
        self.dicom = self._received("1.2.3", "1.2.4", "1.2.5")
        self.reading = self._reading(self._slide(self.case, "read blinded"), alice)
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
        ProviderIdentity.objects.create(user=self.person, issuer="provider", subject=str(i))
        for user in (self.root, self.alice):
            AuthToken.objects.create(user)
            Passkey.objects.create(user=user, name="passkey", credential=f"{user} {i}", public_key=b"")
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
        Arrival.objects.create(
            key=f"{i:064}", sha256=f"{i:064}", place="/share", name=f"{i}.svs", size=1, stamp="1",
            still_since=timezone.now(), state=Arrival.State.TAKEN, slide=self.ready,
        )  # fmt: skip
        self._reading(self._slide(case, f"of alice {i}"), self.alice)
        self._reading(read := self._slide(case, f"read {i}"), self.person, **self._over(i))
        self._reading(read, self.alice, **self._over(i))
        self._received(f"1.2.3.{i}", f"1.2.4.{i}", "1.2.5")
        self._received("1.2.3", f"1.2.6.{i}", "1.2.5")
        self._received("1.2.3", "1.2.4", f"1.2.5.{i}")
        record(Action.VERDICT, self.slide, who=self.person)
        notice = Notice.objects.create(kind=Kind.SIGNED, slide=self.ready, person=self.person)
        webhook = Webhook.objects.create(address=f"https://{i}.example.org", kinds=[Kind.SIGNED], study=self.study)
        Delivery.objects.create(notice=notice, webhook=webhook, tried_at=timezone.now())

    def _on_the_slide(self, i: int) -> None:
        candidates_write(run=self._run(self.slide), rows=[(x, x, 0.9) for x in range(i)])
        Figure.objects.create(slide=self.slide, x=i, y=i, label=Label.MITOTIC)
        Verdict.objects.create(figure=self.figure, version=i, label=Label.MITOTIC, by=self.person)
        if i > 1:
            of_report = {field.attname: getattr(self.report, field.attname) for field in Report._meta.concrete_fields}
            Report.objects.create(**{**of_report, "id": uuid4(), "version": i, "number": 9 + i, "sha256": f"{i:064}"})
        disputed = Figure.objects.create(slide=self.slide, x=i, y=50, disputed=True, version=1)
        Verdict.objects.create(figure=disputed, version=1, label=Label.MITOTIC, by=self.person)
        Reading.objects.create(slide=self.slide, reader=self.person, **self._over(i))
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

    def _received(self, study_uid: str, series_uid: str, uid: str) -> dict[str, Any]:
        """An image that has come by DICOMweb, and waits for others; what its address is made of."""
        series, _ = Series.objects.get_or_create(
            study=self.study, uid=series_uid, study_uid=study_uid, case_identifier=self.case.identifier
        )
        facts = {"00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", "VOLUME"]}}
        Instance.objects.create(series=series, uid=uid, facts=facts)
        folder = waiting_folder(self.study.pk, series_uid)
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((8, 8, 3), np.uint8)
        (folder / f"{uid}.dcm").write_bytes(level(picture, 0.25, tile=8)({"PatientName": "yy-qx"}))
        return {"study_uid": study_uid, "series_uid": series_uid, "uid": uid, "frames": "1"}

    def _over(self, count: int) -> dict[str, Any]:
        figure = {"x": 1, "y": 1, "label": "mitotic", "added": False, "screened": False, "shown": True, "at": ""}
        said = {"whole": True, "count": count, "count_per_mm2": None, "score": 1, "figures": [figure]}
        return {"done_at": timezone.now(), "over_at": timezone.now(), "result": said}

    def _reading(self, slide: Slide, reader: User, **fields: Any) -> Reading:
        candidates_write(run=self._run(slide), rows=[(1, 1, 0.9)])
        made: Reading = Reading.objects.create(slide=slide, reader=reader, opens_at=timezone.now(), **fields)
        return made

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
            "dicomweb/": self.study, "readings/": self.reading,
        }  # fmt: skip
        return {"pk": of[path].pk, "other": self.slide.pk, "figure": self.figure.pk, **self.dicom}

    def asked(self, name: str) -> dict[str, Any]:
        """What an address needs after its question mark."""
        asked = {
            "api:compare": {"run": self.run.pk, "other": self.other.pk},
            "api:removal-affected": {"slide": self.slide.pk},
            "removal": {"slide": self.slide.pk},
        }
        return asked.get(name, {})
