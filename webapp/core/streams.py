"""Bodies of requests, read without keeping others waiting; answers that are made piece by piece."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from webapp.core.database import database_released

_PIECE = 1 << 16


class Readable(Protocol):
    """What bytes are read from: a request or a file."""

    def read(self, size: int, /) -> bytes:
        """At most this many bytes; none at the end."""


def read_a_while(stream: Readable, most: int, seconds: float) -> bytes:
    """What comes next, at most so many bytes in about so many seconds; none at the end.

    Where the stream breaks what came before is given, and the error is raised the next time.
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
    return bytes(data)


class Patient:
    """A body that others are not kept waiting for: while it is read its reader has no connection to the database."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, *size: int) -> bytes:
        """As of the body."""
        with database_released():
            return bytes(self._body.read(*size))

    def readline(self, *size: int) -> bytes:
        """As of the body."""
        with database_released():
            return bytes(self._body.readline(*size))


class PatientAnswer:
    """An answer that others are not kept waiting for: while a piece of it is sent, nothing of the database is held."""

    def __init__(self, answer: Iterable[bytes]) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._answer:
            with database_released():
                yield piece

    def close(self) -> None:
        """As of the answer."""
        if hasattr(self._answer, "close"):
            self._answer.close()


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
