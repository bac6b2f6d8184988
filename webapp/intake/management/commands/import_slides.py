"""`python manage.py import_slides [FOLDER]`: import the slides of a folder or bucket, once or from now on."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, close_old_connections

from webapp.core.errors import DomainError
from webapp.intake.models import Arrival
from webapp.intake.naming import Rules, pattern_of
from webapp.intake.places import place_of
from webapp.intake.services import Manner, arrivals_look
from webapp.jobs.heartbeat import WATCHER, heartbeat_send

_QUIET = 5.0  # seconds that a file must stand still where a folder is imported once
_log = logging.getLogger(__name__)


class Command(BaseCommand):
    """Each file is imported once, also after a stop; nothing is deleted or changed there."""

    help = "Import the slides of a folder, or of s3://BUCKET/PREFIX; the page Imports lists what became of each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", nargs="?", default=settings.WATCH_FOLDER, help="default: WATCH_FOLDER")
        parser.add_argument("--watch", action="store_true", help="go on looking until it is stopped")
        parser.add_argument("--every", type=float, default=settings.WATCH_SECONDS, help="seconds between two looks")
        parser.add_argument("--study", default=settings.WATCH_STUDY, help="of what nothing else says it; WATCH_STUDY")
        parser.add_argument(
            "--pattern",
            default=settings.WATCH_PATTERN,
            help="of the path in the folder, with groups study, case, mpp: '(?P<case>P[0-9]+)_.*'; WATCH_PATTERN",
        )
        parser.add_argument(
            "--in-place", action="store_true", default=settings.WATCH_IN_PLACE, help="do not copy; WATCH_IN_PLACE"
        )
        parser.add_argument("--no-detection", action="store_true", help="do not detect as soon as a slide is ready")

    def handle(self, *args: Any, folder: str, watch: bool, every: float, **options: Any) -> None:
        if not folder:
            raise CommandError("Say which folder: manage.py import_slides FOLDER, or set WATCH_FOLDER.")
        try:
            rules = Rules(options["study"], pattern_of(options["pattern"]))
            quiet = timedelta(seconds=every if watch else _QUIET)
            manner = Manner(rules, options["in_place"], not options["no_detection"], quiet)
            if watch:
                self._watch(folder, manner, every)
            place = place_of(folder)
            arrivals_look(place=place, manner=manner)
            time.sleep(_QUIET)
            found = arrivals_look(place=place, manner=manner)
        except (DomainError, OSError, BotoCoreError, ClientError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_sentence(found))
        for reason in sorted(set(_waiting(place.address))):
            self.stdout.write(f"Waits: {reason}")

    def _watch(self, folder: str, manner: Manner, every: float) -> None:
        """For ever: a share that is away, a full disk or a database that does not answer may come back."""
        said = ""
        while True:
            try:
                sentence = _sentence(arrivals_look(place=place_of(folder), manner=manner))
            except (DomainError, OSError, BotoCoreError, ClientError) as error:
                sentence = f"{folder}: {error}"
            except Error:
                _log.exception("the database does not answer; trying again")
                sentence = said
            heartbeat_send(name=WATCHER, facts={"queues": [], "folder": folder, "said": sentence}, kept=2 * every + 60)
            if sentence != said:
                _log.info("%s", sentence)
                said = sentence
            close_old_connections()
            time.sleep(every)


def _waiting(place: str) -> list[str]:
    rows = Arrival.objects.filter(place=place, state=Arrival.State.WAITING).values_list("name", "reason")
    return [f"{name}: {reason}" for name, reason in rows]


def _sentence(found: Counter[str]) -> str:
    if not found:
        return "No slide lies there."
    return ", ".join(f"{found[state]:,} {state.label}" for state in Arrival.State if found[state]) + "."
