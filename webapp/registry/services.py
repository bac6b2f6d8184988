"""Writing model versions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from django.conf import settings
from django.db import transaction

from webapp.errors import DomainError
from webapp.registry.models import ModelVersion


def version_register(*, weights: Path) -> ModelVersion:
    """The version of a weights file in the folder of models; made from its card where it is new.

    Raises DomainError where file and card do not belong together.
    """
    try:
        card = json.loads(weights.with_suffix(".json").read_text("utf-8"))
        with weights.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, json.JSONDecodeError) as error:
        raise DomainError(f"The weights {weights.name} or their card cannot be read: {error}") from error
    if card.get("sha256") != sha256:
        raise DomainError(f"The weights {weights.name} are not those that their card describes (SHA-256 differs).")
    version, _ = ModelVersion.objects.get_or_create(
        sha256=sha256,
        defaults={"name": card["name"], "path": str(weights.relative_to(settings.MODEL_DIR)), "card": card},
    )
    return version


def version_activate(*, version: ModelVersion) -> None:
    """Make this the one active version; the one before is retired and can be activated again."""
    with transaction.atomic():
        ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).exclude(pk=version.pk).update(
            state=ModelVersion.State.RETIRED
        )
        ModelVersion.objects.filter(pk=version.pk).update(state=ModelVersion.State.ACTIVE)


def version_active() -> ModelVersion:
    """The version that detects; DomainError where there is none."""
    version = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
    if version is None:
        raise DomainError("No model version is active; activate one in the admin.")
    return version
