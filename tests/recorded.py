"""What the audit table holds, as tests ask for it."""

from __future__ import annotations

import json
from typing import Any

from webapp.audit.models import Action, Entry


def recorded(action: Action, of: Any = None) -> list[tuple[str, Any, Any]]:
    """(who, before, after) of the entries of an action, of one object or of all, in the order in which they came."""
    entries = Entry.objects.filter(action=action, **({} if of is None else {"object_id": str(of.pk)})).order_by("id")
    return [(one.who, json.loads(one.before or "null"), json.loads(one.after or "null")) for one in entries]
