"""Structured logs: every line carries the ids of its request, job and shard."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039  never changed in place
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # of which a line could be forged
_PLAIN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "about"}


@contextmanager
def log_about(**ids: object) -> Iterator[None]:
    """Lines that are logged inside carry these ids: `with log_about(job=job.pk, shard=shard.pk): ...`."""
    token = _about.set({**_about.get(), **{name: str(value) for name, value in ids.items()}})
    try:
        yield
    finally:
        _about.reset(token)


def about_now() -> dict[str, str]:
    """The ids that lines carry now."""
    return _about.get()


class About(logging.Filter):
    """Puts the ids on each line."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.about = _about.get()
        return True


class PlainFormatter(logging.Formatter):
    """For people: time, level, logger, message and the ids in brackets. A message is one line, whatever is in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        about = " ".join(f"{name}={value}" for name, value in getattr(record, "about", {}).items())
        return f"{line} [{about}]" if about else line


class JsonFormatter(logging.Formatter):
    """For programs: one JSON object a line; what is given as `extra` stands beside the ids."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
            **{name: value for name, value in record.__dict__.items() if name not in _PLAIN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
