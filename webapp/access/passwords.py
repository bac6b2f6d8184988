"""What a new password ends."""

from __future__ import annotations

from django.contrib.auth.models import User
from knox.models import AuthToken

from webapp.audit.models import Action
from webapp.audit.services import record


class EndsTokens:
    """A password validator that takes every password: Django tells it of each that is changed, wherever that is done.

    The tokens that were made under the old one end; its sessions do by themselves.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Nothing to say."""

    def get_help_text(self) -> str:
        """For the form."""
        return "API tokens and other sessions end with the old password."

    def password_changed(self, password: str, user: User) -> None:
        """Called by Django after the person is saved."""
        tokens = AuthToken.objects.filter(user=user)
        ended = tokens.count()
        tokens.delete()
        record(Action.PASSWORD_CHANGED, user, after={"tokens ended": ended})
