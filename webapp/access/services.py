"""API tokens, and idempotent calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from knox.models import AuthToken

from webapp.access.models import Answer, TokenUse
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError, InvalidInput
from webapp.core.names import named

LIFETIMES = (30, 90, 365)  # days
TOKEN_DAYS = 90
KEPT = timedelta(days=1)  # answers
_MAX_KEY = 200


class KeyUsedOtherwise(DomainError):
    """The same Idempotency-Key with another call: a mistake of the client."""

    status = 422


def token_make(*, user: User, name: str = "", days: int = TOKEN_DAYS) -> str:
    """A new token of a person. Stored as a hash, so it is shown this once. name: of the program that it is for."""
    if days not in LIFETIMES:
        raise InvalidInput(f"A token lives for {', '.join(map(str, LIFETIMES))} days.")
    name = named(name, what="token", longest=100)
    with transaction.atomic():
        AuthToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
        made, token = AuthToken.objects.create(user, expiry=timedelta(days=days))
        TokenUse.objects.create(token=made, name=name)
        record(Action.TOKEN_MADE, user, after={"token": made.token_key, "name": name, "days": days})
    return str(token)


def token_used(*, token: str) -> None:
    """Note that a token, by its digest, is in use. Nothing rests on it: it may fail."""
    now = timezone.now()
    if not TokenUse.objects.filter(token_id=token).update(used_at=now):
        TokenUse.objects.bulk_create([TokenUse(token_id=token, used_at=now)], ignore_conflicts=True)


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
    answers_expire()
    try:
        with transaction.atomic():
            answer: Answer = Answer.objects.create(user=user, key=key, fingerprint=fingerprint)
    except IntegrityError:
        answer = Answer.objects.get(user=user, key=key)
        if answer.fingerprint != fingerprint:
            raise KeyUsedOtherwise("This Idempotency-Key was used for another call; make a new one.") from None
    return answer


def answers_expire() -> None:
    """Drop the answers that are kept no longer."""
    Answer.objects.filter(at__lt=timezone.now() - KEPT).delete()


def answers_forget(*, words: Sequence[str]) -> None:
    """Delete the answers that are kept and hold one of these words: a deleted patient must not come back by one."""
    sought = [word.encode() for word in words]
    kept = Answer.objects.values_list("pk", "body").iterator()
    Answer.objects.filter(pk__in=[pk for pk, body in kept if any(word in bytes(body) for word in sought)]).delete()


def answers_forget_of(*, user: User) -> None:
    """Delete the answers that are kept for a person, who may see less from now on."""
    Answer.objects.filter(user=user).delete()


def answer_keep(*, answer: Answer, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Store the answer for repeated calls."""
    Answer.objects.filter(pk=answer.pk).update(status=status, headers=dict(headers), body=body)
