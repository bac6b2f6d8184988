"""How to count: threshold, shape and area of the hotspot, rule of the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from webapp.core.errors import InvalidInput
from webapp.results.rules import Rule
from webapp.slides.models import Study

ShapeName = Literal["circle", "square", "fields"]
SHAPES: tuple[ShapeName, ...] = ("circle", "square", "fields")
FIELDS = 10  # of the shape "fields": circles of a tenth of the area each


@dataclass(frozen=True)
class Counting:
    """How a study counts, where nobody asks for anything else; "" and None: as the laboratory does."""

    rule: str = ""
    area_mm2: float | None = None
    shape: str = ""

    @classmethod
    def of(cls, study: Study) -> Counting:
        """As the study has chosen."""
        return cls(study.rule, study.area_mm2, study.shape)

    @property
    def known_rule(self) -> str:
        """Its rule; "" where that is not in use any more."""
        return self.rule if self.rule in settings.SCORE_RULES else ""


@dataclass(frozen=True)
class Question:
    """How to count: the least confidence; the shape and area of the hotspot; the rule of its mitotic score."""

    min_score: float
    area_mm2: float
    shape: ShapeName
    rule: Rule


def question(
    *,
    min_score: float | None = None,
    area_mm2: float | None = None,
    shape: ShapeName | None = None,
    rule: str = "",
    study: Counting = Counting(),
) -> Question:
    """Completed by the study, then by defaults: confidence 0.5, the laboratory's rule, its area (2 mm2 for any)."""
    if rule and rule not in settings.SCORE_RULES:
        raise InvalidInput(f"There is no rule called {rule}; there are {', '.join(settings.SCORE_RULES)}.")
    found = settings.SCORE_RULES[rule or study.known_rule or settings.SCORE_RULE]
    own_area = study.area_mm2 if rule in {"", study.rule} else None
    said: ShapeName = next((one for one in SHAPES if one == study.shape), "circle")
    return Question(
        min_score=settings.DEFAULT_MIN_SCORE if min_score is None else min_score,
        area_mm2=area_mm2 or own_area or found.area_mm2 or settings.HOTSPOT_MM2,
        shape=shape or said,
        rule=found,
    )
