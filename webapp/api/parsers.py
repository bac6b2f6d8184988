"""Reading what is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

_SURROGATE = re.compile("[\ud800-\udfff]")


class UnicodeJSONParser(JSONParser):
    r"""JSON whose texts are Unicode: `"\ud800"` is JSON as well, but no text that can be kept or answered."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        sent = stream.read()
        parsed: dict[str, Any] = super().parse(BytesIO(sent), media_type, parser_context)
        if rb"\ud" in sent.lower() and _holds_surrogate(parsed):
            raise ParseError("JSON parse error - a text holds half of a character (a lone surrogate)")
        return parsed


def _holds_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(map(_holds_surrogate, inner))
