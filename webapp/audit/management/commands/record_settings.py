"""`python manage.py record_settings`: put into the audit table how the settings differ from those at the last start."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from webapp.audit.models import Action, Entry
from webapp.audit.services import record
from webapp.core import environment


class Command(BaseCommand):
    """Run at each start. What is secret is not written."""

    help = "Record the settings in force, where they are others than those recorded last."

    def handle(self, *args: Any, **options: Any) -> None:
        now = environment.asked()
        with transaction.atomic():
            last = Entry.objects.filter(action=Action.SETTINGS, kind="").order_by("-id").first()
            before = json.loads(last.after)["all"] if last else {}
            changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
            if changed:
                then, later = ({name: one.get(name) for name in sorted(changed)} for one in (before, now))
                record(Action.SETTINGS, before=then if last else None, after={"changed": later, "all": now})
