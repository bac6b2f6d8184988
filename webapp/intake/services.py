"""Slides that come in by themselves: one look at a folder or bucket, which imports what is finished and new."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from webapp.core.confinement import is_readable
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput
from webapp.core.faults import fault_of
from webapp.intake.models import Arrival
from webapp.intake.naming import Named, Rules, rows_of
from webapp.intake.places import Folder, Item, Place
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.slides.models import Slide, Study
from webapp.slides.services import slide_create
from webapp.slides.uploads import has_room

_COPY, _OLD = "intake-", 86_400  # the name of a copy on its way begins so; seconds
_MOVING = "It is still being written, or came just now."
_NOT_HERE = {Arrival.State.WAITING, Arrival.State.LEFT}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How slides are imported. in_place: the file stays where it is and is read there, never changed or deleted; else
    it is copied. quiet: a file is finished when size and time of change have stood still for so long."""

    rules: Rules = field(default_factory=Rules)
    in_place: bool = False
    detect: bool = True
    quiet: timedelta = timedelta(seconds=30)


def arrivals_look(*, place: Place, manner: Manner) -> Counter[str]:
    """Look once at what lies there, and import what is finished; how many arrivals are in which state now.

    What fails waits, with the reason, for the next look. Looking twice, by two processes as well, imports nothing
    twice: a file is known by its content. Raises DomainError where the place cannot be looked into at all.
    """
    if manner.in_place and (settings.S3_BUCKET or not isinstance(place, Folder)):
        raise InvalidInput("Slides are used in place from a folder alone, and not where slides are kept in a bucket.")
    if manner.in_place and not is_readable(Path(place.address)):
        raise InvalidInput(
            f"Web and workers may not read in {place.address}; set WATCH_FOLDER to it, or to one above it."
        )
    _drop_old_copies()
    manner = replace(manner, rules=replace(manner.rules, rows=rows_of(place.table())))
    known = {arrival.key: arrival for arrival in Arrival.objects.filter(place=place.address).defer("name")}
    states: Counter[str] = Counter()
    for item in place.items():
        key = Arrival.key_of(place.address, item.identity)
        arrival = known.pop(key, None) or Arrival(key=key, place=place.address)
        states[arrival.state if _is_done(arrival, item) else _considered(arrival, item, place, manner)] += 1
    gone = [arrival.pk for arrival in known.values() if arrival.state in _NOT_HERE]
    Arrival.objects.filter(pk__in=gone).delete()  # what was never imported, and lies there no more
    return states


def _drop_old_copies() -> None:
    """Those of looks that were killed."""
    for copy in settings.UPLOAD_DIR.glob(f"{_COPY}*"):
        with contextlib.suppress(FileNotFoundError):  # another look is done with it
            if copy.stat().st_mtime < time.time() - _OLD:
                copy.unlink()


def _is_done(arrival: Arrival, item: Item) -> bool:
    same = (arrival.size, arrival.stamp) == (item.size, item.stamp)
    return same and not arrival._state.adding and arrival.state != Arrival.State.WAITING


def _considered(arrival: Arrival, item: Item, place: Place, manner: Manner) -> str:
    """The state of an arrival after this look."""
    now = timezone.now()
    if (arrival.size, arrival.stamp) != (item.size, item.stamp):
        if arrival.state == Arrival.State.TAKEN:
            arrival = _after(arrival, item)
        arrival.size, arrival.stamp, arrival.still_since = item.size, item.stamp, now
        arrival.name, arrival.state, arrival.reason = item.shown, Arrival.State.WAITING, _MOVING
        arrival.slide, arrival.sha256 = None, ""
        if not item.known:
            arrival.state, arrival.reason = Arrival.State.LEFT, "Its name ends like that of no slide."
        _keep(arrival)
        if manner.quiet or not item.known:
            return str(arrival.state)
    if arrival.still_since > now - manner.quiet:
        return str(arrival.state)
    try:
        _import(arrival, item, place, manner)
    except DomainError as error:
        _wait(arrival, str(error))
    except (OSError, UnicodeError, BotoCoreError, ClientError) as error:
        fault = fault_of(error)
        _wait(arrival, fault.say if fault else f"It cannot be read: {error}.")
    return str(arrival.state)


def _after(taken: Arrival, item: Item) -> Arrival:
    """A new arrival in the place of one that was imported, whose content is still known."""
    key = taken.key
    taken.key = Arrival.key_of(taken.place, f"{item.identity}\0{taken.size} {taken.stamp}")
    taken.save(update_fields=["key"])
    return Arrival(key=key, place=taken.place)


def _keep(arrival: Arrival) -> None:
    """Save it, or take what another process has saved of the same file."""
    if arrival._state.adding:
        fields = ("place", "name", "size", "stamp", "still_since", "state", "reason")
        defaults = {name: getattr(arrival, name) for name in fields}
        arrival.pk = Arrival.objects.get_or_create(key=arrival.key, defaults=defaults)[0].pk
        arrival._state.adding = False
        arrival.refresh_from_db()
    else:
        arrival.save()


def _wait(arrival: Arrival, reason: str) -> None:
    if arrival.reason != reason:
        arrival.reason = reason
        arrival.save(update_fields=["reason", "at"])


def _import(arrival: Arrival, item: Item, place: Place, manner: Manner) -> None:
    said = manner.rules.of(item.name)
    study = Study.objects.filter(name=said.study).first()
    if study is None:
        raise DomainError(f"There is no study {said.study}; make it, and this file is imported at the next look.")
    copy = None if manner.in_place else settings.UPLOAD_DIR / f"{_COPY}{uuid4()}"
    if copy is None and not all(is_readable(Path(path)) for _, path in item.files):
        raise DomainError("It is a link to where web and workers may not read; copy it, or mount WATCH_FOLDER there.")
    try:
        arrival.sha256 = _fetched(item, place, copy)
        if not place.stands_still(item):
            raise DomainError(_MOVING)
        try:
            with transaction.atomic():
                _become_slide(arrival, item, study, said, copy, manner)
        except IntegrityError as error:  # somebody else has taken the same content meanwhile, or deleted the study
            arrival.state = Arrival.State.WAITING
            if not _same_content(arrival):
                raise DomainError("It could not be imported just now; it is tried again at the next look.") from error
            _known_already(arrival)
    finally:
        if copy is not None:
            copy.unlink(missing_ok=True)


def _fetched(item: Item, place: Place, copy: Path | None) -> str:
    if copy is None:
        assert isinstance(place, Folder)
        return place.hashed(item)
    if not has_room(size=item.size):
        raise DomainError("There is not enough room on the disk of the server for it; make room.")
    return place.fetch(item, copy)


def _become_slide(arrival: Arrival, item: Item, study: Study, said: Named, copy: Path | None, manner: Manner) -> None:
    now = lock_row(Arrival, arrival.pk)
    if now.state != Arrival.State.WAITING:  # another process was faster
        arrival.refresh_from_db()
        return
    if _same_content(arrival):
        _known_already(arrival)
        return
    arrival.state, arrival.reason = Arrival.State.TAKEN, ""
    arrival.save()  # before anything is written: one of two that do so at once fails here
    name = Path(item.name).name if len(item.files) == 1 or copy is None else f"{Path(item.name).stem}.zip"
    slide = slide_create(
        study=study, case_identifier=said.case, name=name, file=copy, user=said.by, mpp=said.mpp, detect=manner.detect,
        links=item.files if copy is None else (),
    )  # fmt: skip
    job_create(kind=Job.Kind.INGEST, slide=slide, by=said.by)
    arrival.slide = slide
    arrival.save(update_fields=["slide"])


def _same_content(arrival: Arrival) -> Slide | Arrival | None:
    """What has the same content: a slide, or an arrival whose slide is not prepared yet, or was deleted."""
    taken = Arrival.objects.filter(sha256=arrival.sha256, state=Arrival.State.TAKEN).exclude(pk=arrival.pk)
    return Slide.objects.filter(sha256=arrival.sha256).first() or taken.first()


def _known_already(arrival: Arrival) -> None:
    same = _same_content(arrival)
    arrival.state, arrival.reason = Arrival.State.KNOWN, "The same file has been imported before."
    arrival.slide = same if isinstance(same, Slide) else same.slide if same else None
    arrival.save()
