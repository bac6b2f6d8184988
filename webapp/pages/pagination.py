"""How many rows a page shows."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest

ROWS = 25
SAMPLES = 60  # crops in a gallery
MOST_CHOICES = 200  # slides that one form offers, unless more are asked for


def page_of(request: HttpRequest, rows: Any, size: int = ROWS, *, count: int | None = None) -> Page[Any]:
    """The page `?page=` of rows. count: of all rows, where it is known already."""
    paginator = Paginator(rows, size)
    if count is not None:
        paginator.count = count
    return paginator.get_page(request.GET.get("page"))
