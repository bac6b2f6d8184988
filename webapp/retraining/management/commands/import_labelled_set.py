"""`python manage.py import_labelled_set FOLDER_OR_ZIP --name NAME`: for sets too large for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.core.errors import DomainError
from webapp.retraining.sets import set_import


class Command(BaseCommand):
    """The files are copied; a worker reads them, and the page Retraining shows the result."""

    help = "Import a labelled set in any format that the detector reads."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path)
        parser.add_argument("--name", required=True)
        parser.add_argument("--by", default="admin", help="the person who answers for it")

    def handle(self, *args: Any, source: Path, name: str, by: str, **options: Any) -> None:
        try:
            made = set_import(name=name, source=source, by=User.objects.get(username=by))
        except (DomainError, User.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made} ({made.sha256[:12]}) is imported; a worker reads it")
