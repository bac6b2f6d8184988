"""Connections to the database, and rows that are locked in it.

The database has few connections, and a process of the web many threads that wait for slow clients. Each of those has a
turn (`database_turn`), which is needed to use a connection, and gives both back while it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from django.db import connection, models

from webapp.core.errors import Gone

_Row = TypeVar("_Row", bound=models.Model)


class _Turn(threading.local):
    of: threading.Semaphore | None = None  # whose turn this thread has, if it needs one


_turn = _Turn()


@contextmanager
def database_turn(turns: threading.Semaphore) -> Iterator[None]:
    """For what may wait long for its client: as many at once as there are turns use the database."""
    with turns:
        _turn.of = turns
        try:
            yield
        finally:
            _turn.of = None


@contextmanager
def database_released() -> Iterator[None]:
    """Without a connection and without a turn, for a block that waits for somebody; not within a transaction, and not
    for a thread that needs no turn."""
    turns = _turn.of
    if turns is None or connection.in_atomic_block:
        yield
        return
    connection.close()
    _turn.of = None
    turns.release()
    try:
        yield
    finally:
        turns.acquire()
        _turn.of = turns


def in_batches(rows: models.QuerySet[_Row], size: int) -> Iterator[_Row]:
    """Rows in the order of their keys, by a query for each batch: between two of them nothing of the database is held,
    as a cursor would be."""
    rows = left = rows.order_by("pk")
    while batch := list(left[:size]):
        yield from batch
        left = rows.filter(pk__gt=batch[-1].pk)


def lock_row(kind: type[_Row], pk: UUID | int | None, *related: str) -> _Row:
    """A row that nobody else changes until the end of the transaction, with what it is related to (not locked).

    Raises Gone where it was deleted between the first look at it and now.
    """
    rows: models.QuerySet[_Row] = kind._base_manager.select_for_update(of=("self",)).select_related(*related)
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Gone(f"This {kind._meta.verbose_name} was deleted meanwhile.")
    return found
