"""API tokens, and idempotent calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from knox.models import AuthToken

from webapp.access.models import Answer
from webapp.core.errors import DomainError, InvalidInput

LIFETIMES = (30, 90, 365)  # days
KEPT = timedelta(days=1)  # answers
_MAX_KEY = 200


class KeyUsedOtherwise(DomainError):
    """The same Idempotency-Key with another call: a mistake of the client."""

    status = 422


def token_make(*, user: User, days: int = 365) -> str:
    """A new token of a person. Stored as a hash, so it is shown this once."""
    if days not in LIFETIMES:
        raise InvalidInput(f"A token lives for {', '.join(map(str, LIFETIMES))} days.")
    AuthToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
    _, token = AuthToken.objects.create(user, expiry=timedelta(days=days))
    return str(token)


def token_revoke(*, user: User, key: str) -> None:
    """Revoke a person's token, by its first characters."""
    if not AuthToken.objects.filter(user=user, token_key=key).delete()[0]:
        raise DomainError("This token is revoked or expired already.")


def answer_begin(*, user: User, key: str, fingerprint: str) -> Answer:
    """The answer of this key: complete where the call was made before, else without a status.

    Call it in the transaction that does the work. Of two calls at once the second waits here for the first.
    """
    if not 0 < len(key) <= _MAX_KEY:
        raise InvalidInput(f"An Idempotency-Key has 1 to {_MAX_KEY} characters.")
    Answer.objects.filter(at__lt=timezone.now() - KEPT).delete()
    try:
        with transaction.atomic():
            answer: Answer = Answer.objects.create(user=user, key=key, fingerprint=fingerprint)
    except IntegrityError:
        answer = Answer.objects.get(user=user, key=key)
        if answer.fingerprint != fingerprint:
            raise KeyUsedOtherwise("This Idempotency-Key was used for another call; make a new one.") from None
    return answer


def answer_keep(*, answer: Answer, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Store the answer for repeated calls."""
    Answer.objects.filter(pk=answer.pk).update(status=status, headers=dict(headers), body=body)
