"""The names of deleted cases go from all that is kept of comparisons, trainings and calibrations; numbers stay."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from django.db import models
from django.db.models import QuerySet

from webapp.audit.models import Action
from webapp.audit.services import record
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
)


def cases_delete(cases: QuerySet[Case]) -> None:
    """Delete cases without slides, and their names where they are locked, were compared on or trained on.

    A name stays where another case or a labelled set has it.
    """
    names = set(cases.values_list("identifier", flat=True))
    cases.delete()
    names -= set(Case.objects.filter(identifier__in=names).values_list("identifier", flat=True))
    names -= set(LabelledFrame.objects.filter(case__in=names).values_list("case", flat=True))
    for case in LockedCase.objects.filter(name__in=names):
        record(Action.CASE_UNLOCKED, case, after={"its patient": "deleted"})
        case.delete()
    for kind, fields in _NAMING:
        for row in kind._default_manager.all():
            _rewrite(row, fields, names)
    for version in ModelVersion.objects.exclude(card__judgement=None):
        if (said := without_names(version.card["judgement"], names)) != version.card["judgement"]:
            version.card["judgement"] = said
            version.save(update_fields=["card"])


def _rewrite(row: models.Model, fields: Collection[str], names: Collection[str]) -> None:
    changed = {
        name: said for name in fields if (said := without_names(getattr(row, name), names)) != getattr(row, name)
    }
    for name, value in changed.items():
        setattr(row, name, value)
    if changed:
        row.save(update_fields=list(changed))


def without_names(value: Any, names: Collection[str]) -> Any:
    """A part of what is stored, with another word for some names: as values, in sentences, and as the keys that they
    are in `left_out`."""
    if isinstance(value, dict):
        named_keys = all(isinstance(one, str) for one in value.values())  # reasons by name; others are fields
        return {GONE if named_keys and key in names else key: without_names(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [without_names(one, names) for one in value]
    if not isinstance(value, str):
        return value
    if value in names:
        return GONE
    for name in names:
        if not (name.isdigit() and len(name) < _SHORT):
            value = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\d)", GONE, value)
    return value
