"""SQL of querysets, compiled once and run with other values: for queries that run thousands of times a minute.

Building a query and its SQL costs Django several times what the database needs to answer it, and so does planning it
cost PostgreSQL. What is kept is the SQL of an ordinary queryset, so that the rules in it (who sees which slide) stay
where they are, and on each connection to PostgreSQL its plan.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

Value = int | float | str | UUID | datetime


class CachedSql:
    """A query by named values. build: makes its queryset, of `values_list`, from them (and from what it varies by).

    Rows are as the database gives them: on SQLite an id is a text of 32 characters and a truth value 0 or 1.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]]) -> None:
        self._build = build
        self._built: dict[Hashable, tuple[str, list[tuple[str, Any]]]] = {}

    def __call__(self, *variant: Hashable, **values: Value) -> list[tuple[Any, ...]]:
        """The rows. variant: given to `build` as it is; each has SQL of its own."""
        form = (variant, *values)
        if form not in self._built:
            self._built[form] = self._compiled(variant, values)
        sql, parameters = self._built[form]
        given = [_adapted(values[name]) if name else constant for name, constant in parameters]
        # Django asks PostgreSQL once a request whether the connection still works; this query shows it as well.
        connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs do not know it
        try:
            return _rows(sql, given)
        except OperationalError:
            if connection.in_atomic_block:
                raise
            connection.close()
            return _rows(sql, given)

    def _compiled(self, variant: tuple[Hashable, ...], values: dict[str, Value]) -> tuple[str, list[tuple[str, Any]]]:
        """SQL, and of each of its parameters the name of the value, or "" and a constant."""
        stand_ins = {name: _stand_in(number, value) for number, (name, value) in enumerate(values.items())}
        names = {_adapted(stand_in): name for name, stand_in in stand_ins.items()}
        sql, parameters = self._build(*variant, **stand_ins).query.sql_with_params()
        built = [(names.get(parameter, ""), parameter) for parameter in parameters]
        assert set(names.values()) <= {name for name, _ in built}, "a value does not reach the SQL as it is"
        return sql, built


def _rows(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with _cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _cursor() -> CursorWrapper:
    """Django's, but on PostgreSQL one whose statements are prepared; its own puts the values into the SQL."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    cursor = cast(CursorWrapper, psycopg.Cursor(connection.connection))  # the stubs take a wrapper for what it wraps
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)


def _stand_in(number: int, value: Value) -> Value:
    """A value of the same type that nothing else in a query is."""
    if isinstance(value, UUID):
        return UUID(int=0xFEED << 64 | number)
    if isinstance(value, datetime):
        return datetime(1, 1, 1, 0, 0, number, tzinfo=UTC)
    if isinstance(value, float):
        return -7_000_000.5 - number
    return -7_000_000 - number if isinstance(value, int) else f"stand-in {number}"


def _adapted(value: Value) -> Any:
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
