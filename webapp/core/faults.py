"""Faults of the machine, in a sentence each: a full disk, a database that is away, a folder that is read-only."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError
from django.http import UnreadablePostError
from redis import RedisError

from detector.errors import SlideError

_SAFE = "What was saved before is safe; what was sent just now was not saved."


@dataclass(frozen=True)
class Fault:
    """status: 503, 507 for want of room, or 408 where the client fell silent. say: what is so, what is safe, what to
    do. retry: seconds, None for who knows."""

    status: int
    say: str
    retry: int | None = None


_DISK = Fault(507, f"The disk of the server is full. {_SAFE} An administrator has to make room; then send it again.")
_FOLDER = Fault(
    503,
    f"The server may not read or write in its data folder. {_SAFE} An administrator has to give it back its rights "
    "there (a disk that is away or mounted read-only, another owner); then send it again.",
)
_FILE = Fault(
    503,
    "A file of this is missing on the disk of the server, or the server may not read it. Verdicts, counts and reports "
    "are in the database, and safe. An administrator has to put the file back, from a backup for example, or mount the "
    "folder that it is used in.",
)
_BUCKET = Fault(
    503,
    f"The storage of the slides does not answer. {_SAFE} Try again in a moment; if it lasts, tell an administrator.",
    5,
)
_DATABASE = Fault(
    503, f"The database does not answer. {_SAFE} Try again in a moment; if it lasts, tell an administrator.", 5
)
_LOCKED = Fault(503, f"The database is busy with somebody else's work. {_SAFE} Try again in a moment.", 2)
_BROKEN_OFF = Fault(408, f"What you sent did not arrive: it broke off, or came too slowly. {_SAFE} Send it again.")
_READ_ONLY = Fault(503, f"The database is read-only. {_SAFE} Tell an administrator; then send it again.")
_BROKER = Fault(
    503,
    f"Redis, which hands out the jobs, does not answer. {_SAFE} Try again in a moment; if it lasts, tell an "
    "administrator.",
    5,
)


def fault_of(error: BaseException | None) -> Fault | None:
    """The fault of the machine behind an error, or behind what caused it; None where the program itself is wrong."""
    while error is not None:
        if (found := _fault(error)) is not None:
            return found
        error = error.__cause__
    return None


def _fault(error: BaseException) -> Fault | None:
    if isinstance(error, UnreadablePostError):
        return _BROKEN_OFF
    if isinstance(error, SlideError):
        return _FILE if error.path is not None and not _can_be_read(error.path) else None
    if isinstance(error, RedisError):
        return _BROKER
    if isinstance(error, BotoCoreError | ClientError):
        return _BUCKET
    if isinstance(error, Error):
        return _of_database(error)
    if isinstance(error, OSError):
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _DISK
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}:
            return _FOLDER
        if error.errno == errno.ENOENT and not Path(settings.DATA_DIR).is_dir():
            return _FOLDER
        if error.errno in {errno.EIO, errno.ESTALE}:
            return _FILE
    return None


def _can_be_read(path: Path) -> bool:
    """By opening it: a process that is confined may look at a file that it may not read."""
    try:
        path.open("rb").close()
    except IsADirectoryError:
        return True
    except OSError:
        return False
    return True


def _of_database(error: Error) -> Fault | None:
    """By PostgreSQL's code of the error; psycopg has none where there is no server to give one, nor has SQLite."""
    words, code = str(error), getattr(error.__cause__, "sqlstate", None) or ""
    if code == "53100" or "disk is full" in words:
        return _DISK
    if code == "25006" or "readonly database" in words:
        return _READ_ONLY
    if code in {"55P03", "40P01", "40001", "57014"} or "is locked" in words:
        return _LOCKED
    away = isinstance(error, InterfaceError) or (isinstance(error, OperationalError) and not code)
    if code[:2] in {"08", "53"} or code[:3] == "57P" or (away and "no such" not in words):
        return _DATABASE
    return None
