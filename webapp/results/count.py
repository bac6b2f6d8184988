"""Counting: the number of mitotic figures of a slide, its hotspot and score, and what they rest on.

Two values stand side by side. AI: the candidates at or above the threshold, verdicts ignored. Reviewed: of those, the
ones that nobody has judged, and every figure that a person has called mitotic; there is none until somebody has judged.
Both are counted on the same evaluable area: tissue, in the tumour regions where there are any, outside exclusions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from webapp.annotations.evaluable import Evaluable
from webapp.annotations.models import Run
from webapp.results.cache import CountAnswer, remembered, shared
from webapp.results.deciding import can_tip
from webapp.results.figures import Counted, Figures, figures_counted
from webapp.results.hotspot import Held, Place, hotspots, in_places_of
from webapp.results.inputs import CountInputs, count_inputs, newest_or_asked, stale_because
from webapp.results.poisson import poisson_interval
from webapp.results.question import FIELDS, Question, question
from webapp.results.reaches import ENOUGH, Reaches, reaches_on
from webapp.results.rules import score
from webapp.results.types import (
    Count,
    CountModel,
    Field,
    Hotspot,
    Review,
    ReviewState,
    Score,
    Value,
    Values,
)
from webapp.slides.models import Viewer
from webapp.slides.selectors import viewer_values

_LEAST_MM2 = 0.1  # evaluable; with less there is no score, as one figure more or less would make 10 per mm2


def mitosis_count(*, run: Run, asked: Question) -> Count:
    """The count of a run, with hotspots and score. Without um/px there is no area and no score; `reason` says so."""
    return _count(CountInputs.of(count_inputs(Run.objects.filter(pk=run.pk)).get()), asked).count


def mitosis_count_seen(*, user: Viewer, slide: UUID, run: UUID | None, **asked: Any) -> CountAnswer | None:
    """The same of a slide's newest run, or of the one that is asked for; None where the person sees no such run.

    asked: of `question`; what is not asked for is as the study counts.
    """
    sees_all, values = viewer_values(user)
    rows = newest_or_asked(sees_all, **values, slide=slide, **({"pk": run} if run else {}))
    if not rows:
        return None
    inputs = CountInputs.of(rows[0])
    return _count(inputs, question(**asked, study=inputs.counting))


def _count(inputs: CountInputs, asked: Question) -> CountAnswer:
    stale = stale_because(inputs, asked)
    return remembered.get((inputs, asked, *stale), lambda: CountAnswer(_answer(inputs, asked, stale)))


def _answer(inputs: CountInputs, asked: Question, stale: list[str]) -> Count:
    run = Run.objects.select_related("slide", "model").get(pk=inputs.run)
    values = values_of(inputs, asked, run)
    value = values.standing
    return Count(
        slide=run.slide_id,
        run=run.pk,
        min_score=asked.min_score,
        area_mm2=asked.area_mm2,
        shape=asked.shape,
        count=value.count,
        count_per_mm2=value.count_per_mm2,
        hotspot=value.hotspot,
        score=value.score,
        tissue_mm2=values.tissue_mm2,
        reason=values.reason,
        ai=values.ai,
        reviewed=values.reviewed,
        judged=values.judged,
        review=values.review,
        stale=(*run.doubts, *stale),
        model=CountModel(run.model.name, run.model_sha256),
        parameters=run.parameters,
        mpp=run.slide.mpp or (run.mpp_x, run.mpp_y),
        code_version=run.code_version,
        detected_at=run.created_at,
    )


def values_of(inputs: CountInputs, asked: Question, run: Run | None = None) -> Values:
    """The two values and what they rest on. run: with its slide, where it is at hand."""
    # The same key can only have the same values, that of the AI whatever the verdicts are.
    key = (inputs.run, asked, inputs.mpp, inputs.tissue_fraction, inputs.region_events)

    def counted() -> Values:
        found = run or Run.objects.select_related("slide").get(pk=inputs.run)
        figures = figures_counted(slide=found.slide, run=found, min_score=asked.min_score)
        build = CountBuilder(figures.evaluable, asked)
        return build.values(figures, shared(Value, key, lambda: build.value(figures.ai)))

    return shared(Values, (*key, inputs.verdicts), counted)


def count_ahead(*, run: Run) -> None:
    """Make the count of a new run as its study counts, for all processes: worklist and slide page ask for it first."""
    inputs = CountInputs.of(count_inputs(Run.objects.filter(pk=run.pk)).get())
    values_of(inputs, question(study=inputs.counting))


class CountBuilder:
    """Makes a value of figures: count, density, hotspots, score."""

    def __init__(self, evaluable: Evaluable, asked: Question) -> None:
        self.evaluable, self.asked = evaluable, asked
        self.mm_per_px = np.array(evaluable.mpp or (np.nan, np.nan)) / 1000
        self.cut_offs = asked.rule.cut_offs(asked.area_mm2)
        self.mm2 = evaluable.mm2 or 0.0
        self.small = self.mm2 < ENOUGH * asked.area_mm2
        self.reason = self._reason()
        self._held: dict[Figures, Held] = {}

    def values(self, counted: Counted, ai: Value) -> Values:
        """Both values and the review. ai: of the AI's figures, of whatever verdicts."""
        open_in = [int(counted.ai.open[hotspot.holds(counted.ai.xy, self.mm_per_px)].sum()) for hotspot in ai.hotspots]
        hotspots = (replace(hotspot, unseen=unseen) for hotspot, unseen in zip(ai.hotspots, open_in, strict=True))
        ai = replace(ai, hotspots=tuple(hotspots))
        # Equal figures have the same hotspots; nobody waits for them twice.
        same = len(counted.ai) == len(counted.reviewed) and bool(counted.ai.open.all())
        value = ai if same else self.value(counted.reviewed)
        said = counted.judged
        begun = said.mitotic + said.non_mitotic + said.unsure > 0
        return Values(
            tissue_mm2=self.evaluable.mm2,
            reason=self.reason or self._too_few_fields(value),
            ai=ai,
            reviewed=value if begun else None,
            judged=said,
            review=self.review(counted, value, begun=begun),
        )

    def value(self, figures: Figures) -> Value:
        """Without an evaluable area there are no hotspots and no score."""
        hotspots = tuple(self._hotspots(figures)) if self.mm2 and len(figures) else ()
        return Value(
            count=len(figures),
            count_per_mm2=len(figures) / self.mm2 if self.mm2 else None,
            hotspots=hotspots,
            score=self._score(next(iter(hotspots), None)) if self.mm2 else None,
        )

    def review(self, counted: Counted, value: Value, *, begun: bool) -> Review:
        """How far the hotspot of the reviewed value is reviewed."""
        is_open = counted.ai.open
        if value.hotspot is not None:
            is_open = is_open[value.hotspot.holds(counted.ai.xy, self.mm_per_px)]
        state: ReviewState = "not reviewed" if not begun else "partly reviewed" if is_open.any() else "reviewed"
        deciding = self.deciding(counted.reviewed, value.score)
        left = None if deciding is None else int(deciding.sum())
        return Review(state, int((~is_open).sum()), len(is_open), left)

    def deciding(self, figures: Figures, scored: Score | None) -> NDArray[np.bool_] | None:
        """Which open figures can still change the score; None without a score.

        Each verdict leaves it between the score of the figures called mitotic alone and the score of all. Which ten
        fields are the best follows from all figures, and one more can lead to others that hold fewer where they must
        touch; so all open ones count there as long as there are enough for another score.
        """
        if scored is None or self.cut_offs is None:
            return None
        said = Figures(figures.xy[~figures.open], figures.open[~figures.open])
        if self.asked.shape == "fields" and self.asked.rule.contiguous:
            return figures.open & (len(figures) >= self.cut_offs[0])
        if self.asked.shape == "fields":
            sure = score(self._in_fields(said, scored.value), self.cut_offs)[0]
            return figures.open & (sure < scored.value)
        if self.small:
            sure = score(len(said), self.cut_offs)[0]
            return figures.open & (sure < scored.value)
        cuts = self.cut_offs[: scored.value - 1]
        found = np.zeros(len(figures), bool)
        for cut in cuts:
            if len(said) < cut or not in_places_of(self.held(said), cut).any():
                found |= can_tip(self.held(figures), self.held(said), figures.open, cut)
        return found

    def held(self, figures: Figures) -> Held:
        """These figures in the places where the hotspot, or a field of it, may lie."""
        if figures not in self._held:
            asked = self.asked
            whole = asked.rule.withhold_small and not self.scattered
            self._held[figures] = Held(figures.xy * self.mm_per_px, self._reaches, whole=whole)
        return self._held[figures]

    @property
    def _reaches(self) -> Reaches:
        if self.asked.shape == "fields":
            return reaches_on(self.evaluable, "circle", self.asked.area_mm2 / FIELDS)
        return reaches_on(self.evaluable, self.asked.shape, self.asked.area_mm2)

    @cached_property
    def scattered(self) -> bool:
        """Whether no place, or field, holds the area, although there is as much in all: fragments far apart."""
        return bool(self.mm2) and not self.small and self._reaches.whole.size == 0

    def _hotspots(self, figures: Figures) -> Iterable[Hotspot]:
        if self.small:  # all of it is counted
            yield self._hotspot(figures, self.evaluable.middle, np.arange(len(figures)), self.mm2)
            return
        if self.asked.shape != "fields":
            for place in hotspots(self.held(figures)):
                yield self._hotspot(figures, self._at(place), place.inside, place.evaluable_mm2, place.reach)
            return
        places = hotspots(self.held(figures), FIELDS, touching=self.asked.rule.contiguous, fill=True)
        if not places:
            return
        fields = tuple(Field(*self._at(place), place.reach, place.count) for place in places)
        inside = np.unique(np.concatenate([place.inside for place in places]))  # one may lie where two touch
        held = sum(place.evaluable_mm2 for place in places)
        yield self._hotspot(figures, self._at(places[0]), inside, held, fields[0].reach_mm, fields)

    def _in_fields(self, figures: Figures, wanted: int) -> int:
        """How many of these the ten fields hold, as far as that tells whether they have a score."""
        assert self.cut_offs is not None
        if self.small or wanted == 1 or len(figures) < self.cut_offs[wanted - 2]:
            return len(figures)
        return next((hotspot.count for hotspot in self._hotspots(figures)), 0)

    def _at(self, place: Place) -> tuple[float, float]:
        return place.x / float(self.mm_per_px[0]), place.y / float(self.mm_per_px[1])

    def _hotspot(
        self,
        figures: Figures,
        at: tuple[float, float],
        inside: NDArray[np.int64],
        evaluable_mm2: float,
        reach_mm: float | None = None,
        fields: tuple[Field, ...] = (),
    ) -> Hotspot:
        return Hotspot(
            x=at[0],
            y=at[1],
            shape=self.asked.shape,
            area_mm2=self.asked.area_mm2,
            count=len(inside),
            count_per_mm2=len(inside) / evaluable_mm2,
            interval=poisson_interval(len(inside)),
            unseen=int(figures.open[inside].sum()),
            evaluable_mm2=evaluable_mm2,
            reach_mm=reach_mm,
            fields=fields,
        )

    def _score(self, hotspot: Hotspot | None) -> Score | None:
        rule, asked = self.asked.rule, self.asked
        held = hotspot.evaluable_mm2 if hotspot else None
        small = self.small or self.scattered or (held is not None and held < ENOUGH * asked.area_mm2)
        if self.cut_offs is None or self.mm2 < _LEAST_MM2 or (small and rule.withhold_small):
            return None
        count = hotspot.count if hotspot else 0
        value, to_next = score(count, self.cut_offs)
        stamp = Score.Rule(rule.id, rule.name, rule.version, rule.source, asked.area_mm2, self.cut_offs)
        return Score(value, stamp, to_next, poisson_interval(count), small)

    def _too_few_fields(self, value: Value) -> str:
        if value.hotspot is None or value.score is not None:
            return ""
        fit = len(value.hotspot.fields)
        return f"Only {fit} of ten fields fit on what is evaluable, so the rule {self.asked.rule.id} gives no score."

    def _reason(self) -> str:
        asked, area, rule = self.asked, f"{self.asked.area_mm2:.4g} mm2", self.asked.rule
        if self.evaluable.mpp is None:
            return "The um/px of this slide is not known, so there is no area, no density and no score."
        if not self.mm2:
            return "There is no tissue where figures are counted, so there is no density, no hotspot and no score."
        if self.cut_offs is None:
            if rule.area_mm2 is None:
                return f"In {area} the rule {rule.id} cannot tell a score of 1, 2 and 3, so there is no score."
            return f"The rule {rule.id} is for {rule.area_mm2:.4g} mm2, so there is no score in {area}."
        if self.small:
            held = "less than 0.01" if self.mm2 < 0.01 else f"{self.mm2:.2g}" if self.mm2 < 1 else f"{self.mm2:.2f}"
            less = f"Only {held} of {area} are evaluable; everything there is counted."
            if self.mm2 < _LEAST_MM2:
                return f"{less} There is no score below {_LEAST_MM2} mm2."
            return f"{less} The rule {rule.id} gives no score on so little." if rule.withhold_small else less
        if self.scattered:
            what = f"field holds a tenth of {area}" if asked.shape == "fields" else f"{asked.shape} holds {area}"
            less = f"No {what}: the tissue lies far apart."
            return f"{less} The rule {rule.id} gives no score on so little." if rule.withhold_small else less
        return ""
