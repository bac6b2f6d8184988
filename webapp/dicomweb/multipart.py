"""Bodies and answers of several parts (RFC 2387, `multipart/related`), neither of which is ever whole in memory."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Protocol

from django.utils.http import parse_header_parameters
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from webapp.core.errors import DomainError, InvalidInput
from webapp.core.streams import Readable

_BLOCK, _DICOM = 1 << 18, "application/dicom"


class WrongContentType(DomainError):
    """What is stored comes as DICOM, in parts."""

    status = 415


class Taker(Protocol):
    """What the parts of a body are given to."""

    def begin(self) -> None:
        """A part begins."""

    def write(self, data: bytes) -> None:
        """More of it."""

    def end(self) -> None:
        """It is whole."""


def boundary_of(content_type: str) -> str:
    """The boundary of a body of parts in DICOM. Raises WrongContentType."""
    kind, said = parse_header_parameters(content_type)
    if kind.lower() != "multipart/related" or said.get("type", _DICOM).lower() != _DICOM:
        raise WrongContentType('Send multipart/related; type="application/dicom", each instance as one part.')
    if not said.get("boundary"):
        raise InvalidInput("The Content-Type names no boundary.")
    return said["boundary"]


def read_parts(body: Readable, boundary: str, taker: Taker) -> None:
    """Give all parts to the taker. Raises InvalidInput for a body that is cut off, or none of parts."""
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": taker.begin,
                "on_part_data": lambda data, start, stop: taker.write(data[start:stop]),
                "on_part_end": taker.end,
                "on_end": end,
            },
        )
        while data := body.read(_BLOCK):
            parser.write(data)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"The body is not in parts as its Content-Type says: {error}.") from error
    if not ended:
        raise InvalidInput("The body ends before its last part does; send it again.")


def written_parts(parts: Iterable[tuple[str, Iterable[bytes]]]) -> tuple[str, Iterator[bytes]]:
    """The boundary, and the body of these parts: (content type, its bytes)."""
    boundary = secrets.token_hex(16)

    def body() -> Iterator[bytes]:
        for kind, pieces in parts:
            yield f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
            yield from pieces
            yield b"\r\n"
        yield f"--{boundary}--".encode()

    return boundary, body()
