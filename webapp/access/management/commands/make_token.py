"""`python manage.py make_token NAME`: an API token for a person, shown once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.access.services import token_make


class Command(BaseCommand):
    """Tokens are kept hashed, expire after 90 days, and are revoked by their owner on the page of tokens."""

    help = "Make an API token for a person and print it; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active person called {name}; make one in the admin first.")
        self.stdout.write(token_make(user=user))
