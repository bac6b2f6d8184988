"""`python manage.py register_weights`: make the shipped (or other) weights a model version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.core.errors import DomainError
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register


class Command(BaseCommand):
    """Registered weights are a candidate; active become the first ones ever, and those that replace the active ones.

    An upgrade puts other weights where the active version's were, which are then not there any more.
    """

    help = "Register weights that lie in MODEL_DIR; the shipped ones by default."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("weights", nargs="?", default="mitoscope.safetensors", help="file name in MODEL_DIR")

    def handle(self, *args: Any, weights: str, **options: Any) -> None:
        try:
            version = version_register(weights=Path(settings.MODEL_DIR) / weights)
        except DomainError as error:
            raise CommandError(str(error)) from error
        active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
        if active is None or active.path == version.path:
            version_activate(version=version)
        self.stdout.write(f"{version} ({version.sha256[:12]}) is registered")
