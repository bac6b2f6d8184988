"""Searching the audit table, and writing it out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date

from webapp.audit.models import Action, Entry
from webapp.core.database import in_batches
from webapp.core.errors import InvalidInput
from webapp.core.names import no_formula

COLUMNS = (
    "number", "at", "who", "who_id", "origin", "request", "action", "kind", "object_id", "object", "before", "after",
    "seal", "chain",
)  # fmt: skip
_AT_ONCE = 2000


@dataclass(frozen=True)
class AuditFilters:
    """What is looked for; empty: everything. search: in what it was done to, and in what was before and after."""

    search: str = ""
    who: str = ""
    action: str = ""
    origin: str = ""
    since: date | None = None
    until: date | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> AuditFilters:
        """From an address. Raises InvalidInput for a date that is none, or an action that there is not."""
        text = {name: query.get(name, "").strip() for name in ("search", "who", "action", "origin")}
        if text["action"] and text["action"] not in set(Action):
            raise InvalidInput("There is no such action.")
        return cls(**text, since=_date(query.get("since", "")), until=_date(query.get("until", "")))


def entries_found(filters: AuditFilters) -> QuerySet[Entry]:
    """The entries that were looked for, the newest first."""
    found = Entry.objects.all()
    for name in ("who", "action", "origin"):
        if value := getattr(filters, name):
            found = found.filter(**{name: value})
    if filters.search:
        words = (Q(**{f"{field}__icontains": filters.search}) for field in ("object", "object_id", "before", "after"))
        condition = Q()
        for word in words:
            condition |= word
        found = found.filter(condition)
    if filters.since:
        found = found.filter(at__gte=_midnight(filters.since))
    if filters.until:
        found = found.filter(at__lt=_midnight(filters.until + timedelta(days=1)))
    return found


def written_as_csv(entries: QuerySet[Entry]) -> Iterator[str]:
    """A header and a line for each entry, the oldest first."""
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield line.text
    for row in _rows(entries):
        writer.writerow([no_formula(value) for value in row.values()])
        yield line.text


def written_as_json_lines(entries: QuerySet[Entry]) -> Iterator[str]:
    """An object a line, the oldest first; `before` and `after` are text, as the seal covers them."""
    for row in _rows(entries):
        yield json.dumps(row, ensure_ascii=False) + "\n"


class _Line:
    """The last line that was written."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _rows(entries: QuerySet[Entry]) -> Iterator[dict[str, object]]:
    for entry in in_batches(entries, _AT_ONCE):
        yield {name: getattr(entry, name) for name in COLUMNS} | {"at": entry.at.isoformat()}


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _date(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        found = parse_date(text.strip())
    except ValueError:
        found = None
    if found is None or not 1900 <= found.year < 3000:
        raise InvalidInput("A date is a year, a month and a day: 2026-11-29.")
    return found
