"""Pages by limit and offset, with the count of all."""

from typing import Any

from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request

from webapp.core.errors import InvalidInput


class LimitOffset(LimitOffsetPagination):
    """At most 1,000 rows a page; 100 where nothing is asked for."""

    default_limit = 100
    max_limit = 1000

    def get_limit(self, request: Request) -> int | None:
        _check(request, "limit", least=1)
        return super().get_limit(request)

    def get_offset(self, request: Request) -> int:
        _check(request, "offset", least=0)
        return super().get_offset(request)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        for name in ("next", "previous"):  # DRF says it as OpenAPI 3.0 does
            del described["properties"][name]["nullable"]
            described["properties"][name]["type"] = ["string", "null"]
        return described


def _check(request: Request, name: str, *, least: int) -> None:
    """InvalidInput where a number is given that none can be meant by, instead of another page than was asked for."""
    text = request.query_params.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise InvalidInput(f"{name}={text[:40]} is not a whole number from {least} up.")
