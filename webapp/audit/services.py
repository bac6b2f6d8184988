"""Recording what is done, and checking that nothing was changed since.

An entry is written in the transaction of what it records. Right after that transaction it gets its place in the chain,
in one of its own: were it given within, everybody who writes would wait for everybody else. What a death in between
leaves without a place has its seal, and gets its place with the next one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.utils import timezone

from webapp.audit.models import Action, Entry
from webapp.audit.origin import origin_now, person_now
from webapp.core.logs import about_now

_LOCK = 0x6D69746F  # of PostgreSQL: one chain
_AT_ONCE = 1000

Values = Mapping[str, Any]


def record(
    action: Action, of: models.Model | None = None, *, who: User | None = None, before: Values | None = None,
    after: Values | None = None, named: str = "",
) -> None:  # fmt: skip
    """Record what is done to an object. Call it in the transaction that does it.

    who: by default whoever is signed in. named: what the object is called here, its own name by default.
    """
    record_many(action, [(of, before, after)], who=who, named=named)


def record_many(
    action: Action,
    done: Iterable[tuple[models.Model | None, Values | None, Values | None]],
    *,
    who: User | None = None,
    named: str = "",
) -> None:
    """As `record`, for many objects: each with what it was before and is after."""
    who = who if who is not None else person_now()
    at, origin, request = timezone.now(), origin_now(), about_now().get("request", "")
    entries = [
        Entry(
            at=at,
            who=who.get_username() if who else "",
            who_id=who.pk if who else None,
            origin=origin,
            request=request[:64],
            action=action,
            kind=str(of._meta.verbose_name) if of is not None else "",
            object_id=str(of.pk) if of is not None else "",
            object=named or (str(of) if of is not None else ""),
            before=_json(before),
            after=_json(after),
        )
        for of, before, after in done
    ]
    for entry in entries:
        entry.seal = seal_of(entry)
    Entry.objects.bulk_create(entries, batch_size=_AT_ONCE)
    transaction.on_commit(chain_on, robust=True)


def seal_of(entry: Entry) -> str:
    """The seal that an entry has to have."""
    parts = [
        entry.at.astimezone(UTC).isoformat(), entry.who, entry.who_id, entry.origin, entry.request, entry.action,
        entry.kind, entry.object_id, entry.object, entry.before, entry.after,
    ]  # fmt: skip
    return _hmac(json.dumps(parts))


def chain_on() -> None:
    """Give the entries that have none their place in the chain."""
    if not Entry.objects.filter(number=None).exists():
        return
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        waiting = list(Entry.objects.filter(number=None).order_by("id"))
        last = _chained().last()
        number, chain = (last.number or 0, last.chain) if last else (0, "")
        for entry in waiting:
            number, chain = number + 1, _hmac(f"{chain}\n{entry.seal}")
            entry.number, entry.chain = number, chain
        Entry.objects.bulk_update(waiting, ["number", "chain"], batch_size=_AT_ONCE)


def audit_head() -> tuple[int, str]:
    """How many entries are chained, and the end of the chain: noted elsewhere, they show that nothing was cut off."""
    last = _chained().last()
    return (last.number or 0, last.chain) if last else (0, "")


def audit_faults(*, head: tuple[int, str] | None = None) -> Iterator[str]:
    """Where the table is not what was written, one sentence each; nothing where all of it is.

    head: what `audit_head` said before.
    """
    number, chain, met = 0, "", head in {None, (0, "")}
    for entry in _chained().iterator(_AT_ONCE):
        assert entry.number is not None
        if entry.number != number + 1:
            missing = entry.number - number - 1
            yield f"{missing} {'entry is' if missing == 1 else 'entries are'} missing before entry {_named(entry)}."
        elif not _same(entry.chain, _hmac(f"{chain}\n{entry.seal}")):
            yield f"The chain breaks at entry {_named(entry)}: it is not what was written after the entry before it."
        if not _same(entry.seal, seal_of(entry)):
            yield f"Entry {_named(entry)} was changed."
        number, chain = entry.number, entry.chain
        met = met or head == (number, chain)
    for entry in Entry.objects.filter(number=None).order_by("id").iterator(_AT_ONCE):
        if not _same(entry.seal, seal_of(entry)):
            yield f"An entry that has no number yet was changed, or not written by this program: {entry}."
    if not met and head is not None:
        yield f"Entry {head[0]} is not the one that was noted: the end was cut off, or all was written anew."


def _chained() -> models.QuerySet[Entry]:
    return Entry.objects.exclude(number=None).order_by("number")


def _named(entry: Entry) -> str:
    return f"{entry.number} ({entry})"


def _json(values: Values | None) -> str:
    return json.dumps(values, default=str, ensure_ascii=False, sort_keys=True) if values is not None else ""


def _hmac(text: str) -> str:
    key = hmac.new(settings.SIGNING_KEY.encode(), b"audit", hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one, other)
