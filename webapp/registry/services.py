"""Writing model versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from detector.errors import WeightsError
from detector.model.card import parse_card
from detector.slide.folder import sha256_of
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput
from webapp.registry.models import TRAINED_HERE, ModelVersion, Promotion
from webapp.registry.storage import weights_fetched, weights_keep


def version_register(*, weights: Path, name: str = "", parent: ModelVersion | None = None) -> ModelVersion:
    """The version of a weights file in the folder of models or trained here; made from its card where it is new.

    name: instead of the card's. Raises DomainError where the card is broken or of another file.
    """
    try:
        card = parse_card(json.loads(weights.with_suffix(".json").read_text("utf-8")), f"The card of {weights.name}")
        sha256 = sha256_of(weights)
    except (OSError, json.JSONDecodeError) as error:
        raise DomainError(f"The weights {weights.name} or their card cannot be read: {error}") from error
    except WeightsError as error:
        raise DomainError(f"{error}.") from error
    if card.get("sha256") != sha256:
        raise DomainError(f"The weights {weights.name} do not match their card (SHA-256 differs).")
    if weights.is_relative_to(settings.TRAINING_DIR):
        weights_keep(weights, sha256)
    version, _ = ModelVersion.objects.get_or_create(
        sha256=sha256,
        defaults={"name": name or card["name"], "path": _path(weights), "card": card, "parent": parent},
    )
    return version


def version_weights(*, version: ModelVersion) -> Path:
    """The weights of a version, on this machine now."""
    return weights_fetched(version.file, version.sha256)


def version_activate(*, version: ModelVersion, by: User | None = None, reason: str = "") -> None:
    """Make this the one active version; the one before is retired and can be activated again."""
    with transaction.atomic():
        others = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).exclude(pk=version.pk)
        replaced = others.first()
        others.update(state=ModelVersion.State.RETIRED)
        candidates = ModelVersion.objects.filter(pk=version.pk).exclude(state=ModelVersion.State.ACTIVE)
        if candidates.update(state=ModelVersion.State.ACTIVE):
            before = {"version": str(replaced), "sha256": replaced.sha256} if replaced else None
            after = {"version": str(version), "sha256": version.sha256, "reason": reason}
            record(Action.PROMOTED, version, who=by, before=before, after=after)


def version_promote(*, version: ModelVersion, by: User, reason: str) -> Promotion:
    """Make this the active version, for a reason that is kept. Runs keep the version that they were made with."""
    if not reason.strip():
        raise InvalidInput("Give a reason for the promotion; it is recorded with your name.")
    with transaction.atomic():
        versions = {one.pk: one for one in ModelVersion.objects.select_for_update()}
        replaced = next((one for one in versions.values() if one.state == ModelVersion.State.ACTIVE), None)
        if replaced is not None and replaced.pk == version.pk:
            raise DomainError(f"{version} is the active version already.")
        if not version_weights(version=version).is_file():
            raise DomainError(f"The weights of {version} are missing; it cannot be used.")
        promotion: Promotion = Promotion.objects.create(
            version=version, replaced=replaced, by=by, reason=reason.strip()
        )
        version_activate(version=version, by=by, reason=reason.strip())
    return promotion


def promotion_newest(*, version: ModelVersion) -> Promotion | None:
    """The promotion that made a version the active one, as long as none came after it."""
    newest = Promotion.objects.select_related("version", "replaced").first()
    return newest if newest is not None and newest.version_id == version.pk else None


def version_roll_back(*, by: User) -> Promotion:
    """One step back: the version that the last promotion replaced is the active one again."""
    last = Promotion.objects.select_related("version", "replaced").first()
    if last is None or last.replaced is None:
        raise DomainError("No version was promoted here, so there is nothing to roll back to.")
    return version_promote(version=last.replaced, by=by, reason=f"Rolled back from {last.version}.")


def version_note(*, version: ModelVersion, key: str, value: Any) -> None:
    """Add an entry to the card of a version, such as the result of a comparison."""
    with transaction.atomic():
        locked = lock_row(ModelVersion, version.pk)
        locked.card[key] = value
        locked.save(update_fields=["card"])


def version_active() -> ModelVersion:
    """The version that detects; DomainError where there is none."""
    version = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
    if version is None:
        raise DomainError("No model version is active; activate one in the admin.")
    return version


def _path(weights: Path) -> str:
    if weights.is_relative_to(settings.TRAINING_DIR):
        return TRAINED_HERE + str(weights.relative_to(settings.TRAINING_DIR))
    return str(weights.relative_to(settings.MODEL_DIR))
