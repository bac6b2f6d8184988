"""Names in model cards. What was trained here names cases, slides and people of all studies; who may not see all of
them is shown the numbers. The cards of weights that came from elsewhere name public data alone."""

from __future__ import annotations

from typing import Any

from webapp.registry.models import TRAINED_HERE, ModelVersion
from webapp.slides.models import Viewer

# Of cards and of what is on record beside them: a list of names becomes its length, a text of a person goes.
_NAMES = {
    "case_names", "cases_learnt", "cases", "on", "train", "validation", "test", "slides", "people", "sets",
    "f1_by_case", "differences",
}  # fmt: skip
_TEXTS = {"why", "reason", "by", "asked_by", "warnings"}


def names_shown(*, version: ModelVersion, user: Viewer) -> bool:
    """Whether a person may read the names in the card of a version."""
    return bool(getattr(user, "is_superuser", False)) or not version.path.startswith(TRAINED_HERE)


def card_for(*, version: ModelVersion, user: Viewer) -> dict[str, Any]:
    """The card of a version, as a person may read it."""
    card: dict[str, Any] = version.card
    if not names_shown(version=version, user=user):
        card = _without_names(card)
    elif "judgement" in card and not getattr(user, "is_superuser", False):  # of cases that are here
        card = {**card, "judgement": _without_names(card["judgement"])}
    return card


def record_for(*, record: dict[str, Any], version: ModelVersion, user: Viewer) -> dict[str, Any]:
    """Everything on record about a version, its card as "recipe", as a person may read it."""
    shown = record if getattr(user, "is_superuser", False) else _without_names(record)
    return {**shown, "recipe": card_for(version=version, user=user)}


def _without_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_names(one) for one in value]
    if not isinstance(value, dict):
        return value
    shown = {}
    for key, one in value.items():
        if key in _TEXTS:
            continue
        shown[key] = len(one) if key in _NAMES and isinstance(one, list | dict) else _without_names(one)
    return shown
