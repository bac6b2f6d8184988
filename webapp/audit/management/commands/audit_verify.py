"""`python manage.py audit_verify`: whether the audit table is what was written."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.audit.services import audit_faults, audit_head


class Command(BaseCommand):
    """Ends with 1 where it finds a fault."""

    help = (
        "Check the chain of the audit table, and its end against what is noted beside the key. Note the last line "
        "elsewhere too and give it the next time with --head, for the case that somebody writes there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", metavar="NUMBER:CHAIN", help="the end of the chain, as an earlier call said it")

    def handle(self, *args: Any, head: str | None, **options: Any) -> None:
        noted = None
        if head is not None:
            number, _, chain = head.partition(":")
            if not number.isdigit() or not chain:
                raise CommandError("--head is a number, a colon and 64 characters, as this command prints them.")
            noted = int(number), chain
        faults = 0
        for fault in audit_faults(head=noted):
            faults += 1
            self.stderr.write(fault)
        if faults:
            raise CommandError(f"The audit table is not what was written: {faults} faults, named above.")
        last, chain = audit_head()
        self.stdout.write(f"All {last} entries are as they were written. The end of the chain:\n{last}:{chain}")
