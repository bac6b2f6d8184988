"""What has been seen of a slide, and how much of what is there the detector has found by that."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.contrib.auth.models import User
from django.db.models import Max, Q

from webapp.annotations.evaluable import Evaluable, evaluable_of
from webapp.annotations.models import Figure, Label, Region, Run
from webapp.core.errors import DomainError
from webapp.results.wilson import wilson_interval
from webapp.screening.grid import SEEN_SECONDS, SEEN_UM_PER_PX, Cells, evaluable_cells, grid_of, packed, unpacked
from webapp.screening.models import Screening
from webapp.slides.models import Slide


@dataclass(frozen=True)
class Sensitivity:
    """How many of the mitotic figures in what has been seen the detector found at a threshold.

    found: with a candidate at or above it; missed: without one. share: found of both, None where there is none;
    interval: 95 %, Wilson. It is right as far as the reader sees every mitosis.
    """

    min_score: float
    found: int
    missed: int
    share: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ScreeningProgress:
    """seen: share of the evaluable cells, 0..1. x, y: level-0 px, where the reader was last. at: when."""

    seen: float
    x: float | None
    y: float | None
    at: datetime | None
    sensitivity: Sensitivity | None


@dataclass(frozen=True)
class ScreeningCoverage(ScreeningProgress):
    """The same with every cell. evaluable, cells: base64 of the bits of those that are evaluable, and of those seen.

    um_per_px, seconds: a cell is seen when it was shown at this scale of the screen or finer, for as long.
    tumour: whether what is evaluable lies in tumour regions.
    """

    columns: int
    rows: int
    evaluable: str
    cells: str
    um_per_px: float
    seconds: float
    tumour: bool


def progress_of(*, slide: Slide, reader: User, run: Run | None, min_score: float) -> ScreeningProgress | None:
    """How far a reader has seen a slide; None where he has not begun, or um/px are not known."""
    screening = screening_of(slide=slide, reader=reader)
    if screening is None or slide.mpp is None:
        return None
    evaluable = evaluable_of(slide, list(Region.objects.current().filter(slide=slide)))
    return _progress(screening, evaluable, run, min_score)


def coverage_of(*, slide: Slide, reader: User, run: Run | None, min_score: float) -> ScreeningCoverage:
    """What a reader has seen of a slide, cell by cell. Raises DomainError without um/px."""
    if slide.mpp is None:
        raise DomainError("The um/px of this slide is not known; enter it first, then it can be screened.")
    regions = list(Region.objects.current().filter(slide=slide))
    evaluable = evaluable_of(slide, regions)
    screening = screening_of(slide=slide, reader=reader) or new_screening(slide=slide, reader=reader)
    columns, rows = screening.columns, screening.rows
    return ScreeningCoverage(
        **vars(_progress(screening, evaluable, run, min_score)),
        columns=columns,
        rows=rows,
        evaluable=b64encode(packed(evaluable_cells(evaluable, columns, rows))).decode(),
        cells=b64encode(bytes(screening.seen)).decode(),
        um_per_px=SEEN_UM_PER_PX,
        seconds=SEEN_SECONDS,
        tumour=any(region.kind == Region.Kind.TUMOUR for region in regions),
    )


def screening_of(*, slide: Slide, reader: User) -> Screening | None:
    """That of a reader; None where he has not begun."""
    return Screening.objects.filter(slide=slide, reader=reader).first()


def new_screening(*, slide: Slide, reader: User) -> Screening:
    """One that has not begun, and is not kept yet."""
    columns, rows = grid_of(evaluable_of(slide, list(Region.objects.current().filter(slide=slide))))
    nothing = packed(np.zeros((rows, columns), bool))
    return Screening(slide=slide, reader=reader, columns=columns, rows=rows, seen=nothing)


def _progress(screening: Screening, evaluable: Evaluable, run: Run | None, min_score: float) -> ScreeningProgress:
    columns, rows = screening.columns, screening.rows
    wanted = evaluable_cells(evaluable, columns, rows)
    seen = unpacked(bytes(screening.seen), columns, rows)
    return ScreeningProgress(
        seen=float((seen & wanted).sum() / max(int(wanted.sum()), 1)),
        x=screening.x,
        y=screening.y,
        at=screening.at,
        sensitivity=_sensitivity(screening.slide, evaluable, seen, run, min_score) if run else None,
    )


def _sensitivity(slide: Slide, evaluable: Evaluable, seen: Cells, run: Run, min_score: float) -> Sensitivity:
    best = Max("candidates__score", filter=Q(candidates__run=run))
    rows = Figure.objects.filter(slide=slide, label=Label.MITOTIC).annotate(best=best).values_list("x", "y", "best")
    xy = np.array([row[:2] for row in rows], float).reshape(-1, 2)
    at = np.floor(xy / evaluable.size * [seen.shape[1], seen.shape[0]]).astype(int)
    column, row = at.clip(0, (seen.shape[1] - 1, seen.shape[0] - 1)).T
    counts = seen[row, column] & evaluable.contains(xy)
    is_found = np.array([score is not None and score >= min_score for *_, score in rows], bool)
    found, missed = int((counts & is_found).sum()), int((counts & ~is_found).sum())
    of = found + missed
    return Sensitivity(min_score, found, missed, found / of if of else None, wilson_interval(found, of) if of else None)
