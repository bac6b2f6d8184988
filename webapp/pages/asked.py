"""What an address asks for, in the types of the database."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404

_LARGEST = 2**31 - 1  # of a primary key


def number_of(text: str) -> int:
    """A number as it is written in digits; 0, which is nothing's, where it is none or too large for one."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST)) else 0
    return number if number <= _LARGEST else 0


def uuid_of(text: str) -> UUID:
    """A UUID. Raises Http404 where it is none."""
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
