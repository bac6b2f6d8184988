"""Connections to the database, and rows that are locked in it."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db import connection, models

from webapp.core.errors import Gone

_Row = TypeVar("_Row", bound=models.Model)


def database_release() -> None:
    """Let go of this thread's connection before it waits long for somebody; the next query opens another."""
    if not connection.in_atomic_block:
        connection.close()


def lock_row(kind: type[_Row], pk: UUID | int | None, *related: str) -> _Row:
    """A row that nobody else changes until the end of the transaction, with what it is related to (not locked).

    Raises Gone where it was deleted between the first look at it and now.
    """
    rows: models.QuerySet[_Row] = kind._default_manager.select_for_update(of=("self",)).select_related(*related)
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Gone(f"This {kind._meta.verbose_name} was deleted meanwhile.")
    return found
