"""Bodies of requests, read without keeping others waiting; answers that are made piece by piece."""

from __future__ import annotations

import io
import time
from typing import Any, Protocol

from webapp.core.database import database_release

_PIECE = 1 << 16
_SLOW = 0.1  # s; a client that takes longer for a piece will be waited for again


class Readable(Protocol):
    """What bytes are read from: a request or a file."""

    def read(self, size: int, /) -> bytes:
        """At most this many bytes; none at the end."""


def read_a_while(stream: Readable, most: int, seconds: float) -> bytes:
    """What comes next, at most so many bytes in about so many seconds; none at the end.

    Where the stream breaks what came before is given, and the error is raised the next time. No connection to the
    database, which has few, is held while a slow client is waited for.
    """
    data, began = bytearray(), time.monotonic()
    while len(data) < most and (not data or time.monotonic() - began < seconds):
        try:
            piece = stream.read(min(_PIECE, most - len(data)))
        except OSError:
            if data:
                break
            raise
        if not piece:
            break
        data += piece
        if len(data) < most and time.monotonic() - began > _SLOW:
            database_release()
    return bytes(data)


class Pipe(io.RawIOBase):
    """Takes what a zip writes, to be handed on."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._buffer += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken
