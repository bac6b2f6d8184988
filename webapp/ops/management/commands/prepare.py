"""`python manage.py prepare`: what a server of its own does before it serves; `make run` does the same by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from webapp.ops.prepare import prepare_server


class Command(BaseCommand):
    """The first administrator is told of once, here."""

    help = "Bring the database up to date, collect static files, register weights, make the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        if (made := prepare_server(verbosity=1)) is None:
            return
        self.stdout.write(
            "\n  The first administrator, shown this once:\n\n"
            f"  name      {made.name}\n  password  {made.password}\n  API token {made.token}\n\n"
            f"  They stand in {Path(settings.DATA_DIR) / 'credentials.txt'} as well; change the password, then delete "
            "that file.\n"
        )
