"""Connections to the database."""

from __future__ import annotations

from django.db import connection


def database_release() -> None:
    """Let go of this thread's connection before it waits long for somebody; the next query opens another."""
    if not connection.in_atomic_block:
        connection.close()
