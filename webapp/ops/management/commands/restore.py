"""`python manage.py restore FOLDER/TIME`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.core.errors import DomainError
from webapp.ops.backup import backup_restore


class Command(BaseCommand):
    """Nothing else may run meanwhile."""

    help = "Put a backup back, into a database and a data folder that hold no slides yet."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            backup_restore(folder=folder.resolve())
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Put back. Jobs that were under way go on at the next start.")
