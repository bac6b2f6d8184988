"""What has been seen of a slide, and how much of what is there the detector has found by that."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.contrib.auth.models import User
from django.db.models import Max, Q, QuerySet
from numpy.typing import NDArray

from webapp.annotations.evaluable import Evaluable, evaluable_of
from webapp.annotations.models import Candidate, Figure, Label, Region, Run
from webapp.core.errors import DomainError
from webapp.results.wilson import wilson_interval
from webapp.screening.grid import (
    SEEN_SECONDS,
    SEEN_UM_PER_PX,
    Cells,
    Floats,
    evaluable_cells,
    grid_of,
    packed,
    unpacked,
)
from webapp.screening.models import Screening
from webapp.slides.models import Slide


@dataclass(frozen=True)
class Sensitivity:
    """How many of the mitotic figures in what has been seen the detector found at a threshold.

    found: with a candidate at or above it; missed: without one. open: candidates there, at or above it, without a
    verdict. share: found of both, None where there is none or some are open; interval: 95 %, Wilson. It is right as far
    as the reader sees every mitosis.
    """

    min_score: float
    found: int
    missed: int
    open: int
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
    if slide.mpp is None:
        return None
    screening = screening_of(slide=slide, reader=reader)
    return None if screening is None else _progress(screening, _evaluable(slide), run, min_score)


def share_seen(*, slide: Slide, reader: User, holds: Callable[[Floats], NDArray[np.bool_]]) -> float:
    """Share of the evaluable cells whose middle (n, 2), level-0 px, lies in something, that a reader has seen."""
    screening = screening_of(slide=slide, reader=reader)
    if screening is None:
        return 0.0
    columns, rows = screening.columns, screening.rows
    row, column = np.nonzero(evaluable_cells(_evaluable(slide), columns, rows))
    middles = np.stack([column + 0.5, row + 0.5], axis=-1) * [(slide.width or 0) / columns, (slide.height or 0) / rows]
    inside = holds(middles)
    seen = unpacked(bytes(screening.seen), columns, rows)[row, column]
    return float((seen & inside).sum() / max(int(inside.sum()), 1))


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
    """That of a reader; None where he has not begun, or did so at other um/px: what he saw was not as fine."""
    columns, rows = grid_of(slide)
    return Screening.objects.filter(slide=slide, reader=reader, columns=columns, rows=rows).first()


def new_screening(*, slide: Slide, reader: User) -> Screening:
    """One that has not begun, and is not kept yet."""
    columns, rows = grid_of(slide)
    nothing = packed(np.zeros((rows, columns), bool))
    return Screening(slide=slide, reader=reader, columns=columns, rows=rows, seen=nothing)


def _evaluable(slide: Slide) -> Evaluable:
    return evaluable_of(slide, list(Region.objects.current().filter(slide=slide)))


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
    counts = _in_seen(evaluable, seen, np.array([row[:2] for row in rows], float).reshape(-1, 2))
    is_found = np.array([score is not None and score >= min_score for *_, score in rows], bool)
    found, missed = int((counts & is_found).sum()), int((counts & ~is_found).sum())
    unjudged = Candidate.objects.filter(Q(figure=None) | Q(figure__label=Label.OPEN), run=run, score__gte=min_score)
    xy = np.array(list(_near(unjudged, evaluable, seen).order_by().values_list("x", "y")), float).reshape(-1, 2)
    is_open = int(_in_seen(evaluable, seen, xy).sum())
    if is_open or not found + missed:
        return Sensitivity(min_score, found, missed, is_open, None, None)
    of = found + missed
    return Sensitivity(min_score, found, missed, 0, found / of, wilson_interval(found, of))


def _in_seen(evaluable: Evaluable, seen: Cells, xy: Floats) -> NDArray[np.bool_]:
    """Which places (n, 2), level-0 px, count and lie in cells that were seen."""
    at = np.floor(xy / evaluable.size * [seen.shape[1], seen.shape[0]]).astype(int)
    column, row = at.clip(0, (seen.shape[1] - 1, seen.shape[0] - 1)).T
    return np.asarray(seen[row, column] & evaluable.contains(xy))


def _near(candidates: QuerySet[Candidate], evaluable: Evaluable, seen: Cells) -> QuerySet[Candidate]:
    """Those in the box around all that was seen: by the index, so that few are looked at."""
    if not seen.any():
        return candidates.none()
    (left, right), (top, bottom) = (
        (np.flatnonzero(seen.any(axis=axis))[[0, -1]] + (0, 1)) / seen.shape[1 - axis] * side
        for axis, side in enumerate(evaluable.size)
    )
    return candidates.filter(x__range=(left, right), y__range=(top, bottom))
