"""The count as types: made here, read by API, reports, exports, pages and the Python client.

Its JSON (`webapp.core.typed_json`: answers, Redis, signed reports) and its OpenAPI description (`webapp.api.described`)
follow from these fields; `metadata` is for the description. Signed reports keep this form: a new field needs a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from webapp.results.question import ShapeName
from webapp.results.reaches import Shape, distance, reach_of


@dataclass(frozen=True)
class Field:
    """One of ten fields: a circle around level-0 (x, y). reach_mm: its radius. count: figures in it."""

    x: float
    y: float
    reach_mm: float
    count: int


@dataclass(frozen=True)
class Hotspot:
    """Where a shape that holds an evaluable area holds the most figures; figures outside of that area do not count.

    x, y: its centre in level-0 pixels. area_mm2: the evaluable area asked for; evaluable_mm2: that it holds, less where
    there is not as much; its density is by that. reach_mm: the radius of the circle, or half the side of the square,
    grown until it holds that; null where all of the evaluable area is counted, as there is less than was asked for.
    fields: the ten fields of the shape of that name. interval: 95 % Poisson interval of the count. unseen: figures in
    it that nobody has judged.
    """

    x: float
    y: float
    shape: ShapeName
    area_mm2: float
    count: int
    count_per_mm2: float
    interval: tuple[float, float]
    unseen: int
    evaluable_mm2: float | None = None  # null in reports signed before it was known, as is the next
    reach_mm: float | None = None
    fields: tuple[Field, ...] = ()

    @property
    def outlines(self) -> tuple[Field, ...]:
        """What to draw: the shape, or the ten fields; nothing where all that is evaluable is counted."""
        if self.fields:
            return self.fields
        reach = self.reach_mm
        if reach is None and self.evaluable_mm2 is None:
            reach = reach_of("square" if self.shape == "square" else "circle", self.area_mm2)
        return () if reach is None else (Field(self.x, self.y, reach, self.count),)

    def holds(self, xy: NDArray[np.float64], mm_per_px: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points [n, 2], level-0 px, lie in it; all where all that is evaluable is counted."""
        shape: Shape = "square" if self.shape == "square" else "circle"
        apart = [(distance((xy - [one.x, one.y]) * mm_per_px, shape), one.reach_mm) for one in self.outlines]
        inside = [far <= reach + 1e-6 for far, reach in apart]
        return np.logical_or.reduce(inside) if inside else np.ones(len(xy), bool)


@dataclass(frozen=True)
class Score:
    """The mitotic score of the hotspot. to_next: how many figures more would raise it, null at 3.

    interval: 95 % Poisson interval of the count that was scored.
    """

    @dataclass(frozen=True)
    class Rule:
        """The rule of a score. cut_offs: the counts in area_mm2 from which the score is 2, and 3."""

        id: str
        name: str
        version: int
        source: str
        area_mm2: float
        cut_offs: tuple[int, int]

    value: int = field(metadata={"min_value": 1, "max_value": 3})
    rule: Score.Rule
    to_next: int | None
    interval: tuple[float, float]
    small_sample: bool = field(
        default=False, metadata={"help_text": "Whether less was evaluable than the area that the rule asks for."}
    )


@dataclass(frozen=True)
class Value:
    """A count with its three best hotspots that do not overlap, and the score of the first."""

    count: int
    count_per_mm2: float | None = field(metadata={"help_text": "By evaluable area."})
    hotspots: tuple[Hotspot, ...]
    score: Score | None

    @property
    def hotspot(self) -> Hotspot | None:
        """The one that holds the most figures."""
        return next(iter(self.hotspots), None)


@dataclass(frozen=True)
class Judged:
    """Verdicts in the region where figures are counted. added: mitotic figures that the detector missed. atypical:
    mitotic figures that are atypical to their reader; null where the study does not tell them.
    """

    mitotic: int
    non_mitotic: int
    unsure: int
    added: int
    unseen: int = field(metadata={"help_text": "Candidates from min_score on that nobody has judged."})
    atypical: int | None = None


ReviewState = Literal["not reviewed", "partly reviewed", "reviewed"]


@dataclass(frozen=True)
class Review:
    """How far the hotspot is reviewed; all that is evaluable where there is none.

    state: not reviewed until somebody has judged a figure where figures are counted; reviewed when every candidate in
    the hotspot from min_score on has a verdict. judged, of: those that have one, and all of them. left: figures that
    nobody has judged and that can still change the score; when they are judged it cannot change any more. Null where
    there is no score.
    """

    state: ReviewState
    judged: int
    of: int
    left: int | None


@dataclass(frozen=True)
class Values:
    """The two values of a run, and what both rest on: all of a count that takes long to make.

    reviewed: None until somebody has judged.
    """

    tissue_mm2: float | None
    reason: str
    ai: Value
    reviewed: Value | None
    judged: Judged
    review: Review

    @property
    def standing(self) -> Value:
        """The reviewed value, or that by AI until somebody has judged."""
        return self.reviewed or self.ai


@dataclass(frozen=True)
class CountModel:
    """The model version that detected."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Count:
    """The count and what it rests on.

    count, count_per_mm2, hotspot and score repeat the reviewed value, or that by AI until somebody has judged.
    """

    slide: UUID
    run: UUID
    min_score: float
    area_mm2: float
    shape: ShapeName
    count: int
    count_per_mm2: float | None
    hotspot: Hotspot | None
    score: Score | None
    tissue_mm2: float | None = field(
        metadata={"help_text": "Evaluable area: tissue, in tumour regions if any, outside exclusions."}
    )
    reason: str = field(metadata={"help_text": "Why there is no density or score, where there is none."})
    ai: Value = field(metadata={"help_text": "The detector's value, verdicts ignored."})
    reviewed: Value | None = field(metadata={"help_text": "The readers' value; null until somebody has judged."})
    judged: Judged
    stale: tuple[str, ...] = field(metadata={"help_text": "Why this may not be the last word."})
    model: CountModel
    parameters: Mapping[str, Any]
    mpp: tuple[float, float] = field(metadata={"help_text": "Of the slide; areas follow from it."})
    code_version: str
    detected_at: datetime
    use: str = "research use only"
    review: Review | None = None  # null in reports signed before it was told

    @property
    def unreviewed(self) -> int:
        """Candidates of the hotspot without a verdict, which a report prints as large as the number."""
        return self.review.of - self.review.judged if self.review else 0

    @property
    def standing(self) -> Value:
        """The reviewed value, or that by AI until somebody has judged."""
        return self.reviewed or self.ai
