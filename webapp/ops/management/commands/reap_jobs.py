"""Bring back lost jobs, send notices, take what came by DICOMweb, for ever: `python manage.py reap_jobs`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections
from django.db.utils import Error

from webapp.access.services import answers_expire
from webapp.dicomweb.inbox import inbox_look
from webapp.jobs.heartbeat import REAPER, heartbeat_send
from webapp.jobs.services import jobs_watch
from webapp.notices.delivery import deliver_due
from webapp.notices.services import notices_expire
from webapp.slides.services import forget_deleted
from webapp.slides.uploads import uploads_expire, uploads_sweep

_TIDY_EVERY = 3600.0  # seconds
_log = logging.getLogger(__name__)


def _tidy() -> None:
    """What is over and done: expired sessions, answers that are kept for a day, files of deleted slides.

    What of it fails (a bucket that is away) is done an hour later: lost jobs matter more.
    """
    for part in (partial(call_command, "clearsessions"), answers_expire, forget_deleted, uploads_sweep, notices_expire):
        try:
            part()
        except Exception:  # whatever it is
            _log.exception("tidying up failed; it is tried again in an hour")


def _go_on(part: Callable[[], object], seconds: float) -> None:
    """In a thread of its own, so that a server that does not answer, or a large slide, holds up no lost job."""
    while True:
        try:
            part()
        except Exception:  # whatever it is
            _log.exception("%s failed; trying again", part.__name__)
        close_old_connections()
        time.sleep(seconds)


class Command(BaseCommand):
    """A process of its own, so that it works when the broker is away and every worker is busy."""

    help = "Send jobs again whose worker or message was lost; runs until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, default=5.0, help="between two looks")

    def handle(self, *args: Any, seconds: float, **options: Any) -> None:
        for part in (deliver_due, inbox_look):
            Thread(target=_go_on, args=(part, seconds), daemon=True).start()
        tidied = -_TIDY_EVERY
        while True:
            try:
                jobs_watch()
                if time.monotonic() - tidied > _TIDY_EVERY:
                    tidied = time.monotonic()
                    _tidy()
                uploads_expire()
                heartbeat_send(name=REAPER, facts={"queues": []})
            except (Error, OSError):
                _log.exception("database or disk do not answer; trying again")
            close_old_connections()
            time.sleep(seconds)
