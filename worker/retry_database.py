"""Retry while the database is away, so that what has been computed is not lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

AWAY = (OperationalError, InterfaceError)  # the server is gone, not: the statement is wrong
GIVE_UP_SECONDS = 600.0  # then the message is given back, and the reaper brings the shard to another worker

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def retry_database(call: Callable[[], _T]) -> _T:
    """Call until the database answers. The call must be one that may happen twice: its answer can be lost."""
    began, pause = time.monotonic(), 0.2
    while True:
        try:
            return call()
        except AWAY as error:
            connection.close()  # the next query opens a new one
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise
            _log.warning("the database is away, trying again in %.1f s: %s", pause, str(error).strip().split("\n")[0])
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
