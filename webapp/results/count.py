"""Counting: the number of mitotic figures of a slide, its hotspot and score, and what they rest on.

Two values stand side by side. AI: the candidates at or above the threshold, verdicts ignored. Reviewed: of those, the
ones that nobody has judged, and every figure that a person has called mitotic. Where nobody has judged they are equal.
Both are counted in the same region of interest (ROI): the tumour regions where there are any, without the exclusions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from webapp.annotations.models import Candidate, Figure, Label, Region, Run
from webapp.results.cache import CountAnswer, remembered, shared
from webapp.results.hotspot.search import fits, hotspots
from webapp.results.hotspot.shapes import Place
from webapp.results.inputs import CountInputs, count_inputs, newest_or_asked, stale_because
from webapp.results.poisson import poisson_interval
from webapp.results.question import SHAPES, Question
from webapp.results.roi import region_of_interest, roi_contains, tissue_mm2_in
from webapp.results.rules import score
from webapp.results.types import Count, CountModel, Hotspot, Judged, Score, Value, Values
from webapp.slides.models import Slide, Viewer
from webapp.slides.selectors import viewer_values


@dataclass(frozen=True)
class Figures:
    """Figures that count. xy: [n, 2] level-0 px. open: those that nobody has judged."""

    xy: NDArray[np.float64]
    open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.open)


@dataclass(frozen=True)
class Counted:
    """The figures of a slide at a threshold, inside the ROI."""

    roi: BaseGeometry
    has_regions: bool
    ai: Figures
    reviewed: Figures
    judged: Judged


def mitosis_count(*, run: Run, asked: Question) -> Count:
    """The count of a run, with hotspots and score. Without um/px there is no area and no score; `reason` says so."""
    return _count(CountInputs.of(count_inputs(Run.objects.filter(pk=run.pk)).get()), asked).count


def mitosis_count_seen(*, user: Viewer, slide: UUID, run: UUID | None, asked: Question) -> CountAnswer | None:
    """The same of a slide's newest run, or of the one that is asked for; None where the person sees no such run."""
    sees_all, values = viewer_values(user)
    rows = newest_or_asked(sees_all, **values, slide=slide, **({"pk": run} if run else {}))
    return _count(CountInputs.of(rows[0]), asked) if rows else None


def _count(inputs: CountInputs, asked: Question) -> CountAnswer:
    stale = stale_because(inputs, asked)
    return remembered.get((inputs, asked, *stale), lambda: CountAnswer(_answer(inputs, asked, stale)))


def _answer(inputs: CountInputs, asked: Question, stale: list[str]) -> Count:
    run = Run.objects.select_related("slide", "model").get(pk=inputs.run)
    values = values_of(inputs, asked)
    reviewed = values.reviewed
    return Count(
        slide=run.slide_id,
        run=run.pk,
        min_score=asked.min_score,
        area_mm2=asked.area_mm2,
        shape=asked.shape,
        count=reviewed.count,
        count_per_mm2=reviewed.count_per_mm2,
        hotspot=reviewed.hotspot,
        score=reviewed.score,
        tissue_mm2=values.tissue_mm2,
        reason=values.reason,
        ai=values.ai,
        reviewed=reviewed,
        judged=values.judged,
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
    regions = list(Region.objects.current().filter(slide=slide))
    roi = region_of_interest(slide, regions)

    candidate_xy = _points(candidates)
    is_open = np.array([row[2] not in judged_keys for row in candidates], bool)
    judged_xy = _points(judged)
    if regions:
        in_roi = roi_contains(roi, candidate_xy)
        candidate_xy, is_open = candidate_xy[in_roi], is_open[in_roi]
        judged_on = roi_contains(roi, judged_xy)
        judged, judged_xy = [row for row, on in zip(judged, judged_on, strict=True) if on], judged_xy[judged_on]
    mitotic = np.array([row[2] == Label.MITOTIC for row in judged], bool)
    reviewed_xy = np.concatenate([candidate_xy[is_open], judged_xy[mitotic]])
    said = Counter(row[2] for row in judged)
    return Counted(
        roi=roi,
        has_regions=bool(regions),
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


def values_of(inputs: CountInputs, asked: Question) -> Values:
    """The two values and what they rest on."""
    # The same key can only have the same values.
    key = (inputs.run, asked, inputs.mpp, inputs.tissue_fraction, inputs.verdicts, inputs.region_events)
    return shared(key, lambda: _counted(Run.objects.select_related("slide").get(pk=inputs.run), asked))


def _counted(run: Run, asked: Question) -> Values:
    slide = run.slide
    counted = figures_counted(slide=slide, run=run, min_score=asked.min_score)
    tissue_mm2 = tissue_mm2_in(slide, counted.roi) if counted.has_regions else slide.tissue_mm2
    build = CountBuilder(slide, counted.roi, tissue_mm2, asked)
    ai = build.value(counted.ai)
    # Equal figures have the same hotspots; nobody waits for them twice.
    same = len(counted.ai) == len(counted.reviewed) and bool(counted.ai.open.all())
    return Values(
        tissue_mm2=tissue_mm2,
        reason=build.reason,
        ai=ai,
        reviewed=ai if same else build.value(counted.reviewed),
        judged=counted.judged,
    )


class CountBuilder:
    """Makes a value of figures: count, density, hotspots, score."""

    def __init__(self, slide: Slide, roi: BaseGeometry, tissue_mm2: float | None, asked: Question) -> None:
        self.tissue_mm2 = tissue_mm2
        self.asked = asked
        self.shape = SHAPES[asked.shape](asked.area_mm2)
        self.mm_per_px = np.array(slide.mpp or (np.nan, np.nan)) / 1000
        self.cut_offs = asked.rule.cut_offs(asked.area_mm2)
        self.roi = None if slide.mpp is None else shapely.transform(roi, lambda xy: xy * self.mm_per_px)
        self.has_room = self.roi is not None and fits(self.shape, self.roi)
        self.reason = self._reason()

    def value(self, figures: Figures) -> Value:
        """Without room for the shape there are no hotspots and no score."""
        places: list[Place] = []
        if self.roi is not None and self.has_room:
            mm = figures.xy * self.mm_per_px
            places = hotspots(mm[:, 0], mm[:, 1], self.shape, self.roi)
        return Value(
            count=len(figures),
            count_per_mm2=len(figures) / self.tissue_mm2 if self.tissue_mm2 else None,
            hotspots=tuple(self._hotspot(place, figures) for place in places),
            score=self._score(places[0].count if places else 0) if self.has_room else None,
        )

    def _hotspot(self, place: Place, figures: Figures) -> Hotspot:
        x, y = np.array([place.x, place.y]) / self.mm_per_px
        return Hotspot(
            x=float(x),
            y=float(y),
            shape=self.asked.shape,
            area_mm2=self.asked.area_mm2,
            count=place.count,
            count_per_mm2=place.count / self.asked.area_mm2,
            interval=poisson_interval(place.count),
            unseen=int(figures.open[place.inside].sum()),
        )

    def _score(self, count: int) -> Score | None:
        if self.cut_offs is None:
            return None
        rule = self.asked.rule
        value, to_next = score(count, self.cut_offs)
        stamp = Score.Rule(rule.id, rule.name, rule.version, rule.source, self.asked.area_mm2, self.cut_offs)
        return Score(value=value, rule=stamp, to_next=to_next, interval=poisson_interval(count))

    def _reason(self) -> str:
        if self.roi is None:
            return "The um/px of this slide is not known, so there is no area, no density and no score."
        if not self.has_room:
            shape = f"{self.asked.shape} of {self.asked.area_mm2:.4g} mm2"
            return f"No {shape} fits where figures are counted, so there is no hotspot and no score."
        if self.cut_offs is None:
            rule, area = self.asked.rule, f"{self.asked.area_mm2:.4g} mm2"
            if rule.area_mm2 is None:
                return f"In {area} the rule {rule.id} cannot tell a score of 2 from 3, so there is no score."
            return f"The rule {rule.id} is for {rule.area_mm2:.4g} mm2, so there is no score in {area}."
        return "" if self.tissue_mm2 else "No tissue was found, so there is no density."


def _points(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float64]:
    return np.array([row[:2] for row in rows], float).reshape(-1, 2)
