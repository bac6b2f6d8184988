"""A table that a page gives to take away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse

from webapp.core.tables import as_csv


def csv_file(name: str, rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """A CSV of these rows, the first of them its header. name: of the file, without ending."""
    response = HttpResponse(as_csv(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
