"""Counting: the number of mitotic figures of a slide, its hotspot and score, and what they rest on.

Two values stand side by side. AI: the candidates at or above the threshold, verdicts ignored. Reviewed: of those, the
ones that nobody has judged, and every figure that a person has called mitotic; there is none until somebody has judged.
Both are counted on the same evaluable area: tissue, in the tumour regions where there are any, outside exclusions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from webapp.annotations.models import Candidate, Figure, Label, Region, Run
from webapp.results.cache import CountAnswer, remembered, shared
from webapp.results.evaluable import Evaluable, evaluable_of
from webapp.results.hotspot import Held, Place, hotspots, in_places_of
from webapp.results.inputs import CountInputs, count_inputs, newest_or_asked, stale_because
from webapp.results.poisson import poisson_interval
from webapp.results.question import FIELDS, Question, question
from webapp.results.rules import score
from webapp.results.types import (
    Count,
    CountModel,
    Field,
    Hotspot,
    Judged,
    Review,
    ReviewState,
    Score,
    Value,
    Values,
)
from webapp.slides.models import Slide, Viewer
from webapp.slides.selectors import viewer_values

_ENOUGH = 0.98  # of the area asked for; with less a sample is small


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


def figures_counted(*, slide: Slide, run: Run, min_score: float) -> Counted:
    """The figures that count, of both values."""
    rows = Candidate.objects.filter(run=run, score__gte=min_score)
    candidates = list(rows.values_list("x", "y", "figure_id"))
    figures = Figure.objects.filter(slide=slide).exclude(label=Label.OPEN)
    judged = list(figures.values_list("x", "y", "label", "added", "pk"))
    judged_keys = {row[4] for row in judged}
    evaluable = evaluable_of(slide, list(Region.objects.current().filter(slide=slide)))
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
            added=sum(row[2] == Label.MITOTIC and row[3] for row in judged),
            unseen=int(is_open.sum()),
        ),
    )


def values_of(inputs: CountInputs, asked: Question, run: Run | None = None) -> Values:
    """The two values and what they rest on. run: with its slide, where it is at hand."""
    # The same key can only have the same values.
    key = (inputs.run, asked, inputs.mpp, inputs.tissue_fraction, inputs.verdicts, inputs.region_events)
    return shared(key, lambda: _counted(run or Run.objects.select_related("slide").get(pk=inputs.run), asked))


def _counted(run: Run, asked: Question) -> Values:
    counted = figures_counted(slide=run.slide, run=run, min_score=asked.min_score)
    build = CountBuilder(counted.evaluable, asked)
    ai = build.value(counted.ai)
    # Equal figures have the same hotspots; nobody waits for them twice.
    same = len(counted.ai) == len(counted.reviewed) and bool(counted.ai.open.all())
    value = ai if same else build.value(counted.reviewed)
    said = counted.judged
    begun = said.mitotic + said.non_mitotic + said.unsure > 0
    return Values(
        tissue_mm2=counted.evaluable.mm2,
        reason=build.reason,
        ai=ai,
        reviewed=value if begun else None,
        judged=said,
        review=build.review(counted, value, begun=begun),
    )


class CountBuilder:
    """Makes a value of figures: count, density, hotspots, score."""

    def __init__(self, evaluable: Evaluable, asked: Question) -> None:
        self.evaluable, self.asked = evaluable, asked
        self.mm_per_px = np.array(evaluable.mpp or (np.nan, np.nan)) / 1000
        self.cut_offs = asked.rule.cut_offs(asked.area_mm2)
        self.mm2 = evaluable.mm2 or 0.0
        self.small = self.mm2 < _ENOUGH * asked.area_mm2
        self.reason = self._reason()
        self._held: dict[Figures, Held] = {}

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

        Each verdict leaves it between the score of the figures called mitotic alone and the score of all. Where these
        differ, it is a place with enough figures for the next score that decides.
        """
        if scored is None or self.cut_offs is None:
            return None
        if self.asked.shape == "fields":  # which ten fields are the best follows from all figures
            return figures.open
        said = Figures(figures.xy[~figures.open], figures.open[~figures.open])
        if self.small:
            sure = score(len(said), self.cut_offs)[0]
            return figures.open & (sure < scored.value)
        cuts = self.cut_offs[: scored.value - 1]
        higher = [cut for cut in cuts if len(said) < cut or not in_places_of(self.held(said), cut).any()]
        if not higher:
            return np.zeros(len(figures), bool)
        return figures.open & in_places_of(self.held(figures), higher[0])

    def held(self, figures: Figures) -> Held:
        """These figures in the places where the hotspot, or a field of it, may lie."""
        if figures not in self._held:
            asked = self.asked
            if asked.shape == "fields":
                reaches = self.evaluable.reaches("circle", asked.area_mm2 / FIELDS)
            else:
                reaches = self.evaluable.reaches(asked.shape, asked.area_mm2)
            self._held[figures] = Held(figures.xy * self.mm_per_px, reaches)
        return self._held[figures]

    def _hotspots(self, figures: Figures) -> Iterable[Hotspot]:
        if self.small:  # all of it is counted
            yield self._hotspot(figures, self.evaluable.middle, np.arange(len(figures)), self.mm2)
            return
        if self.asked.shape != "fields":
            for place in hotspots(self.held(figures)):
                yield self._hotspot(figures, self._at(place), place.inside, place.evaluable_mm2, place.reach)
            return
        places = hotspots(self.held(figures), FIELDS, touching=self.asked.rule.contiguous)
        if not places:
            return
        fields = tuple(Field(*self._at(place), place.reach, place.count) for place in places)
        inside = np.unique(np.concatenate([place.inside for place in places]))  # one may lie where two touch
        held = sum(place.evaluable_mm2 for place in places)
        yield self._hotspot(figures, self._at(places[0]), inside, held, fields[0].reach_mm, fields)

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
        small = self.small or (held is not None and asked.shape != "fields" and held < _ENOUGH * asked.area_mm2)
        if self.cut_offs is None or (small and rule.withhold_small):
            return None
        count = hotspot.count if hotspot else 0
        value, to_next = score(count, self.cut_offs)
        stamp = Score.Rule(rule.id, rule.name, rule.version, rule.source, asked.area_mm2, self.cut_offs)
        return Score(value, stamp, to_next, poisson_interval(count), small)

    def _reason(self) -> str:
        area, rule = f"{self.asked.area_mm2:.4g} mm2", self.asked.rule
        if self.evaluable.mpp is None:
            return "The um/px of this slide is not known, so there is no area, no density and no score."
        if not self.mm2:
            return "There is no tissue where figures are counted, so there is no density, no hotspot and no score."
        if self.cut_offs is None:
            if rule.area_mm2 is None:
                return f"In {area} the rule {rule.id} cannot tell a score of 1, 2 and 3, so there is no score."
            return f"The rule {rule.id} is for {rule.area_mm2:.4g} mm2, so there is no score in {area}."
        if self.small:
            held = f"{self.mm2:.2g}" if self.mm2 < 1 else f"{self.mm2:.2f}"
            less = f"Only {held} of {area} are evaluable; everything there is counted."
            return f"{less} The rule {rule.id} gives no score on so little." if rule.withhold_small else less
        return ""


def _points(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float64]:
    return np.array([row[:2] for row in rows], float).reshape(-1, 2)
