"""What a report says, as data, and the hash that is printed on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from django.contrib.auth.models import User

from webapp.annotations.models import Region
from webapp.annotations.roi import polygon_of
from webapp.core.typed_json import to_json
from webapp.results.findings import Findings
from webapp.results.types import Count
from webapp.screening.selectors import progress_of, share_seen
from webapp.slides.models import Slide


@dataclass(frozen=True)
class ReportReader:
    """Who signs. name: of the person, or empty."""

    username: str
    name: str


@dataclass(frozen=True)
class ReportSlide:
    """What was read. size: (width, height) in level-0 px. mpp_source: file, or entered by a person.

    remark: on the file, such as which of several images is shown.
    """

    name: str
    case: str
    study: str
    sha256: str
    size: tuple[int | None, int | None]
    mpp_source: str
    remark: str = ""


@dataclass(frozen=True)
class ReportFigure:
    """A figure that counts in the hotspot. x, y: level-0 px. score: None where the run has not found it."""

    x: float
    y: float
    score: float | None
    label: str


@dataclass(frozen=True)
class ReportRegion:
    """A region that bounds what is counted, or corrects where tissue was measured. by: who drew it."""

    kind: str
    mm2: float | None
    by: str


@dataclass(frozen=True)
class ReportScreening:
    """What the reader has seen field by field. seen: share of the evaluable area; hotspot: of that in the hotspot.

    found, missed: mitotic figures there that the detector has found at the threshold, and those it has not. open:
    candidates there without a verdict. share: found of both, None where there is none or some are open; interval: 95 %.
    """

    seen: float
    hotspot: float | None
    found: int
    missed: int
    open: int
    share: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ReportPart:
    """What is reported of one slide. figures: of the hotspot, elsewhere: the others that count, highest score first.

    screening: None where the reader has not screened it.
    """

    slide: ReportSlide
    count: Count
    figures: tuple[ReportFigure, ...]
    elsewhere: tuple[ReportFigure, ...] = ()
    regions: tuple[ReportRegion, ...] = ()
    screening: ReportScreening | None = None


@dataclass(frozen=True)
class ReportFacts(ReportPart):
    """All that is signed. signed_at: ISO 8601, to the second. comment: of the reader.

    replaces: the printed hash of the version before it. others: the other slides of the case, where asked for.
    left_out: those of them that are not in it, with the reason.
    """

    version: int = 1
    reader: ReportReader = ReportReader("", "")
    signed_at: str = ""
    comment: str = ""
    replaces: str = ""
    others: tuple[ReportPart, ...] = ()
    use: str = "research use only"
    left_out: tuple[str, ...] = ()

    def stored(self) -> dict[str, Any]:
        """As parsed JSON: what `Report.facts` keeps and the hash is of. Its form never changes."""
        plain: dict[str, Any] = json.loads(to_json(self))
        return plain


def report_part(found: Findings, reader: User) -> ReportPart:
    """The count as the API gives it, the figures that count, the regions, the slide, what its reader has screened."""
    slide = found.slide
    counted = [mark for mark in found.marks if mark.counted]
    return ReportPart(
        slide=ReportSlide(
            name=slide.name,
            case=slide.case.identifier,
            study=slide.case.study.name,
            sha256=slide.sha256,
            size=(slide.width, slide.height),
            mpp_source=slide.mpp_source,
            remark=slide.remark,
        ),
        count=found.count,
        figures=tuple(ReportFigure(m.x, m.y, m.score, m.label) for m in counted if m.hotspot == 1),
        elsewhere=tuple(ReportFigure(m.x, m.y, m.score, m.label) for m in counted if m.hotspot != 1),
        regions=tuple(_region(region, slide) for region in found.regions),
        screening=_screening(found, reader),
    )


def _screening(found: Findings, reader: User) -> ReportScreening | None:
    progress = progress_of(slide=found.slide, reader=reader, run=found.run, min_score=found.count.min_score)
    if progress is None or not progress.seen or progress.sensitivity is None:
        return None
    of, place, mpp = progress.sensitivity, found.count.hotspot, found.slide.mpp
    in_hotspot = None
    if place is not None and mpp is not None:
        holds = partial(place.holds, mm_per_px=np.array(mpp) / 1000)
        in_hotspot = share_seen(slide=found.slide, reader=reader, holds=holds)
    return ReportScreening(progress.seen, in_hotspot, of.found, of.missed, of.open, of.share, of.interval)


def _region(region: Region, slide: Slide) -> ReportRegion:
    mm2 = polygon_of(region).area * slide.mpp[0] * slide.mpp[1] / 1e6 if slide.mpp else None
    return ReportRegion(region.kind, mm2, region.by.get_username() if region.by else "")


def report_facts(
    part: ReportPart,
    *,
    version: int,
    reader: User,
    signed_at: datetime,
    comment: str = "",
    replaces: str = "",
    others: Sequence[ReportPart] = (),
    left_out: Sequence[str] = (),
) -> ReportFacts:
    """A slide as it is signed, by whom and when."""
    return ReportFacts(
        **{field.name: getattr(part, field.name) for field in fields(ReportPart)},
        version=version,
        reader=ReportReader(username=reader.get_username(), name=reader.get_full_name()),
        signed_at=signed_at.isoformat(timespec="seconds"),
        comment=comment,
        replaces=replaces,
        others=tuple(others),
        left_out=tuple(left_out),
    )


def facts_sha256(stored: dict[str, Any]) -> str:
    """SHA-256 of the facts as JSON with sorted keys and without spaces."""
    return hashlib.sha256(json.dumps(stored, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def same_but_for_the_signature(stored: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether two reports say the same of the slide."""
    names = ("slide", "count", "figures", "elsewhere", "regions", "screening", "comment", "others", "left_out")
    return all((stored.get(name) or None) == (others.get(name) or None) for name in names)
