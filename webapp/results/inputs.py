"""What a count follows from: run, um/px, verdicts and regions; and why it may be stale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Sum

from webapp.annotations.models import Figure, Region, Run
from webapp.core.cached_sql import CachedSql
from webapp.registry.models import ModelVersion
from webapp.results.question import Counting, Question
from webapp.slides.selectors import viewer_of


def _of_the_slide(model: type[Figure | Region], sum_of: Any) -> Subquery:
    rows = model.objects.filter(slide=OuterRef("slide")).order_by().values("slide")
    return Subquery(rows.annotate(sum=sum_of).values("sum"))


@dataclass(frozen=True)
class CountInputs:
    """A run and all that its count follows from besides.

    verdicts, region_events: how many there were on the slide, None where there were none; both are histories that only
    grow, so that each number stands for one state. newer: whether there is a newer run over the slide. counting: of the
    study.
    """

    run: UUID
    slide: UUID
    run_mpp: tuple[float, float]
    mpp: tuple[float | None, float | None]
    tissue_fraction: float | None
    model: str
    model_state: str
    verdicts: int | None
    region_events: int | None
    newer: bool
    counting: Counting

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> CountInputs:
        """A row of `count_inputs`."""
        tissue_fraction, model, model_state, verdicts, region_events, newer = row[6:12]
        return cls(
            run=UUID(str(row[0])),
            slide=UUID(str(row[1])),
            run_mpp=(row[2], row[3]),
            mpp=(row[4], row[5]),
            tissue_fraction=tissue_fraction,
            model=model,
            model_state=model_state,
            verdicts=verdicts,
            region_events=region_events,
            newer=bool(newer),
            counting=Counting(*row[12:]),
        )


def count_inputs(runs: QuerySet[Run]) -> QuerySet[Run, tuple[Any, ...]]:
    """A row for each run, for `CountInputs.of`; the newest first."""
    return runs.order_by("-created_at").values_list(
        *("pk", "slide_id", "mpp_x", "mpp_y", "slide__mpp_x", "slide__mpp_y", "slide__tissue_fraction"),
        *("model__name", "model__state"),
        _of_the_slide(Figure, Sum("version")),
        _of_the_slide(Region, Count("pk") + Count("ended_at")),
        Exists(Run.objects.filter(slide=OuterRef("slide"), created_at__gt=OuterRef("created_at"))),
        *(f"slide__case__study__{name}" for name in ("rule", "area_mm2", "shape")),
    )


def _visible(sees_all: bool, *, user: int, **asked: UUID) -> QuerySet[Run, tuple[Any, ...]]:
    return count_inputs(Run.objects.visible_to(viewer_of(sees_all, user)).filter(**asked))[:1]


newest_or_asked = CachedSql(_visible)


def stale_because(inputs: CountInputs, asked: Question) -> list[str]:
    """Why this count may not be the last word, one sentence each."""
    sentences = []
    if inputs.newer:
        sentences.append("There is a newer run over this slide.")
    if inputs.model_state != ModelVersion.State.ACTIVE:
        active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
        if active is not None:
            sentences.append(f"The model {active.name} is active now; this run was made with {inputs.model}.")
    if inputs.mpp[0] is not None and inputs.mpp != inputs.run_mpp:
        made_at = " x ".join(f"{value:.4g}" for value in inputs.run_mpp)
        sentences.append(f"The um/px of this slide was changed after this run, which was made at {made_at}.")
    if inputs.counting.rule != inputs.counting.known_rule:
        sentences.append(f"The rule of this study, {inputs.counting.rule}, is not in use here any more.")
    if asked.min_score != settings.DEFAULT_MIN_SCORE:
        threshold = f"the threshold in use is {settings.DEFAULT_MIN_SCORE:g}"
        sentences.append(f"Counted from score {asked.min_score:g}; {threshold}.")
    return sentences
