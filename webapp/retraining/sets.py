"""Labelled sets: import of the files, and storage of the frames that a worker reads from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import transaction

from detector.errors import SlideError
from detector.slide.archive import unpack
from detector.slide.folder import files_below, sha256_of_all
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.jobs.stored import ImportParameters
from webapp.retraining.models import LabelledFrame, LabelledSet


def set_import(*, name: str, source: Path, by: User) -> LabelledSet:
    """Import a labelled set from a zip or a folder; a worker reads it.

    Raises InvalidInput where it is neither, where a name leads out of the zip, or where the same set is there already.
    """
    name = name.strip()
    if not name or len(name) > 100 or LabelledSet.objects.filter(name=name).exists():
        raise InvalidInput("Give the set a name of its own, of at most 100 characters.")
    pk = uuid4()
    folder = Path(settings.SET_DIR) / str(pk)
    try:
        _unpack(source, folder)
        sha256 = folder_hash(folder)
        if same := LabelledSet.objects.filter(sha256=sha256).first():
            raise InvalidInput(f"The same files are there already, as the set {same}.")
        with transaction.atomic():
            job = job_create(kind=Job.Kind.INGEST, by=by, parameters=ImportParameters(set=str(pk)))
            made: LabelledSet = LabelledSet.objects.create(pk=pk, name=name, sha256=sha256, job=job, by=by)
            record(Action.IMPORTED, made, who=by, after={"sha256": sha256})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return made


def set_remove(*, labelled_set: LabelledSet, by: User) -> None:
    """Delete a set that could not be read, with its files and the job. Raises DomainError where it was read."""
    with transaction.atomic():
        labelled_set = lock_row(LabelledSet, labelled_set.pk, "job")
        if not labelled_set.is_removable or labelled_set.frames.exists():
            raise DomainError("This set was read, or is being read; its labels are taken back by Remove from training.")
        record(Action.DELETED, labelled_set, who=by, before={"sha256": labelled_set.sha256})
        folder = labelled_set.folder
        job = labelled_set.job
        labelled_set.delete()
        if job is not None:
            job.delete()
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True), robust=True)


def set_import_upload(*, name: str, file: File[bytes], by: User) -> LabelledSet:
    """`set_import` of a zip that comes with a request."""
    with NamedTemporaryFile(suffix=".zip") as source:
        for chunk in file.chunks():
            source.write(chunk)
        source.flush()
        return set_import(name=name, source=Path(source.name), by=by)


@dataclass(frozen=True)
class FrameFacts:
    """What a worker read of a frame: fields of `LabelledFrame`."""

    name: str
    case: str
    source: str
    mpp: float
    width: int
    height: int
    mitoses: list[list[float]]
    non_mitoses: list[list[float]]
    exhaustive: bool


def set_frames_save(*, labelled_set: LabelledSet, frames: Iterable[FrameFacts], found: Sequence[str] = ()) -> None:
    """Store the frames that a worker read, in place of those stored before. found: see `LabelledSet`."""
    with transaction.atomic():
        LabelledFrame.objects.filter(labelled_set=labelled_set).delete()
        LabelledFrame.objects.bulk_create(LabelledFrame(labelled_set=labelled_set, **vars(frame)) for frame in frames)
        LabelledSet.objects.filter(pk=labelled_set.pk).update(found=list(found))


def folder_hash(folder: Path) -> str:
    """SHA-256 over names and contents of all files, in the order of the names."""
    return sha256_of_all((str(path.relative_to(folder)), path) for path in files_below(folder))


def _unpack(source: Path, folder: Path) -> None:
    if source.is_dir():
        for path in files_below(source):
            copy = folder / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        return
    folder.mkdir(parents=True)
    try:
        unpack(source, folder)
    except SlideError as error:
        raise InvalidInput(f"A labelled set comes as a zip. {error.reason}") from error
