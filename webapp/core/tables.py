"""Tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from webapp.core.names import no_formula


def as_csv(rows: Iterable[Iterable[Any]]) -> bytes:
    """Comma-separated. Text that a spreadsheet would run as a formula begins with an apostrophe."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([no_formula(value) for value in row] for row in rows)
    return out.getvalue().encode()


def rounded(value: float | None) -> float | None:
    """To a thousandth, for a table; None stays."""
    return None if value is None else round(value, 3)
