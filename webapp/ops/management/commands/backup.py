"""`python manage.py backup FOLDER`."""

from __future__ import annotations

import os
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
        except PermissionError as error:
            raise CommandError(
                f"{error.filename or folder} cannot be written by user {os.getuid()}, who makes the backup: "
                f"chown {os.getuid()} FOLDER gives it to that user."
            ) from error
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made} is complete; put back with: make restore FROM={made}")
