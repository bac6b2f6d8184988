"""Storing what is sent (STOW-RS, PS3.18 10.5): each instance is written as it arrives, then kept or refused."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac
from pydicom import dcmread

from detector.slide.folder import sha256_of
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import InvalidInput, TooLarge
from webapp.core.names import plain_name
from webapp.core.streams import Readable
from webapp.dicomweb.inbox import PART, arrival_key, waiting_folder
from webapp.dicomweb.models import Instance, Series
from webapp.dicomweb.multipart import boundary_of, read_parts
from webapp.dicomweb.tags import OF_INSTANCE, OF_SERIES, SLIDE_IMAGE, Json, element, facts_of, is_uid
from webapp.intake.dicom_series import is_deflated, series_uid
from webapp.intake.models import Arrival
from webapp.slides.models import Study
from webapp.slides.roles import Right, demand
from webapp.slides.services import new_pseudonym
from webapp.slides.uploads import demand_quota, demand_room

_NAMES = {
    "sop_class": "SOPClassUID",
    "sop": "SOPInstanceUID",
    "series": "SeriesInstanceUID",
    "study": "StudyInstanceUID",
    "patient": "PatientID",
}
_TAGS = [*OF_SERIES, *OF_INSTANCE, 0x0020000D, 0x0020000E, 0x00100020]  # the patient's ID at the end
_ENOUGH = 1 << 16  # bytes, in which the UIDs are said
_DEFER = 1 << 16  # bytes of an element, of which more are not read
# Failure reasons (PS3.18 table I.2-2).
NOT_UNDERSTOOD, WRONG_CLASS, OTHER_STUDY, FAILED = 0xC000, 0x0122, 0xA900, 0x0110
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of an instance. failure: None where it is kept, else the reason's number; why: in words."""

    sop_class: str = ""
    sop: str = ""
    series: str = ""
    study: str = ""
    failure: int | None = None
    why: str = ""


@dataclass(frozen=True)
class _Header:
    """What an instance says of itself. patient: its Patient ID; of_series, of_instance: DICOM JSON."""

    sop_class: str
    sop: str
    series: str
    study: str
    patient: str
    syntax: str
    of_series: Json
    of_instance: Json


class _Refused(Exception):
    def __init__(self, failure: int, why: str) -> None:
        self.failure, self.why = failure, why


def instances_receive(
    *, study: Study, body: Readable, content_type: str, size: int, by: User, study_uid: str | None = None
) -> list[Outcome]:
    """Keep the instances of a body. size: its bytes, as far as they are known. study_uid: the only one that is taken.

    What was kept stays, also where a later instance is refused or the connection breaks.
    """
    demand(Right.UPLOAD, user=by, study=study.pk)
    boundary = boundary_of(content_type)
    if study_uid is not None and not is_uid(study_uid):
        raise InvalidInput("The address names a study by something that is no UID.")
    demand_quota(user=by, size=size, what="this call")
    demand_room(size=size, what="this call")
    taker = _Receiver(study, by, study_uid)
    try:
        read_parts(body, boundary, taker)
    finally:
        taker.close()
    if not taker.outcomes:
        raise InvalidInput("There is no instance in the body.")
    return taker.outcomes


class _Receiver:
    """Writes the parts of a body one after the other; a part is put beside its series as soon as that is known, which
    waits for it then."""

    def __init__(self, study: Study, by: User, study_uid: str | None) -> None:
        self.study, self.by, self.study_uid = study, by, study_uid
        self.outcomes: list[Outcome] = []
        self._file: IO[bytes] | None = None
        self._path = Path()
        self._size = 0

    def begin(self) -> None:
        folder = settings.DICOM_DIR / str(self.study.pk)
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._size = folder / f"{uuid4()}{PART}", 0
        self._file = self._path.open("wb")

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        before, self._size = self._size, self._size + len(data)
        if self._size > settings.MAX_UPLOAD_BYTES:
            raise TooLarge(f"An instance has more than the {settings.MAX_UPLOAD_BYTES >> 30} GB that are accepted.")
        if before < _ENOUGH <= self._size:
            self._file.flush()
            self._go_to_series()

    def end(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        outcome = Outcome()
        try:
            said = _header(self._path)
            sop_class, sop, series, study = map(_uid_or_nothing, (said.sop_class, said.sop, said.series, said.study))
            outcome = Outcome(sop_class, sop, series, study)
            self._keep(said)
        except _Refused as refused:
            outcome = replace(outcome, failure=refused.failure, why=refused.why)
        finally:
            self._path.unlink(missing_ok=True)
        self.outcomes.append(outcome)

    def close(self) -> None:
        """Forget a part that did not come to its end."""
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _go_to_series(self) -> None:
        uid = series_uid(self._path)
        if is_uid(uid):
            folder = waiting_folder(self.study.pk, uid)
            folder.mkdir(exist_ok=True)
            self._path = self._path.rename(folder / self._path.name)

    def _keep(self, said: _Header) -> None:
        if said.sop_class != SLIDE_IMAGE:
            raise _Refused(WRONG_CLASS, "Only VL Whole Slide Microscopy Images are taken.")
        if not all(map(is_uid, (said.sop, said.series, said.study))):
            raise _Refused(NOT_UNDERSTOOD, "Its UIDs are missing, or are none.")
        if self.study_uid not in (None, said.study):
            raise _Refused(OTHER_STUDY, f"It is not of the study {self.study_uid}, to which it was sent.")
        with transaction.atomic():
            lock_row(Study, self.study.pk)  # so that slides of one patient, sent at once, come into one case
            series = lock_row(Series, _series(self.study, said, self.by).pk, "slide__case")
            if series.slide is not None and series.slide.case.study_id != self.study.pk:
                raise _Refused(FAILED, "This series was received before, and its slide is in another study now.")
            if series.study_uid != said.study:
                raise _Refused(FAILED, "This series was received as one of another study.")
            known = series.instances.filter(uid=said.sop).exists()
            if series.slide_id is not None:
                if not known:
                    raise _Refused(FAILED, "This series is a slide already; delete that, and send all of it anew.")
                return
            target = waiting_folder(self.study.pk, said.series) / f"{said.sop}.dcm"
            if known and target.exists():
                if sha256_of(target) != sha256_of(self._path):
                    raise _Refused(FAILED, "Another instance of this UID was received before.")
                return
            target.parent.mkdir(exist_ok=True)
            facts = said.of_instance | {"00083002": element("UI", said.syntax)}
            Instance.objects.update_or_create(series=series, uid=said.sop, defaults={"facts": facts})
            record(Action.RECEIVED, self.study, who=self.by, after={"series": said.series, "instance": said.sop})
            self._path.rename(target)


def _uid_or_nothing(text: str) -> str:
    return text if is_uid(text) else ""


def _header(path: Path) -> _Header:
    """Raises _Refused where it is no DICOM."""
    try:
        if is_deflated(path):
            raise _Refused(NOT_UNDERSTOOD, "Deflated data sets are not taken.")
        data = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, defer_size=_DEFER)
        names = {key: str(data.get(name, "")) for key, name in _NAMES.items()}
        return _Header(
            **names,
            syntax=str(data.file_meta.get("TransferSyntaxUID", "")),
            of_series=facts_of(data, OF_SERIES),
            of_instance=facts_of(data, OF_INSTANCE),
        )
    except _Refused:
        raise
    except Exception as error:  # there is no end of what its readers raise for a damaged one
        _log.info("an instance that cannot be read: %r", error)
        raise _Refused(NOT_UNDERSTOOD, "This is no DICOM file, or a damaged one.") from error


def _series(study: Study, said: _Header, by: User) -> Series:
    """The series of an instance; a new one comes into the case of its patient, or of its study."""
    known = Series.objects.filter(study=study)
    if (series := known.filter(uid=said.series).first()) is not None:
        return series
    patient = plain_name(said.patient)[:100]
    text = f"{study.pk} {patient}"
    key = salted_hmac("webapp.dicomweb", text, algorithm="sha256").hexdigest() if patient else ""
    of_same = Q(study_uid=said.study) | (Q(patient=key) if key else Q(pk=None))
    here = known.filter(Q(slide=None) | Q(slide__case__study=study))
    same = here.filter(of_same).select_related("slide__case").order_by("-pk").first()
    if same is not None:
        case = same.slide.case.identifier if same.slide else same.case_identifier
    else:
        own = patient if settings.DICOM_PATIENT_ID == "file" else ""
        case = own or new_pseudonym(study)
    # What came before under this UID, and was deleted since, does not keep it from becoming a slide once more.
    Arrival.objects.filter(key=arrival_key(study.pk, said.series), slide=None).delete()
    of_case = {"study": study, "patient": key, "case_identifier": case, "by": by}
    made: Series = Series.objects.create(uid=said.series, study_uid=said.study, facts=said.of_series, **of_case)
    return made
