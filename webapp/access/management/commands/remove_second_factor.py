"""manage.py remove_second_factor NAME: for who has lost phone, passkeys and recovery codes."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.access.second_factor import factors_reset


class Command(BaseCommand):
    """Take away all second factors of one person."""

    help = "Take away all second factors of one person, who has lost them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name that they sign in with")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is no account called {options['name']}.")
        count = factors_reset(user=user)
        self.stdout.write(f"{count} {'factor' if count == 1 else 'factors'} of {user} removed.")
