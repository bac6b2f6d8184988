"""Names of studies, cases and slides, the same from every door: what looks alike is one name.

Unicode composes one letter in several ways (a file name from macOS has its accents apart), and holds characters that
nobody sees but that turn or hide others.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from django.core.exceptions import BadRequest
from django.db import models
from django.http import HttpRequest, UnreadablePostError

from webapp.core.errors import InvalidInput

# Categories of Unicode: control, format (bidirectional marks, zero width), surrogates, private use, not assigned.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def plain_name(text: str) -> str:
    """A name in NFC, without characters that cannot be seen; blanks and line ends are one blank, none at the ends."""
    blanks = "".join(" " if character.isspace() else character for character in text)
    seen = "".join(character for character in blanks if unicodedata.category(character) not in _UNSEEN)
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def named(text: str, *, what: str, longest: int) -> str:
    """The same. Raises InvalidInput where it is longer than is kept. what: for the message, such as "case"."""
    name = plain_name(text)
    if len(name) > longest:
        raise InvalidInput(f"The name of this {what} has {len(name)} characters; at most {longest} are kept.")
    return name


class NameField(models.CharField[str, str]):
    """A CharField whose values, and what is looked for in it, are plain names."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return plain_name(text) if isinstance(text, str) else text

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return plain_name(prepared) if isinstance(prepared, str) else prepared

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = plain_name(super().pre_save(model_instance, add) or "")
        setattr(model_instance, self.attname, value)
        return value


def refuse_nul(request: HttpRequest) -> None:
    """BadRequest where address or cookies hold a NUL, which no name has and PostgreSQL does not take."""
    if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
        raise BadRequest("The address holds a NUL character; no name has one.")
    if any("\0" in value for value in request.COOKIES.values()):
        raise BadRequest("A cookie holds a NUL character; none of ours does.")


def refuse_nul_in_form(request: HttpRequest) -> None:
    """The same for what a form sends, which is read here."""
    try:
        sent = request.POST
    except UnreadablePostError:
        return  # said where it is needed
    if any("\0" in value for _, values in sent.lists() for value in values):
        raise BadRequest("What was sent holds a NUL character; remove it and send it again.")


def no_formula(value: Any) -> Any:
    """For a cell of a CSV: text that a spreadsheet would run as a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
