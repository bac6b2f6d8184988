"""Reading runs, candidates, verdicts and regions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import OuterRef, QuerySet, Subquery, Sum

from webapp.annotations.matching import Place, match_places, match_reach
from webapp.annotations.models import Candidate, Figure, PackedCandidates, Run, Verdict
from webapp.slides.models import Slide

Box = tuple[float, float, float, float]


def run_current(*, slide: Slide) -> Run | None:
    """The newest run over a slide."""
    return Run.objects.filter(slide=slide).select_related("model").order_by("-created_at").first()


def newest_run(slide: OuterRef) -> QuerySet[Run, Any]:
    """For a subquery: the key of the newest run over the slide of the outer query."""
    return Run.objects.filter(slide=slide).order_by("-created_at").values("pk")[:1]


def candidates_in(*, run: Run, min_score: float, box: Box | None = None) -> QuerySet[Candidate]:
    """Candidates of a run with at least this confidence, best first. box: (x0, y0, x1, y1), level-0 px, inclusive."""
    rows = Candidate.objects.filter(run=run, score__gte=min_score)
    if box is not None:
        rows = rows.filter(x__range=(box[0], box[2]), y__range=(box[1], box[3]))
    return rows.order_by("-score", "y", "x")


def candidates_packed(*, run: Run) -> bytes:
    """All candidates of a run in the form of `pack`: kept with the run, or made now for one that is older than that."""
    kept = PackedCandidates.objects.filter(run=run).values_list("data", flat=True).first()
    if kept is not None:
        return bytes(kept)
    rows = Candidate.objects.filter(run=run).values_list("score", "x", "y", "pk")
    return pack(rows.iterator(chunk_size=20_000))


def atypical_of(*, run: Run) -> QuerySet[Candidate, Any]:
    """Key and probability of the candidates of a run of which is known how likely they are atypical, best first."""
    known = Candidate.objects.filter(run=run, atypical__isnull=False).order_by("-score", "y", "x")
    return known.values_list("pk", "atypical")


def pack(rows: Iterable[tuple[float, float, float, int]]) -> bytes:
    """Candidates (score, x, y, key), best first, as little-endian columns that a browser reads without parsing.

    Two float64: how many (n), and the smallest key. Then score float64[n], x float32[n], y float32[n] (level-0 px), and
    key - smallest key uint32[n].
    """
    table = np.array(list(rows), dtype="<f8").reshape(-1, 4)
    table = table[np.lexsort((table[:, 3], table[:, 1], table[:, 2], -table[:, 0]))]
    first = table[:, 3].min() if len(table) else 0.0
    header = np.array([len(table), first], dtype="<f8")
    columns = (table[:, 0], *table[:, 1:3].T.astype("<f4"), (table[:, 3] - first).astype("<u4"))
    return b"".join(part.tobytes() for part in (header, *columns))


def figures_of(*, slide: Slide, run: Run | None) -> QuerySet[Figure]:
    """The judged figures of a slide, each with who judged last (`by`), when (`at`) and its `candidate` in a run."""
    last = Verdict.objects.filter(figure=OuterRef("pk"), version=OuterRef("version"))
    return Figure.objects.filter(slide=slide).annotate(
        by=Subquery(last.values("by__username")),
        at=Subquery(last.values("at")),
        candidate=Subquery(Candidate.objects.filter(run=run, figure=OuterRef("pk")).values("pk")[:1]),
    )


def figures_version(*, slide: Slide) -> int:
    """How many verdicts have been given on a slide: changes with every one."""
    return Figure.objects.filter(slide=slide).aggregate(verdicts=Sum("version"))["verdicts"] or 0


@dataclass(frozen=True)
class RunComparison:
    """both: how many candidates two runs agree on; only_run, only_other: those of one of them alone, best first."""

    both: int
    only_run: list[Place]
    only_other: list[Place]


def runs_compare(*, run: Run, other: Run, min_score: float) -> RunComparison:
    """What two runs over one slide agree on at a threshold, and the candidates that only one of them found."""
    places, others = (
        [Place(*row) for row in candidates_in(run=one, min_score=min_score).values_list("x", "y", "score")]
        for one in (run, other)
    )
    pairs = match_places(places, others, match_reach(run.slide))
    found = set(pairs.values())
    return RunComparison(
        both=len(pairs),
        only_run=[place for i, place in enumerate(places) if i not in pairs],
        only_other=[place for i, place in enumerate(others) if i not in found],
    )
