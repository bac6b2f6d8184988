"""Reading what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from webapp.core.typed_json import read_json


class UnicodeJSONParser(BaseParser):
    """JSON in UTF-8, whose texts are Unicode and whose numbers are numbers."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return read_json(stream.read().decode(), strict=True)
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
