"""Tokens, and the answers to calls that may be sent twice."""

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
    """The same key with another question is a mistake of the program that calls."""

    status = 422


def token_make(*, user: User, days: int = 365) -> str:
    """A new token of a person. It is kept hashed, so this is the only time that it can be seen."""
    if days not in LIFETIMES:
        raise InvalidInput(f"A token lives for {', '.join(map(str, LIFETIMES))} days.")
    AuthToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
    _, token = AuthToken.objects.create(user, expiry=timedelta(days=days))
    return str(token)


def token_revoke(*, user: User, key: str) -> None:
    """End a person's token, by the characters that it begins with. From now on nobody gets in with it."""
    if not AuthToken.objects.filter(user=user, token_key=key).delete()[0]:
        raise DomainError("This token was revoked or has expired before.")


def answer_begin(*, user: User, key: str, fingerprint: str) -> Answer:
    """The answer to this key: complete where the call was made before, else without status, to be filled in.

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
    """Keep what was answered, to be said again."""
    Answer.objects.filter(pk=answer.pk).update(status=status, headers=dict(headers), body=body)
