"""The names of deleted cases go from all that is kept of comparisons, trainings and calibrations; numbers stay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from webapp.retraining.models import Judgement, LabelledFrame, LockedCase, ScannerCalibration, TrainingRun
from webapp.slides.models import Case

GONE = "(deleted)"  # instead of the name of a case
_SHORT = 4  # digits; a shorter number is found in sentences that name no case
# What is kept of cases by their names, besides the manifests by which trainings are made anew (docs/privacy.md).
_NAMING: tuple[tuple[type[models.Model], tuple[str, ...]], ...] = (
    (Judgement, ("cases", "left_out", "why", "result")),
    (TrainingRun, ("warnings", "log")),
    (ScannerCalibration, ("remark",)),
    (Job, ("error",)),
)
# The fields, and the keys within them, at which names and sentences with names stand; all others are ours.
_NAMED = {"case", "cases", "left_out", "why", "warnings", "log", "remark", "error"}


@receiver(post_delete, sender=Case)
def _forget(instance: Case, **_: Any) -> None:
    """By whatever door a case is deleted, its name goes from where it is locked, was compared on or trained on, and
    with it the pictures of comparisons.

    It stays where another case or a labelled set has it.
    """
    name = instance.identifier
    if Case.objects.filter(identifier=name).exists() or LabelledFrame.objects.filter(case=name).exists():
        return
    for case in LockedCase.objects.filter(name=name):
        record(Action.CASE_UNLOCKED, case, after={"its patient": "deleted"})
        case.delete()
    for judgement in Judgement.objects.only("cases"):
        if name in judgement.cases:
            transaction.on_commit(partial(shutil.rmtree, judgement.folder, ignore_errors=True))
    for kind, fields in _NAMING:
        for row in kind._default_manager.order_by("pk"):
            _rewrite(row, fields, {name})
    for version in ModelVersion.objects.exclude(card__judgement=None):
        if without_names(version.card["judgement"], {name}) != version.card["judgement"]:
            version = lock_row(ModelVersion, version.pk)
            version.card["judgement"] = without_names(version.card["judgement"], {name})
            version.save(update_fields=["card"])


def _rewrite(row: models.Model, fields: Collection[str], names: Collection[str]) -> None:
    was = {field: getattr(row, field) for field in fields}
    if without_names(was, names) == was:
        return
    row = lock_row(type(row), row.pk)  # a worker may write it at this moment
    for field, said in without_names({field: getattr(row, field) for field in fields}, names).items():
        setattr(row, field, said)
    row.save(update_fields=list(fields))


def without_names(value: Any, names: Collection[str], key: str = "") -> Any:
    """A part of what is stored, with another word for some names where cases are named: as values, in sentences, as
    the keys of `left_out`, and for the frame that is a slide of the case. key: under which the part stands."""
    if isinstance(value, dict):
        of_it = value.get("case") in names
        return {
            GONE if key == "left_out" and inner in names else inner: (
                GONE if of_it and inner == "frame" else without_names(one, names, key if key in _NAMED else inner)
            )
            for inner, one in value.items()
        }
    if isinstance(value, list):
        return [without_names(one, names, key) for one in value]
    if not isinstance(value, str) or key not in _NAMED:
        return value
    if value in names:
        return GONE
    for name in names:
        if not (name.isdigit() and len(name) < _SHORT):
            value = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\d)", GONE, value)
    return value
