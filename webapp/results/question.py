"""How to count: threshold, shape and area of the hotspot, rule of the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from webapp.core.errors import InvalidInput
from webapp.results.rules import Rule

ShapeName = Literal["circle", "square", "fields"]
SHAPES: tuple[ShapeName, ...] = ("circle", "square", "fields")
FIELDS = 10  # of the shape "fields": circles of a tenth of the area each


@dataclass(frozen=True)
class Question:
    """How to count: the least confidence; the shape and area of the hotspot; the rule of its mitotic score."""

    min_score: float
    area_mm2: float
    shape: ShapeName
    rule: Rule


def question(
    *, min_score: float | None = None, area_mm2: float | None = None, shape: ShapeName = "circle", rule: str = ""
) -> Question:
    """Completed by defaults: confidence 0.5, the laboratory's rule, its area (2 mm2 where it holds for any)."""
    if rule and rule not in settings.SCORE_RULES:
        raise InvalidInput(f"There is no rule called {rule}; there are {', '.join(settings.SCORE_RULES)}.")
    found = settings.SCORE_RULES[rule or settings.SCORE_RULE]
    return Question(
        min_score=settings.DEFAULT_MIN_SCORE if min_score is None else min_score,
        area_mm2=area_mm2 or found.area_mm2 or settings.HOTSPOT_MM2,
        shape=shape,
        rule=found,
    )
