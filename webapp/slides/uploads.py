"""Writing uploads: bytes as they arrive, and the slide that they become."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from detector.slide import plausible_mpp
from webapp.core.database import lock_row
from webapp.core.errors import Busy, DomainError, Gone, InvalidInput, NoRoom, TooLarge, TooMany
from webapp.core.names import named
from webapp.core.streams import Readable, read_a_while
from webapp.slides.models import Slide, Study, Upload
from webapp.slides.roles import Right, demand
from webapp.slides.services import clean_name, slide_create

_BLOCK = 1 << 20
_PATIENCE, _LEAST_RATE = 60.0, 200.0  # seconds; bytes a second from then on, on average
_KEPT_EVERY = 1.0  # s between two times at which it is noted what of an upload is on the disk
_LEFT_FOR = 3600.0  # seconds, until bytes of no upload are deleted
_SPARE_BYTES = 1 << 30  # room that an upload must leave on the disk


_GONE = "The bytes of this upload are no longer on the server; begin the upload anew."


class TooSlow(DomainError):
    """A client that holds a connection and sends next to nothing. What arrived is kept."""

    status = 408


class ChecksumMismatch(DomainError):
    """The checksum of an upload differs."""

    status = 460  # tus's own


@dataclass(frozen=True)
class Checksum:
    """The expected checksum of a part. digest: a fresh hashlib object."""

    digest: hashlib._Hash
    expected: bytes


def upload_create(
    *,
    user: User,
    study: Study,
    name: str,
    size: int,
    case_identifier: str = "",
    mpp: float | None = None,
    detect: bool = True,
) -> Upload:
    """Begin an upload. Refuses what will not fit, on the disk or in the person's quota, before a byte is sent."""
    demand(Right.UPLOAD, user=user, study=study.pk)
    if size <= 0:
        raise InvalidInput("This file is empty (0 bytes).")
    if size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(f"This file is larger than the {settings.MAX_UPLOAD_BYTES // 1024**3} GB that are accepted.")
    if mpp is not None and plausible_mpp(mpp, mpp) is None:
        raise InvalidInput("um/px must lie between 0.05 and 5; a 40x scan has about 0.25.")
    if Upload.objects.filter(user=user).unfinished().count() >= settings.UPLOADS_PER_USER:
        raise TooMany(
            f"You have {settings.UPLOADS_PER_USER} unfinished uploads, as many as one person may have; finish or "
            "cancel some first."
        )
    demand_quota(user=user, size=size, what="this file")
    demand_room(size=size, what="this file")
    upload = Upload.objects.create(
        user=user,
        study=study,
        name=clean_name(name),
        size=size,
        case_identifier=named(case_identifier, what="case", longest=100),
        mpp=mpp,
        detect=detect,
    )
    upload.file.touch(mode=0o600)
    return upload


def demand_quota(*, user: User, size: int, what: str) -> None:
    """Raise TooLarge where so many bytes more are not a person's any more."""
    used = bytes_used(user=user)
    if used + size > settings.USER_QUOTA_BYTES:
        raise TooLarge(
            f"Your slides and unfinished uploads take {used / 1024**3:.1f} GB of the {settings.USER_QUOTA_BYTES >> 30} "
            f"that you may use, and {what} has {size / 1024**3:.1f} more; ask your administrator for more."
        )


def demand_room(*, size: int, what: str) -> None:
    """Raise NoRoom where the disk has no room for so many bytes."""
    if not has_room(size=size):
        raise NoRoom(
            f"There is not enough room on the server for {what}, so nothing of it was taken; what was saved before "
            "is safe. An administrator has to make room; then send it again."
        )


def has_room(*, size: int) -> bool:
    """Whether the disk has room for so many bytes, besides what unfinished uploads still bring, and to spare."""
    settings.UPLOAD_DIR.mkdir(parents=True, exist_ok=True)
    awaited = Upload.objects.unfinished().aggregate(bytes=Sum(F("size") - F("offset")))["bytes"] or 0
    return bool(shutil.disk_usage(settings.UPLOAD_DIR).free >= size + awaited + _SPARE_BYTES)


def bytes_used(*, user: User) -> int:
    """What counts against a person's quota: slides that are kept, and unfinished uploads in full."""
    slides = Slide.objects.filter(uploaded_by=user).exclude(state=Slide.State.REFUSED)
    uploads = Upload.objects.filter(user=user).unfinished()
    return (slides.aggregate(sum=Sum("bytes"))["sum"] or 0) + (uploads.aggregate(sum=Sum("size"))["sum"] or 0)


def upload_append(*, upload: Upload, offset: int, stream: Readable, checksum: Checksum | None = None) -> int:
    """Add bytes at the end; returns how many there are now.

    What arrived before a broken connection is kept, and of a killed process all but the last second. With a checksum
    all bytes of the stream are kept or none: a difference, or an end before its time, leaves the upload as it was.
    Whoever comes later takes over, as the connection before may be dead without knowing it: Busy is raised there.
    """
    mine = secrets.token_hex(8)
    if not upload.file.exists():
        raise Gone(_GONE)
    with upload.file.open("r+b") as file:
        with _locked(file):
            upload.refresh_from_db()
            if offset != upload.offset:
                raise DomainError(f"The server has {upload.offset} bytes of this file, not {offset}; go on from there.")
            Upload.objects.filter(pk=upload.pk).update(holder=mine)
        arrived, kept_at, began = offset, time.monotonic(), time.monotonic()
        try:
            while block := read_a_while(stream, min(_BLOCK, upload.size - arrived), _KEPT_EVERY):
                with _locked(file):
                    _check_holder(upload, mine)
                    file.seek(arrived)
                    file.write(block)
                    file.flush()
                    arrived += len(block)
                    if arrived - offset < _LEAST_RATE * (time.monotonic() - began - _PATIENCE):
                        raise TooSlow("These bytes came too slowly; go on from where the server is.")
                    if not checksum and time.monotonic() - kept_at > _KEPT_EVERY:
                        _keep(upload, file, arrived)
                        kept_at = time.monotonic()
                if checksum:
                    checksum.digest.update(block)
            if checksum and checksum.digest.digest() != checksum.expected:
                raise ChecksumMismatch("The bytes that arrived are not those that were sent; send them again.")
        except BaseException:
            if checksum:
                arrived = offset
            raise
        finally:
            with _locked(file):
                if Upload.objects.filter(pk=upload.pk, holder=mine).exists():
                    _keep(upload, file, arrived)
        _check_holder(upload, mine)
    return upload.offset


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """The file for oneself, for as long as a block takes to be written."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _check_holder(upload: Upload, mine: str) -> None:
    if not Upload.objects.filter(pk=upload.pk, holder=mine).exists():
        raise Busy("Another connection has taken over this upload.")


def _keep(upload: Upload, file: BinaryIO, arrived: int) -> None:
    """What has arrived; the offset must never be ahead of what is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    upload.offset, upload.touched_at = arrived, timezone.now()
    upload.save(update_fields=["offset", "touched_at"])


def uploads_expire() -> int:
    """Delete expired uploads; returns how many."""
    count = 0
    for upload in Upload.objects.expired():
        upload_cancel(upload=upload)
        count += 1
    return count


def uploads_sweep() -> int:
    """Delete bytes of which no unfinished upload knows: the disk was read-only when theirs was deleted, or a process
    died. Returns how many files."""
    kept = {str(pk) for pk in Upload.objects.filter(slide=None).values_list("pk", flat=True)}
    long_ago = time.time() - _LEFT_FOR
    count = 0
    for path in settings.UPLOAD_DIR.glob("*-*-*-*-*"):
        ours = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", path.name)
        if ours and path.name not in kept:
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                if path.stat().st_mtime < long_ago:
                    path.unlink()
                    count += 1
    return count


def upload_finish(*, upload: Upload) -> Slide:
    """Turn a complete upload into a slide that waits to be prepared; asking twice gives the same slide.

    Raises NotAllowed where the person may not upload into the study any more; the bytes stay until they expire.
    """
    with transaction.atomic():
        upload = lock_row(Upload, upload.pk)
        if upload.slide is not None:
            return upload.slide
        if upload.offset != upload.size:
            raise DomainError(f"{upload.size - upload.offset} bytes of this file have not arrived yet.")
        demand(Right.UPLOAD, user=upload.user, study=upload.study_id)
        if not upload.file.exists():
            raise Gone(_GONE)
        slide = slide_create(
            study=upload.study,
            case_identifier=upload.case_identifier,
            name=upload.name,
            file=upload.file,
            user=upload.user,
            mpp=upload.mpp,
            detect=upload.detect,
        )
        upload.slide = slide
        upload.save(update_fields=["slide"])
    return slide


def upload_cancel(*, upload: Upload) -> None:
    """Delete an upload and its bytes; a slide made from it stays."""
    upload.delete()
