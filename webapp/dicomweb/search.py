"""Searching what was received (QIDO-RS, PS3.18 10.6): studies, series and instances, with the annotations of readers.

Nothing in the answers names a patient: the Patient ID is the pseudonym of the case, or what DICOM_PATIENT_ID says.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth.models import User
from django.db.models import Count, OuterRef, Q, Subquery, prefetch_related_objects
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset

from detector.errors import SlideError
from webapp.annotations.models import Run
from webapp.annotations.selectors import newest_run
from webapp.core.errors import DomainError, InvalidInput
from webapp.dicomweb.models import Instance, Series
from webapp.dicomweb.tags import ANNOTATIONS, OF_INSTANCE, OF_SERIES, SLIDE_IMAGE, Json, element, facts_of
from webapp.exchange.dicom_uids import annotation_series_uid
from webapp.exchange.exports import dicom
from webapp.results.findings import findings
from webapp.results.question import Counting, question
from webapp.slides.models import Slide, Study
from webapp.slides.roles import Right, may

MOST = 1000  # rows of an answer
_log = logging.getLogger(__name__)
_SEARCHED = {
    "PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "ModalitiesInStudy", "Modality", "SeriesInstanceUID", "SeriesNumber", "SOPClassUID",
    "SOPInstanceUID", "InstanceNumber",
}  # fmt: skip


@dataclass(frozen=True)
class Held:
    """A series that can be had. run: None for images, else of whose annotations it consists."""

    series: Series
    uid: str
    run: Run | None
    number: int  # of its instances

    @property
    def modality(self) -> str:
        """SM: images of a slide; ANN: annotations of one."""
        return "ANN" if self.run else "SM"


@dataclass(frozen=True)
class Annotations:
    """An annotation object: its file, and what that holds."""

    data: bytes
    object: FileDataset

    @property
    def uid(self) -> str:
        """SOP Instance UID: another one as soon as the annotations change."""
        return str(self.object.SOPInstanceUID)


@dataclass(frozen=True)
class Asked:
    """What is looked for. wanted: text by tag; url: where the study's DICOMweb begins."""

    wanted: Mapping[str, str]
    limit: int
    offset: int
    url: str

    def of(self, rows: Iterable[Json]) -> list[Json]:
        """The rows that are asked for, and one more where there are more of them than that."""
        fitting = (row for row in rows if all(_fits(row.get(tag, {}), text) for tag, text in self.wanted.items()))
        return list(islice(fitting, self.offset, self.offset + self.limit + 1))


def asked(query: Mapping[str, str], url: str) -> Asked:
    """From the parameters of a search. Raises InvalidInput for what cannot be searched by."""
    known = {f"{tag_for_keyword(name):08X}": name for name in _SEARCHED}
    by_name = {name.lower(): tag for tag, name in known.items()}
    wanted, limit, offset = {}, MOST, 0
    for name, text in query.items():
        if name in {"includefield", "fuzzymatching"}:  # all is told that there is, and names are none
            continue
        if name in {"limit", "offset"}:
            if not (text.isascii() and text.isdigit() and len(text) < 10):
                raise InvalidInput(f"{name} must be a whole number.")
            limit, offset = (min(int(text), MOST), offset) if name == "limit" else (limit, int(text))
        elif (tag := by_name.get(name.lower(), name.upper())) in known:
            wanted[tag] = text
        else:
            raise InvalidInput(f"Nothing can be searched by {name}; what can is {', '.join(sorted(known.values()))}.")
    return Asked(wanted, limit, offset, url)


def held(*, study: Study, user: User, study_uid: str | None = None, series_uid: str | None = None) -> list[Held]:
    """The series of a study of ours, and the annotations of each for who may judge. The UIDs of DICOM narrow it.

    study: one that the person may see.
    """
    newest = newest_run(OuterRef("slide"))
    rows = Series.objects.filter(Q(slide=None, study=study) | Q(slide__case__study=study))
    rows = rows.select_related("slide__case__study")
    if study_uid is not None:
        rows = rows.filter(study_uid=study_uid)
    numbers = dict(rows.values_list("pk", Count("instances")))
    seen = rows.filter(slide__in=Slide.objects.visible_to(user))  # not what the person reads blinded
    newest_of = dict(seen.values_list("pk", Subquery(newest))) if may(Right.JUDGE, user=user, study=study.pk) else {}
    runs = Run.objects.in_bulk([run for run in newest_of.values() if run])
    found = []
    for row in rows:
        found.append(Held(row, row.uid, None, numbers[row.pk]))
        if run := runs.get(newest_of.get(row.pk)):
            found.append(Held(row, annotation_series_uid(run.pk), run, 1))
    return [one for one in found if series_uid in (None, one.uid)]


def images_of(rows: Iterable[Held], uid: str | None = None) -> list[tuple[Held, Instance]]:
    """The images of series, or the one of this UID."""
    images = [one for one in rows if one.run is None]
    prefetch_related_objects([one.series for one in images], "instances")
    return [(one, each) for one in images for each in one.series.instances.all() if uid in (None, each.uid)]


def studies_found(rows: Iterable[Held], asked: Asked) -> list[Json]:
    """A row for each study of DICOM."""
    by_study: dict[str, list[Held]] = {}
    for one in rows:
        by_study.setdefault(one.series.study_uid, []).append(one)
    return asked.of(_study(of, asked.url) for of in by_study.values())


def series_found(rows: Iterable[Held], asked: Asked) -> list[Json]:
    """A row for each series."""
    rows = list(rows)
    modalities = _modalities(rows)
    return asked.of(series_json(one, asked.url) | modalities[one.series.study_uid] for one in rows)


def instances_found(rows: Iterable[Held], asked: Asked, *, annotations: bool) -> list[Json]:
    """A row for each instance. annotations: their objects too, which are made to be told of."""

    rows = list(rows)
    modalities = _modalities(rows)

    def each() -> Iterable[Json]:
        for one, instance in images_of(rows):
            yield instance_json(one, instance, asked.url) | modalities[one.series.study_uid]
        for one in rows:
            if annotations and one.run is not None and (made := _annotations_if_any(one)) is not None:
                told = _instance(one, made.uid, facts_of(made.object, OF_INSTANCE), asked.url)
                yield told | modalities[one.series.study_uid]

    return asked.of(each())


def _annotations_if_any(one: Held) -> Annotations | None:
    """Not where the slide cannot be read, which is no reason to find nothing else."""
    try:
        return annotations_of(one)
    except SlideError as error:
        _log.warning("no annotations of slide %s: %s", one.series.slide_id, error)
        return None


def annotations_of(one: Held) -> Annotations | None:
    """The annotations as they are now; None where there is nothing to annotate."""
    slide, run = one.series.slide, one.run
    assert slide is not None and run is not None, "annotations are of a run over a slide"
    try:
        data = dicom(findings(slide=slide, run=run, asked=question(study=Counting.of(slide.case.study))))
    except DomainError:  # no figure and no region; um/px not known
        return None
    return Annotations(data, dcmread(io.BytesIO(data)))


def instance_json(one: Held, instance: Instance, url: str) -> Json:
    """All that is told of an image."""
    return _instance(one, instance.uid, instance.facts, url)


def series_json(one: Held, url: str) -> Json:
    """All that is told of a series, with its study."""
    own: Json = one.series.facts if one.run is None else {"00200011": element("IS", 1)}
    return {
        **_of_study(one.series),
        **{tag: value for tag, value in own.items() if int(tag, 16) in OF_SERIES},
        "00080060": element("CS", one.modality),
        "0020000E": element("UI", one.uid),
        "00201209": element("IS", one.number),
        "00081190": element("UR", f"{url}/studies/{one.series.study_uid}/series/{one.uid}"),
    }


def _modalities(rows: Iterable[Held]) -> dict[str, Json]:
    """What is in each study: by its UID, an element of its rows."""
    found: dict[str, set[str]] = {}
    for one in rows:
        found.setdefault(one.series.study_uid, set()).add(one.modality)
    return {uid: {"00080061": element("CS", *sorted(modalities))} for uid, modalities in found.items()}


def _study(of: list[Held], url: str) -> Json:
    return {
        **_of_study(of[0].series),
        **_modalities(of)[of[0].series.study_uid],
        "00201206": element("IS", len(of)),
        "00201208": element("IS", sum(one.number for one in of)),
        "00081190": element("UR", f"{url}/studies/{of[0].series.study_uid}"),
    }


def _of_study(series: Series) -> Json:
    """What must be told of a study (PS3.18 table 10.6.3-3). Dates, names and numbers are kept back."""
    case = series.slide.case.identifier if series.slide else series.case_identifier
    empty = {"00080020": "DA", "00080030": "TM", "00080050": "SH", "00080090": "PN", "00100010": "PN"}
    empty |= {"00100030": "DA", "00100040": "CS", "00200010": "SH"}
    return {
        **{tag: element(vr) for tag, vr in empty.items()},
        "00080005": element("CS", "ISO_IR 192"),
        "00080056": element("CS", "ONLINE"),
        "00100020": element("LO", case),
        "0020000D": element("UI", series.study_uid),
    }


def _instance(one: Held, uid: str, facts: Json, url: str) -> Json:
    series = series_json(one, url)
    return {
        **series,
        **facts,
        "00080016": element("UI", ANNOTATIONS if one.run else SLIDE_IMAGE),
        "00080018": element("UI", uid),
        "00081190": element("UR", f"{series['00081190']['Value'][0]}/instances/{uid}"),
    }


def _fits(found: Json, wanted: str) -> bool:
    """Whether an element has the value (PS3.4 C.2.2.2): any of several UIDs; * and ? stand for anything."""
    if set(wanted) <= {"*"}:
        return True
    values = [str(value) for value in found.get("Value", [])]
    if found.get("vr") == "UI":
        return not set(values).isdisjoint(re.split(r"[,\\]", wanted))
    return any(_is_like(value, wanted) for value in values)


def _is_like(text: str, pattern: str) -> bool:
    """Whether a text is like a pattern of * and ?; each part is looked for once, so the time is as their lengths."""
    parts = ["".join("." if one == "?" else re.escape(one) for one in part) for part in pattern.split("*")]
    if len(parts) == 1:
        return re.fullmatch(parts[0], text, re.DOTALL) is not None
    first, *middle, last = (re.compile(part, re.DOTALL) for part in parts)
    begin = first.match(text)
    if begin is None:
        return False
    at = begin.end()
    for part in middle:
        if (hit := part.search(text, at)) is None:
            return False
        at = hit.end()
    ends = len(text) - len(pattern.rpartition("*")[2])
    return ends >= at and last.fullmatch(text, ends) is not None
