"""Trainings: request with a frozen manifest (`manifest_of`), progress, registration as a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_note, version_register
from webapp.retraining.judgements import judgement_request_if_possible
from webapp.retraining.locked_cases import cases_learnt_by
from webapp.retraining.manifest import json_hash, manifest_of
from webapp.retraining.models import LabelledSet, LockedCase, MinedSample, MiningRun, TrainingRun
from webapp.retraining.plans import checked_plan
from webapp.retraining.provenance import removed_now
from webapp.retraining.selectors import precision_of
from webapp.retraining.types import CurveRow

_LOG_LINES = 500
FEWEST_MINED = 20  # with fewer mined samples a training is warned of: what that brings is chance (docs/training.md)


def training_request(
    *,
    by: User,
    name: str,
    sets: Sequence[LabelledSet] = (),
    cases: Sequence[str] | None = None,
    verdicts: bool = True,
    mining: Sequence[MiningRun] = (),
    samples: QuerySet[MinedSample] | None = None,
    plan: Mapping[str, Any] | None = None,
    parent: ModelVersion | None = None,
) -> TrainingRun:
    """Freeze the inputs, and queue the training.

    cases: of the sets, those to learn from; all that are not locked by default. verdicts: also those on
    slides. mining, samples: mined samples, whole runs of them or single ones. parent: initial
    weights. Refuses locked test cases, naming them; warns of mined samples whose precision was not shown to be fit.
    """
    chosen = checked_plan(plan or {})
    if not (name := name.strip()) or len(name) > 100:
        raise InvalidInput("Give the training a name of at most 100 characters.")
    if parent is not None and parent.pk in removed_now().versions:
        raise DomainError(
            f"{parent} was made from what has been removed since; choose random or other initial weights."
        )
    wanted = MinedSample.objects.none() if samples is None else MinedSample.objects.filter(pk__in=samples.values("pk"))
    wanted = wanted | MinedSample.objects.filter(run__in=mining)
    with transaction.atomic():
        known = cases_learnt_by(parent) if parent is not None else set()
        manifest = manifest_of(
            sets=sets, cases=cases, verdicts=verdicts, samples=wanted, seed=chosen["seed"], known=known
        )
        job = job_create(kind=Job.Kind.TRAIN, by=by)
        training: TrainingRun = TrainingRun.objects.create(
            name=name, job=job, parent=parent, plan=chosen, manifest=manifest, manifest_sha256=json_hash(manifest),
            warnings=_warnings(wanted, len(manifest["mined"])),
        )  # fmt: skip
        record(Action.TRAINING_ASKED, training, who=by, after={"manifest_sha256": training.manifest_sha256})
    return training


def training_again(*, training: TrainingRun, by: User, name: str) -> TrainingRun:
    """Request another training's inputs again, without what has been removed since.

    Verdicts are those that hold now, and cases those that are not locked now. Where its parent was made from something
    that has been removed it begins from scratch.
    """
    manifest, removed = training.manifest, removed_now()
    sets = LabelledSet.objects.filter(pk__in=[part["id"] for part in manifest["sets"]]).exclude(pk__in=removed.sets)
    locked = set(LockedCase.objects.values_list("name", flat=True))
    kept = {name for part in manifest["sets"] if UUID(part["id"]) not in removed.sets for name in part["cases"]}
    samples = MinedSample.objects.filter(pk__in=[row["id"] for row in manifest["mined"]])
    return training_request(
        by=by, name=name, sets=list(sets), cases=sorted(kept - locked), verdicts=bool(manifest["figures"]),
        samples=samples.exclude(slide__case__identifier__in=locked), plan=training.plan,
        parent=None if training.parent_id in removed.versions else training.parent,
    )  # fmt: skip


def training_report(*, training: TrainingRun, rows: list[CurveRow], said: str = "") -> None:
    """Store the curve so far, and one more line of the log."""
    with transaction.atomic():
        locked = lock_row(TrainingRun, training.pk)
        locked.curve = rows
        if said:
            locked.log = [*locked.log, {"at": timezone.now().isoformat(), "said": said}][-_LOG_LINES:]
        locked.save(update_fields=["curve", "log"])


def training_finish(*, training: TrainingRun) -> ModelVersion:
    """Register the weights as a candidate; queue its comparison where test cases are locked. A comparison that is
    refused becomes a warning: the weights stay."""
    with transaction.atomic():
        version = version_register(
            weights=training.folder / "weights.safetensors", name=training.name, parent=training.parent
        )
        TrainingRun.objects.filter(pk=training.pk).update(version=version)
        version_note(version=version, key="manifest_sha256", value=training.manifest_sha256)
        why_not = judgement_request_if_possible(version=version, by=training.job.requested_by)
        if why_not and LockedCase.objects.exists():
            warnings = [*training.warnings, f"Not compared with the active version. {why_not}"]
            TrainingRun.objects.filter(pk=training.pk).update(warnings=warnings)
    return version


def _warnings(samples: QuerySet[MinedSample], mined: int) -> list[str]:
    runs = MiningRun.objects.filter(pk__in=samples.values("run"))
    known = {run: precision_of(run=run) for run in runs}
    said = [f"{run}: {precision.sentence}" for run, precision in known.items() if precision.fit is not True]
    if 0 < mined < FEWEST_MINED:
        said.append(
            f"Few mined samples take part: {mined}. So few made a detector worse as often as better. Mine more slides "
            f"first ({FEWEST_MINED} samples or more)."
        )
    return said
