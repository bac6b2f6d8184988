"""What a report says, as data, and the hash that is printed on it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from webapp.core.typed_json import to_json
from webapp.results.findings import Findings
from webapp.results.types import Count


@dataclass(frozen=True)
class ReportReader:
    """Who signs. name: of the person, or empty."""

    username: str
    name: str


@dataclass(frozen=True)
class ReportSlide:
    """What was read. size: (width, height) in level-0 px. mpp_source: file, or entered by a person."""

    name: str
    case: str
    study: str
    sha256: str
    size: tuple[int | None, int | None]
    mpp_source: str


@dataclass(frozen=True)
class ReportFigure:
    """A figure that counts in the hotspot. x, y: level-0 px. score: None where the run has not found it."""

    x: float
    y: float
    score: float | None
    label: str


@dataclass(frozen=True)
class ReportFacts:
    """All that is signed. figures: of the hotspot, highest score first. signed_at: ISO 8601, to the second."""

    version: int
    reader: ReportReader
    signed_at: str
    slide: ReportSlide
    count: Count
    figures: tuple[ReportFigure, ...]
    use: str = "research use only"

    def stored(self) -> dict[str, Any]:
        """As parsed JSON: what `Report.facts` keeps and the hash is of. Its form never changes."""
        plain: dict[str, Any] = json.loads(to_json(self))
        return plain


def report_facts(*, found: Findings, version: int, reader: User, signed_at: datetime) -> ReportFacts:
    """The count as the API gives it, the figures of the hotspot, the slide, the reader, the time."""
    slide = found.slide
    return ReportFacts(
        version=version,
        reader=ReportReader(username=reader.get_username(), name=reader.get_full_name()),
        signed_at=signed_at.isoformat(timespec="seconds"),
        slide=ReportSlide(
            name=slide.name,
            case=slide.case.identifier,
            study=slide.case.study.name,
            sha256=slide.sha256,
            size=(slide.width, slide.height),
            mpp_source=slide.mpp_source,
        ),
        count=found.count,
        figures=tuple(ReportFigure(m.x, m.y, m.score, m.label) for m in found.marks if m.hotspot == 1),
    )


def facts_sha256(stored: dict[str, Any]) -> str:
    """SHA-256 of the facts as JSON with sorted keys and without spaces."""
    return hashlib.sha256(json.dumps(stored, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def same_but_for_the_signature(stored: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether two reports say the same of the slide."""
    names = ("slide", "count", "figures")
    return all(stored[name] == others[name] for name in names)
