"""Which figures of a slide count at a threshold: the AI's, and those that people have reviewed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from webapp.annotations.evaluable import Evaluable, evaluable_of
from webapp.annotations.models import Candidate, Figure, Label, Region, Run
from webapp.core.cached_sql import CachedSql
from webapp.results.types import Judged
from webapp.slides.models import Slide


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures that count. xy: [n, 2] level-0 px. open: those that nobody has judged."""

    xy: NDArray[np.float64]
    open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.open)


@dataclass(frozen=True)
class Counted:
    """The figures of a slide at a threshold, on its evaluable area."""

    evaluable: Evaluable
    ai: Figures
    reviewed: Figures
    judged: Judged


def figures_counted(*, slide: Slide, run: Run, min_score: float) -> Counted:
    """The figures that count, of both values."""
    candidates = _candidates(run=run.pk, min_score=float(min_score))
    judged = _judged(slide=slide.pk)
    judged_keys = {row[4] for row in judged}
    regions = list(Region.objects.current().filter(slide=slide)) if _regions(slide=slide.pk) else []
    evaluable = evaluable_of(slide, regions)
    candidate_xy = _points(candidates)
    is_open = np.array([row[2] not in judged_keys for row in candidates], bool)
    judged_xy = _points(judged)
    counts = evaluable.contains(candidate_xy)
    candidate_xy, is_open = candidate_xy[counts], is_open[counts]
    counts = evaluable.contains(judged_xy)
    judged, judged_xy = [row for row, on in zip(judged, counts, strict=True) if on], judged_xy[counts]
    mitotic = np.array([row[2] == Label.MITOTIC for row in judged], bool)
    reviewed_xy = np.concatenate([candidate_xy[is_open], judged_xy[mitotic]])
    said = Counter(row[2] for row in judged)
    return Counted(
        evaluable=evaluable,
        ai=Figures(candidate_xy, is_open),
        reviewed=Figures(reviewed_xy, np.arange(len(reviewed_xy)) < is_open.sum()),
        judged=Judged(
            mitotic=said[Label.MITOTIC],
            non_mitotic=said[Label.NON_MITOTIC],
            unsure=said[Label.UNSURE],
            added=sum(row[2] == Label.MITOTIC and bool(row[3]) for row in judged),
            unseen=int(is_open.sum()),
            atypical=sum(bool(row[5]) for row in judged) if any(row[5] is not None for row in judged) else None,
        ),
    )


def _above(*, run: UUID, min_score: float) -> QuerySet[Candidate, tuple[Any, ...]]:
    return Candidate.objects.filter(run=run, score__gte=min_score).order_by().values_list("x", "y", "figure_id")


def _judged_on(*, slide: UUID) -> QuerySet[Figure, tuple[Any, ...]]:
    figures = Figure.objects.filter(slide=slide).exclude(label=Label.OPEN)
    return figures.values_list("x", "y", "label", "added", "pk", "atypical")


def _drawn_on(*, slide: UUID) -> QuerySet[Region, tuple[Any, ...]]:
    return Region.objects.current().filter(slide=slide).values_list("pk")


_candidates, _judged, _regions = CachedSql(_above), CachedSql(_judged_on), CachedSql(_drawn_on)


def _points(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float64]:
    return np.array([row[:2] for row in rows], float).reshape(-1, 2)
