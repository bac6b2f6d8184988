"""Recording what is done, and checking that nothing was changed since.

An entry is written in the transaction of what it records. Right after that transaction it gets its place in the chain,
in one of its own: were it given within, everybody who writes would wait for everybody else. What a death in between
leaves without a place has its seal, and gets its place with the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.utils import timezone

from webapp.audit.models import Action, Entry
from webapp.audit.origin import origin_now, person_now
from webapp.core.logs import about_now

_log = logging.getLogger(__name__)
_LOCK = 0x6D69746F  # of PostgreSQL: one chain
_AT_ONCE = 1000
_NO_NOTE = (-1, "")  # what is read where the note of the end is none
_PATIENCE = timedelta(minutes=10)  # until an entry without a place is told of

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
    """Give the entries that have none their place in the chain, and note its end beside the key."""
    while _chain_some():
        pass


def audit_head() -> tuple[int, str]:
    """How many entries are chained, and the end of the chain: noted elsewhere, they show that nothing was cut off."""
    last = _chained().last()
    return (last.number or 0, last.chain) if last else (0, "")


def audit_faults(*, head: tuple[int, str] | None = None) -> Iterator[str]:
    """Where the table is not what was written, one sentence each; nothing where all of it is.

    head: what `audit_head` said before; besides it the end that is noted beside the key is looked for.
    """
    noted = _noted_head()
    if noted == _NO_NOTE:
        yield f"{settings.AUDIT_HEAD} was written by somebody else: it holds no end of the chain."
    wanted = {one for one in (head, noted) if one and one[0] > 0}
    number, chain, seals = 0, "", set()
    for entry in _chained().iterator(_AT_ONCE):
        assert entry.number is not None
        if entry.number != number + 1:
            missing = entry.number - number - 1
            yield f"{missing} {'entry is' if missing == 1 else 'entries are'} missing before entry {_named(entry)}."
        elif not _same(entry.chain, _hmac(f"{chain}\n{entry.seal}")):
            yield f"The chain breaks at entry {_named(entry)}: it is not what was written after the entry before it."
        if not _same(entry.seal, seal_of(entry)):
            yield f"Entry {_named(entry)} was changed."
        if entry.seal in seals:
            yield f"Entry {_named(entry)} is a copy of an earlier one."
        seals.add(entry.seal)
        number, chain = entry.number, entry.chain
        wanted.discard((number, chain))
    for entry in Entry.objects.filter(number=None).order_by("id").iterator(_AT_ONCE):
        if not _same(entry.seal, seal_of(entry)) or entry.seal in seals:
            yield f"An entry that has no number yet was changed, or not written by this program: {entry}."
        elif timezone.now() - entry.at > _PATIENCE:
            yield f"An entry has no number, so a process died, or somebody took its place away: {entry}."
    for place, _ in sorted(wanted):
        yield f"Entry {place} is not the one that was noted: the end was cut off, or the chain was written anew."


def _chain_some() -> bool:
    """Chain at most `_AT_ONCE` entries; whether there may be more."""
    if not Entry.objects.filter(number=None).exists():
        return False
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        waiting = Entry.objects.filter(number=None).order_by("id").values_list("pk", "seal")[:_AT_ONCE]
        number, chain = audit_head()
        places = []
        for pk, seal in waiting:
            number, chain = number + 1, _hmac(f"{chain}\n{seal}")
            places.append((number, chain, pk))
        with connection.cursor() as cursor:
            cursor.executemany("UPDATE audit_entry SET number = %s, chain = %s WHERE id = %s", places)
    _note_head(number, chain)
    return len(places) == _AT_ONCE


def _note_head(number: int, chain: str) -> None:
    """Note the end of the chain in a file beside the key, where who has the database alone cannot write."""
    noted = _noted_head()
    if noted == _NO_NOTE:
        _log.error("%s holds no end of the audit chain; it stays, for audit_verify", settings.AUDIT_HEAD)
        return
    if noted is not None and noted[0] >= number:
        return  # another process was faster
    if noted is not None and noted[0] and not Entry.objects.filter(number=noted[0], chain=noted[1]).exists():
        _log.error("audit entry %d is not the one that was noted; the note stays, for audit_verify", noted[0])
        return
    with contextlib.suppress(OSError):
        partial = settings.AUDIT_HEAD.with_name(f"{settings.AUDIT_HEAD.name}.{threading.get_native_id()}")
        partial.write_text(f"{number}:{chain}", "utf-8")
        partial.replace(settings.AUDIT_HEAD)


def _noted_head() -> tuple[int, str] | None:
    try:
        number, _, chain = settings.AUDIT_HEAD.read_text("utf-8", "replace").strip().partition(":")
    except OSError:
        return None
    return (int(number), chain) if number.isascii() and number.isdigit() else _NO_NOTE


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
    return hmac.compare_digest(one.encode(), other.encode())
