"""What the audit table holds, as tests ask for it."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

from webapp.audit.models import Action, Entry


def take_guards_away() -> None:
    """As somebody does who may write into the database: the triggers of the audit table are gone."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_kept")
        else:
            cursor.execute("DROP TRIGGER IF EXISTS audit_entry_kept")
            cursor.execute("DROP TRIGGER IF EXISTS audit_entry_not_deleted")


def recorded(action: Action, of: Any = None) -> list[tuple[str, Any, Any]]:
    """(who, before, after) of the entries of an action, of one object or of all, in the order in which they came."""
    entries = Entry.objects.filter(action=action, **({} if of is None else {"object_id": str(of.pk)})).order_by("id")
    return [(one.who, json.loads(one.before or "null"), json.loads(one.after or "null")) for one in entries]
