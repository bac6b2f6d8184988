"""What a server does before it serves: at every start, however many of them start at once."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from webapp.ops.first_run import Credentials, first_run

_LOCK = 0x7072657061  # of PostgreSQL


def prepare_server(*, verbosity: int = 0) -> Credentials | None:
    """Bring the database up to date, collect static files, make what is missing; credentials at the first start alone.

    One at a time: two that migrate at once would be in each other's way.
    """
    with _alone():
        call_command("migrate", verbosity=verbosity)
        call_command("collectstatic", verbosity=0, interactive=False)
        credentials = first_run()
        call_command("record_settings")
    return credentials


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Until the end of the block no other process is here; who comes meanwhile waits."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
        return
    with (Path(settings.DATA_DIR) / "prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
