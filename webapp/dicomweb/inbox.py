"""Where instances wait until their series is whole: the folder DICOM_DIR/STUDY/SERIES of each series.

A series is whole when for a minute nothing of it has come (DICOM does not say how many instances it has). Then it goes
the way of slides in a watched folder.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import transaction

from webapp.core.database import lock_row
from webapp.core.errors import DomainError
from webapp.dicomweb.models import Series
from webapp.intake.models import Arrival
from webapp.intake.naming import Named, Rules
from webapp.intake.places import Folder, Item
from webapp.intake.services import Manner, arrivals_look
from webapp.slides.services import slide_add_remark

QUIET = timedelta(seconds=60)
PART = ".part"  # after the name of what is being received
_ADDRESS = "DICOMweb"
_LEFT_FOR = 3600.0  # seconds, until what nobody goes on sending is deleted


def waiting_folder(study: int, series: str) -> Path:
    """Where the instances of a series wait."""
    folder: Path = settings.DICOM_DIR / str(study) / series
    return folder


def arrival_key(study: int, series: str) -> str:
    """The key of the arrival of a series."""
    return Arrival.key_of(_ADDRESS, f"{study}/{series}")


class _Inbox(Folder):
    def __init__(self) -> None:
        super().__init__(settings.DICOM_DIR)
        self.address = _ADDRESS

    def fetch(self, item: Item, target: Path) -> str:
        """The hash is of the study as well: what each was sent is its own, though others have the same."""
        sha256 = super().fetch(item, target)
        return hashlib.sha256(f"{item.identity}\0{sha256}".encode()).hexdigest()

    def items(self) -> Iterator[Item]:
        """Series of which nothing is being received."""
        for item in super().items():
            parts = list((self.root / item.identity).glob(f"*{PART}"))
            if not any(_age(path) < QUIET.total_seconds() for path in parts):
                yield item


@dataclass(frozen=True)
class _OfSeries(Rules):
    """Study and case are those of the series."""

    def of(self, name: str) -> Named:
        study, uid = PurePosixPath(name).parts[:2]
        series = Series.objects.filter(study=int(study), uid=uid).select_related("study", "by").first()
        if series is None:
            raise DomainError("Nothing of this series was kept.")
        return Named(series.study.name, series.case_identifier, by=series.by)


def inbox_look(*, quiet: timedelta = QUIET) -> None:
    """Look once at what waits: what is whole becomes a slide, and leaves the inbox."""
    if not settings.DICOM_DIR.is_dir():
        return
    _sweep()
    if not any(settings.DICOM_DIR.glob("*/*/*")):
        return
    place = _Inbox()
    arrivals_look(place=place, manner=Manner(rules=_OfSeries(), quiet=quiet))
    for series in Series.objects.filter(slide=None):
        key = arrival_key(series.study_id, series.uid)
        if arrival := Arrival.objects.filter(key=key).exclude(state=Arrival.State.WAITING).first():
            _leave(series, arrival)


def _leave(series: Series, arrival: Arrival) -> None:
    """It is a slide now; or was one already deleted, and then nothing is kept of it but what the arrival says."""
    folder = waiting_folder(series.study_id, series.uid)
    with transaction.atomic():
        series = lock_row(Series, series.pk)
        if arrival.state == Arrival.State.TAKEN and arrival.slide is not None:
            late = [path for path in folder.glob("*.dcm") if path.stat().st_mtime_ns > int(arrival.stamp)]
            if late:  # in the moment in which it was taken
                series.instances.filter(uid__in=[path.stem for path in late]).delete()
                slide_add_remark(slide=arrival.slide, remark=f"{len(late)} images of its series came too late.")
            series.slide = arrival.slide
            series.save(update_fields=["slide"])
        else:
            series.delete()
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Delete what nobody goes on sending, and folders of series that are none any more."""
    for path in [*settings.DICOM_DIR.glob(f"*/*{PART}"), *settings.DICOM_DIR.glob(f"*/*/*{PART}")]:
        if _age(path) > _LEFT_FOR:
            path.unlink(missing_ok=True)
    for folder in settings.DICOM_DIR.glob("*/*"):
        if folder.is_dir() and _age(folder) > _LEFT_FOR:
            waits = Series.objects.filter(study=int(folder.parent.name), uid=folder.name, slide=None).exists()
            if not waits:
                shutil.rmtree(folder, ignore_errors=True)


def _age(path: Path) -> float:
    """Seconds since it was changed."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
