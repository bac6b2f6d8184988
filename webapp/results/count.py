"""Counting: the number of mitotic figures of a slide, its hotspot and score, and what they rest on.

Two values stand side by side. AI: the candidates at or above the threshold, verdicts ignored. Reviewed: of those, the
ones that nobody has judged, and every figure that a person has called mitotic. Where nobody has judged they are equal.
Both are counted on the same ground: inside the tumour regions where there are any, outside exclusions.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Literal
from uuid import UUID

import numpy as np
import shapely
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Sum
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from webapp.annotations.models import Candidate, Figure, Label, Region, Run
from webapp.core.errors import InvalidInput
from webapp.core.prepared import Prepared
from webapp.core.redis import ask_redis
from webapp.jobs.models import Job
from webapp.jobs.states import OPEN, State
from webapp.registry.models import ModelVersion
from webapp.results.hotspot.search import Circle, Place, Shape, Square, fits, hotspots
from webapp.results.poisson import poisson_interval
from webapp.results.roi import counted_ground, holds, tissue_mm2_on
from webapp.results.rules import Rule, score
from webapp.slides.models import Slide, Viewer
from webapp.slides.selectors import viewer_of, viewer_values

ShapeName = Literal["circle", "square"]
SHAPES: dict[ShapeName, Callable[[float], Shape]] = {"circle": Circle, "square": Square}
_REMEMBERED = 5000  # counts kept by each process
_KEPT_SECONDS = 86400  # by Redis, for all processes
_CALCULATION = 3  # to be raised when the same key comes to have another count: hotspot, ground or rules in code


@dataclass(frozen=True)
class Question:
    """How to count: candidates from this score on, and a hotspot of this shape and area, scored by this rule."""

    min_score: float
    area_mm2: float
    shape: ShapeName
    rule: Rule


def question(
    *, min_score: float | None = None, area_mm2: float | None = None, shape: ShapeName = "circle", rule: str = ""
) -> Question:
    """What was asked for, completed: score 0.5, the laboratory's rule, its area (2 mm2 where it holds for any)."""
    if rule and rule not in settings.SCORE_RULES:
        raise InvalidInput(f"There is no rule called {rule}; there are {', '.join(settings.SCORE_RULES)}.")
    found = settings.SCORE_RULES[rule or settings.SCORE_RULE]
    return Question(
        min_score=settings.DEFAULT_MIN_SCORE if min_score is None else min_score,
        area_mm2=area_mm2 or found.area_mm2 or settings.HOTSPOT_MM2,
        shape=shape,
        rule=found,
    )


@dataclass(frozen=True)
class Figures:
    """Figures that count. xy: [n, 2] level-0 px. open: those that nobody has judged."""

    xy: NDArray[np.float64]
    open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.open)


@dataclass(frozen=True)
class Counted:
    """The figures of a slide at a threshold, on the ground where they are counted."""

    ground: BaseGeometry
    has_regions: bool
    ai: Figures
    reviewed: Figures
    judged: dict[str, int]


def _of_the_slide(model: type[Figure | Region], sum_of: Any) -> Subquery:
    rows = model.objects.filter(slide=OuterRef("slide")).order_by().values("slide")
    return Subquery(rows.annotate(sum=sum_of).values("sum"))


@dataclass(frozen=True)
class Basis:
    """A run and all that its count follows from besides.

    verdicts, region_events: how many there were on the slide, None where there were none; both are histories that only
    grow, so that each number stands for one state. newer: whether there is a newer run over the slide.
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

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Basis:
        """A row of `_bases`."""
        run, slide, *scales, tissue_fraction, model, model_state, verdicts, region_events, newer = row
        return cls(
            run=UUID(str(run)),
            slide=UUID(str(slide)),
            run_mpp=(scales[0], scales[1]),
            mpp=(scales[2], scales[3]),
            tissue_fraction=tissue_fraction,
            model=model,
            model_state=model_state,
            verdicts=verdicts,
            region_events=region_events,
            newer=bool(newer),
        )


def _bases(runs: QuerySet[Run]) -> QuerySet[Run, tuple[Any, ...]]:
    return runs.order_by("-created_at").values_list(
        *("pk", "slide_id", "mpp_x", "mpp_y", "slide__mpp_x", "slide__mpp_y", "slide__tissue_fraction"),
        *("model__name", "model__state"),
        _of_the_slide(Figure, Sum("version")),
        _of_the_slide(Region, Count("pk") + Count("ended_at")),
        Exists(Run.objects.filter(slide=OuterRef("slide"), created_at__gt=OuterRef("created_at"))),
    )


def _visible_bases(sees_all: bool, *, user: int | None = None, **asked: UUID) -> QuerySet[Run, tuple[Any, ...]]:
    return _bases(Run.objects.visible_to(viewer_of(sees_all, user)).filter(**asked))[:1]


_newest_or_asked = Prepared(_visible_bases)


@dataclass(frozen=True)
class CountAnswer:
    """The count of a run with everything that it rests on. It is remembered, so nobody may change it."""

    values: dict[str, Any]

    @cached_property
    def body(self) -> bytes:
        """As JSON."""
        return json.dumps(self.values, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def tag(self) -> str:
        """Names these bytes and no others, in every process (an ETag)."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


def mitosis_count(*, run: Run, asked: Question) -> dict[str, Any]:
    """The count of a run, with hotspots and score. Without um/px there is no area and no score; `reason` says so.

    The answer is remembered, so nobody may change it.
    """
    return _count(Basis.of(_bases(Run.objects.filter(pk=run.pk)).get()), asked).values


def mitosis_count_seen(*, user: Viewer, slide: UUID, run: UUID | None, asked: Question) -> CountAnswer | None:
    """The same of a slide's newest run, or of the one that is asked for; None where the person sees no such run."""
    sees_all, values = viewer_values(user)
    rows = _newest_or_asked(sees_all, **values, slide=slide, **({"pk": run} if run else {}))
    return _count(Basis.of(rows[0]), asked) if rows else None


def _count(basis: Basis, asked: Question) -> CountAnswer:
    stale = _stale(basis, asked)
    return _remembered.get((basis, asked, *stale), lambda: CountAnswer(_answer(basis, asked, stale)))


def _answer(basis: Basis, asked: Question, stale: list[str]) -> dict[str, Any]:
    run = Run.objects.select_related("slide", "model").get(pk=basis.run)
    result = _values(basis, asked)
    reviewed = result["reviewed"]
    return {
        "slide": run.slide_id,
        "run": run.pk,
        "min_score": asked.min_score,
        "area_mm2": asked.area_mm2,
        "shape": asked.shape,
        "count": reviewed["count"],
        "count_per_mm2": reviewed["count_per_mm2"],
        "hotspot": next(iter(reviewed["hotspots"]), None),
        "score": reviewed["score"],
        **result,
        "stale": stale,
        "model": {"name": run.model.name, "sha256": run.model_sha256},
        "parameters": run.parameters,
        "mpp": list(run.slide.mpp or (run.mpp_x, run.mpp_y)),
        "code_version": run.code_version,
        "detected_at": run.created_at,
        "use": "research use only",
    }


def figures_counted(*, slide: Slide, run: Run, min_score: float) -> Counted:
    """The figures that count, of both values."""
    rows = Candidate.objects.filter(run=run, score__gte=min_score)
    candidates = list(rows.values_list("x", "y", "figure_id"))
    figures = Figure.objects.filter(slide=slide).exclude(label=Label.OPEN)
    judged = list(figures.values_list("x", "y", "label", "added", "pk"))
    judged_keys = {row[4] for row in judged}
    regions = list(Region.objects.current().filter(slide=slide))
    ground = counted_ground(slide, regions)

    candidate_xy = _points(candidates)
    is_open = np.array([row[2] not in judged_keys for row in candidates], bool)
    judged_xy = _points(judged)
    if regions:
        on_ground = holds(ground, candidate_xy)
        candidate_xy, is_open = candidate_xy[on_ground], is_open[on_ground]
        judged_on = holds(ground, judged_xy)
        judged, judged_xy = [row for row, on in zip(judged, judged_on, strict=True) if on], judged_xy[judged_on]
    mitotic = np.array([row[2] == Label.MITOTIC for row in judged], bool)
    reviewed_xy = np.concatenate([candidate_xy[is_open], judged_xy[mitotic]])
    labels = {str(label): sum(row[2] == label for row in judged) for label in Label if label}
    return Counted(
        ground=ground,
        has_regions=bool(regions),
        ai=Figures(candidate_xy, is_open),
        reviewed=Figures(reviewed_xy, np.arange(len(reviewed_xy)) < is_open.sum()),
        judged={
            **labels,
            "added": sum(row[2] == Label.MITOTIC and row[3] for row in judged),
            "unseen": int(is_open.sum()),
        },
    )


def worklist_rows(*, slides: list[Slide], min_score: float) -> list[dict[str, Any]]:
    """Of each slide: its count by the newest run, None before there is one, and the job that is under way on it."""
    newest = Run.objects.filter(slide=OuterRef("slide")).order_by("-created_at").values("pk")[:1]
    runs = _bases(Run.objects.filter(slide__in=slides, pk=Subquery(newest)))
    asked = question(min_score=min_score)
    values = {basis.slide: _values(basis, asked)["reviewed"] for basis in map(Basis.of, runs)}
    jobs = {job.slide_id: job for job in Job.objects.filter(slide__in=slides, state__in=OPEN).order_by("-created_at")}
    failed = {
        job.slide_id: job
        for job in Job.objects.filter(slide__in=slides, state=State.FAILED, run=None).order_by("created_at")
    }
    return [
        {
            "slide": slide,
            "count": values[slide.pk]["count"] if slide.pk in values else None,
            "per_mm2": values[slide.pk]["count_per_mm2"] if slide.pk in values else None,
            "score": values[slide.pk]["score"] if slide.pk in values else None,
            "job": jobs.get(slide.pk),
            "failed": failed.get(slide.pk) if slide.pk not in values else None,
        }
        for slide in slides
    ]


def _values(basis: Basis, asked: Question) -> dict[str, Any]:
    """The two values and what they rest on."""
    # The same key can only have the same values.
    key = (basis.run, asked, basis.mpp, basis.tissue_fraction, basis.verdicts, basis.region_events)
    return _shared(key, lambda: _counted(Run.objects.select_related("slide").get(pk=basis.run), asked))


def _counted(run: Run, asked: Question) -> dict[str, Any]:
    slide = run.slide
    counted = figures_counted(slide=slide, run=run, min_score=asked.min_score)
    tissue_mm2 = tissue_mm2_on(slide, counted.ground) if counted.has_regions else slide.tissue_mm2
    value = _Valuer(slide, counted.ground, tissue_mm2, asked)
    ai = value(counted.ai)
    # Equal figures have the same hotspots; nobody waits for them twice.
    same = len(counted.ai) == len(counted.reviewed) and bool(counted.ai.open.all())
    return {
        "tissue_mm2": tissue_mm2,
        "reason": value.reason,
        "ai": ai,
        "reviewed": ai if same else value(counted.reviewed),
        "judged": counted.judged,
    }


class _Valuer:
    """Makes a value of figures: count, density, hotspots, score."""

    def __init__(self, slide: Slide, ground: BaseGeometry, tissue_mm2: float | None, asked: Question) -> None:
        self.tissue_mm2 = tissue_mm2
        self.asked = asked
        self.shape = SHAPES[asked.shape](asked.area_mm2)
        self.mm_per_px = np.array(slide.mpp or (np.nan, np.nan)) / 1000
        self.cut_offs = asked.rule.cut_offs(asked.area_mm2)
        self.ground = None if slide.mpp is None else shapely.transform(ground, lambda xy: xy * self.mm_per_px)
        self.has_room = self.ground is not None and fits(self.shape, self.ground)
        self.reason = self._reason()

    def __call__(self, figures: Figures) -> dict[str, Any]:
        places: list[Place] = []
        if self.ground is not None and self.has_room:
            mm = figures.xy * self.mm_per_px
            places = hotspots(mm[:, 0], mm[:, 1], self.shape, self.ground)
        return {
            "count": len(figures),
            "count_per_mm2": len(figures) / self.tissue_mm2 if self.tissue_mm2 else None,
            "hotspots": [self._hotspot(place, figures) for place in places],
            "score": self._score(places[0].count if places else 0) if self.has_room else None,
        }

    def _hotspot(self, place: Place, figures: Figures) -> dict[str, Any]:
        x, y = np.array([place.x, place.y]) / self.mm_per_px
        return {
            "x": float(x),
            "y": float(y),
            "shape": self.asked.shape,
            "area_mm2": self.asked.area_mm2,
            "count": place.count,
            "count_per_mm2": place.count / self.asked.area_mm2,
            "interval": list(poisson_interval(place.count)),
            "unseen": int(figures.open[place.inside].sum()),
        }

    def _score(self, count: int) -> dict[str, Any] | None:
        if self.cut_offs is None:
            return None
        rule = self.asked.rule
        value, to_next = score(count, self.cut_offs)
        stamp = {"id": rule.id, "name": rule.name, "version": rule.version, "source": rule.source}
        stamp.update(area_mm2=self.asked.area_mm2, cut_offs=list(self.cut_offs))
        return {"value": value, "rule": stamp, "to_next": to_next, "interval": list(poisson_interval(count))}

    def _reason(self) -> str:
        if self.ground is None:
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


def _stale(basis: Basis, asked: Question) -> list[str]:
    """Why this count may not be the last word, one sentence each."""
    sentences = []
    if basis.newer:
        sentences.append("There is a newer run over this slide.")
    if basis.model_state != ModelVersion.State.ACTIVE:
        active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
        if active is not None:
            sentences.append(f"The model {active.name} is active now; this run was made with {basis.model}.")
    if basis.mpp[0] is not None and basis.mpp != basis.run_mpp:
        made_at = " x ".join(f"{value:.4g}" for value in basis.run_mpp)
        sentences.append(f"The um/px of this slide was changed after this run, which was made at {made_at}.")
    if asked.min_score != settings.DEFAULT_MIN_SCORE:
        threshold = f"the threshold in use is {settings.DEFAULT_MIN_SCORE:g}"
        sentences.append(f"Counted from score {asked.min_score:g}; {threshold}.")
    return sentences


def _points(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float64]:
    return np.array([row[:2] for row in rows], float).reshape(-1, 2)


class _Remembered:
    """The last results of this process by everything that they follow from, so that none can be out of date."""

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, CountAnswer] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], CountAnswer]) -> CountAnswer:
        """The result of this key, made where it is not there."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        result = make()
        with self._lock:
            self._results[key] = result
            while len(self._results) > _REMEMBERED:
                self._results.popitem(last=False)
        return result


def _shared(key: Hashable, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The same among all processes, so that a hotspot is searched once; made anew where Redis is away."""
    name = f"count:{_CALCULATION}:{hashlib.sha256(repr(key).encode()).hexdigest()}"
    if kept := ask_redis(lambda redis: redis.get(name)):
        found: dict[str, Any] = json.loads(kept)
        return found
    result = make()
    ask_redis(lambda redis: redis.set(name, json.dumps(result), ex=_KEPT_SECONDS))
    return result


_remembered = _Remembered()
