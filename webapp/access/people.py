"""Accounts of people, as administrators make, lock and open them: by a link that sets the first, or a new, password."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.encoding import force_bytes
from django.utils.http import base36_to_int, urlsafe_base64_encode

from webapp.core.errors import DomainError, InvalidInput

INVITED_FOR = timedelta(days=7)


class Invitations(PasswordResetTokenGenerator):
    """Tokens that set a password once, within a week: those of forgotten passwords are good for an hour."""

    key_salt = "webapp.access.people.Invitations"

    def check_token(self, user: Any, token: str | None) -> bool:
        """Whether it is this person's, unused and not too old."""
        stamp, _, rest = (token or "").partition("-")
        try:
            made = base36_to_int(stamp)
        except ValueError:
            return False
        whole = self._make_token_with_timestamp(user, made, self.secret)
        recent = self._num_seconds(self._now()) - made <= INVITED_FOR.total_seconds()
        return bool(user and rest and constant_time_compare(whole, token or "") and recent)


invitations = Invitations()


def person_invite(*, username: str, email: str = "", first_name: str = "", last_name: str = "") -> User:
    """An account without a password; `invitation_path` leads to the page that sets one."""
    person = User(username=username.strip(), email=email.strip(), first_name=first_name, last_name=last_name)
    try:
        if person.email:
            validate_email(person.email)
        person.set_unusable_password()
        person.full_clean()
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from None
    person.save()
    return person


def invitation_path(person: User) -> str:
    """The address, without host, at which the person sets a password; good for one use, for a week."""
    key = urlsafe_base64_encode(force_bytes(person.pk))
    return reverse("invitation", args=[key, invitations.make_token(person)])


def person_lock(*, person: User, by: User) -> None:
    """End a person's sessions and tokens, until the account is opened again; nothing of theirs is deleted."""
    with transaction.atomic():
        if person.pk == by.pk:
            raise DomainError("This is your own account; another administrator can lock it.")
        person.is_active = False
        person.save(update_fields=["is_active"])


def person_unlock(*, person: User) -> None:
    """Open an account again."""
    person.is_active = True
    person.save(update_fields=["is_active"])
