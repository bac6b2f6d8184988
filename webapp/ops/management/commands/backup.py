"""`python manage.py backup FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.core.errors import DomainError
from webapp.ops.backup import backup_make


class Command(BaseCommand):
    """May be run while everything runs."""

    help = "Copy database, keys, weights and slides into a folder; slides that are there already are not copied again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            made = backup_make(folder=folder.resolve())
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made} is complete; put back with: make restore FROM={made}")
