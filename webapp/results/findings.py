"""Everything that is known of the figures of a slide, one row each: what exports and reports are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import numpy as np

from detector import paper
from detector.slide.hatching import mirror_share
from webapp.annotations.evaluable import evaluable_of
from webapp.annotations.models import Candidate, Label, Region, Run
from webapp.annotations.selectors import figures_of
from webapp.results.count import mitosis_count
from webapp.results.question import Question
from webapp.results.types import Count
from webapp.slides.models import Slide


@dataclass(frozen=True)
class Mark:
    """A candidate with its verdict, or a figure that this run has not found. x, y: level-0 px.

    score: None where the run has not found it. counted: in the value that stands. hotspot: 1 to 3, of that value.
    mirrored: share of the patch that the detector saw which lies outside of the slide, as a mirror image of it.
    """

    id: UUID
    x: float
    y: float
    score: float | None
    label: str = Label.OPEN
    counted: bool = False
    hotspot: int | None = None
    added: bool = False
    by: str = ""
    at: datetime | None = None
    mirrored: float = 0.0


@dataclass(frozen=True)
class Findings:
    """A slide under one question: the count, every mark (best first), and the regions that hold."""

    slide: Slide
    run: Run
    asked: Question
    count: Count
    marks: list[Mark]
    regions: list[Region]


def findings(*, slide: Slide, run: Run, asked: Question) -> Findings:
    """All that is to be told of a slide."""
    count = mitosis_count(run=run, asked=asked)
    regions = list(Region.objects.current().filter(slide=slide).select_related("by"))
    marks = _marks(slide, run)
    xy = np.array([(mark.x, mark.y) for mark in marks], float).reshape(-1, 2)
    counts = np.array([_counts(mark, asked.min_score) for mark in marks], bool)
    counts &= evaluable_of(slide, regions).contains(xy)
    in_hotspot = np.zeros(len(xy), int)
    for number, hotspot in reversed(list(enumerate(count.standing.hotspots, 1))):
        in_hotspot[hotspot.holds(xy, np.array(slide.mpp or (1, 1)) / 1000)] = number
    size = (slide.width or 0, slide.height or 0)
    patch = [paper.um(paper.PATCH_SIZE) / mpp for mpp in slide.mpp or (paper.WORKING_MPP, paper.WORKING_MPP)]
    marks = [
        replace(
            mark,
            counted=bool(counted),
            hotspot=int(number) if counted and number else None,
            mirrored=mirror_share((mark.x, mark.y), size, patch),
        )
        for mark, counted, number in zip(marks, counts, in_hotspot, strict=True)
    ]
    return Findings(slide, run, asked, count, marks, regions)


def _counts(mark: Mark, min_score: float) -> bool:
    if mark.label == Label.OPEN:
        return mark.score is not None and mark.score >= min_score
    return mark.label == Label.MITOTIC


def _marks(slide: Slide, run: Run) -> list[Mark]:
    """A figure stands where it was judged, an open candidate where the run found it."""
    figures = {figure.pk: figure for figure in figures_of(slide=slide, run=run)}
    judged = {pk: figure for pk, figure in figures.items() if figure.label != Label.OPEN}
    marks = []
    candidates = Candidate.objects.filter(run=run).order_by("-score", "y", "x")
    for x, y, score, figure_pk in candidates.values_list("x", "y", "score", "figure"):
        figure = judged.pop(figure_pk, None)
        key = uuid5(NAMESPACE_OID, f"{run.pk}/{x!r}/{y!r}")
        marks.append(_judged(figure, score) if figure else Mark(id=key, x=x, y=y, score=score))
    marks += [_judged(figure, None) for figure in sorted(judged.values(), key=lambda f: (f.y, f.x))]
    return marks


def _judged(figure: Any, score: float | None) -> Mark:
    """figure: of `figures_of`."""
    x, y, label, added = figure.x, figure.y, figure.label, figure.added
    return Mark(id=figure.pk, x=x, y=y, score=score, label=label, added=added, by=figure.by or "", at=figure.at)
