"""Reading blinded readings: whose turn it is, what is disputed, and how well readers agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean
from typing import Any

from django.conf import settings
from django.db.models import Count, F, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.utils import timezone

from webapp.annotations.models import Candidate, Figure, Label, Run, Verdict
from webapp.annotations.selectors import newest_run
from webapp.readings.together import RaterVerdicts, spots_of
from webapp.readings.types import ReadFigure, ReadingResult
from webapp.results.agreement import (
    AI,
    agreed_share,
    by_name,
    cohen_kappa,
    fleiss_kappa,
    limits_of_agreement,
    weighted_kappa,
)
from webapp.results.count import values_of
from webapp.results.inputs import CountInputs, count_inputs
from webapp.results.question import question
from webapp.slides.models import Reading, Slide, Study, Viewer


def readings_of(user: Viewer) -> QuerySet[Reading]:
    """What a person reads blinded, in the order to read it: what is open now, what opens later, what is done."""
    mine = Reading.objects.filter(reader=user.pk, over_at=None).select_related("slide__case__study", "copy")
    seen = mine.filter(slide__case__study__in=Study.objects.visible_to(user))
    return seen.order_by(F("done_at").asc(nulls_first=True), "round", "place", "pk")


def is_open(reading: Reading) -> bool:
    """Whether it can be read now."""
    return reading.done_at is None and reading.opens_at is not None and reading.opens_at <= timezone.now()


def slides_read(*, study: Study) -> QuerySet[Slide]:
    """The slides of a study that are or were read blinded, each with its `readings`, and its `disputes` in number."""
    of_it = Reading.objects.select_related("reader").order_by("round", "reader__username").defer("result")
    disputes = Count("figures", filter=Q(figures__disputed=True), distinct=True)
    read = Slide.objects.filter(case__study=study, pk__in=Reading.objects.values("slide"))
    return (
        read.select_related("case").prefetch_related(Prefetch("readings", of_it)).annotate(disputes=disputes)
        .order_by("case__identifier", "number", "pk")
    )  # fmt: skip


def slides_unread(*, study: Study) -> QuerySet[Slide]:
    """Those of which blinded readings can begin: detected on, not read, without verdicts."""
    judged = Figure.objects.filter(version__gt=0).values("slide")
    ready = Slide.objects.filter(case__study=study, state=Slide.State.READY, pk__in=Run.objects.values("slide"))
    free = ready.exclude(pk__in=judged).exclude(pk__in=Reading.objects.values("slide"))
    return free.select_related("case").order_by("case__identifier", "number", "pk")


def disputes_of(*, slides: QuerySet[Slide]) -> QuerySet[Figure]:
    """The figures on which blinded readers disagree and that nobody has settled, each with its verdicts by people."""
    said = Verdict.objects.filter(by__isnull=False).select_related("by").order_by("version")
    disputed = Figure.objects.filter(slide__in=slides, disputed=True).select_related("slide__case")
    return disputed.prefetch_related(Prefetch("verdicts", said, to_attr="said")).order_by("slide", "y", "x")


@dataclass(frozen=True)
class ReadSlide:
    """A slide whose readings are over. raters: (name, what was judged), the AI last, with what it has found."""

    slide: Slide
    raters: Sequence[tuple[str, RaterVerdicts]]


def read_slides(*, slides: QuerySet[Slide]) -> list[ReadSlide]:
    """Those whose readings are over, as a person sees them."""
    over = Reading.objects.filter(slide__in=slides, over_at__isnull=False).select_related("slide__case", "reader")
    by_slide: dict[Slide, list[Reading]] = defaultdict(list)
    for one in over.order_by("slide__case__identifier", "slide__number", "slide", "round", "reader__username"):
        by_slide[one.slide].append(one)
    of_ai = _of_ai(slides.filter(pk__in=[slide.pk for slide in by_slide]))
    rounds = max((one.round for readings in by_slide.values() for one in readings), default=1)
    return [
        ReadSlide(
            slide,
            [
                *((_rater(one, rounds), RaterVerdicts.of(one)) for one in readings),
                *([(AI, of_ai[slide.pk])] if slide.pk in of_ai else []),
            ],
        )
        for slide, readings in by_slide.items()
    ]


def _rater(reading: Reading, rounds: int) -> str:
    name = str(reading.reader.get_username())
    return f"{name}, round {reading.round}" if rounds > 1 else name


def _of_ai(slides: QuerySet[Slide]) -> dict[Any, RaterVerdicts]:
    """What the newest run has found on each slide, as if a reader had marked it."""
    runs = Run.objects.filter(slide__in=slides, pk=Subquery(newest_run(OuterRef("slide"))))
    threshold = settings.DEFAULT_MIN_SCORE
    found: dict[Any, list[ReadFigure]] = defaultdict(list)
    rows = Candidate.objects.filter(run__in=runs, score__gte=threshold, evaluable=True)
    for slide, x, y in rows.values_list("run__slide", "x", "y"):
        figure: ReadFigure = {
            "x": x, "y": y, "label": Label.MITOTIC, "added": False, "screened": False, "shown": True, "at": "",
        }  # fmt: skip
        found[slide].append(figure)
    judged = {}
    for inputs in map(CountInputs.of, count_inputs(runs)):
        value = values_of(inputs, question(study=inputs.counting)).ai
        score = value.score.value if value.score else None
        result: ReadingResult = {
            "whole": True, "count": value.count, "count_per_mm2": value.count_per_mm2, "score": score,
            "figures": found[inputs.slide],
        }  # fmt: skip
        judged[inputs.slide] = RaterVerdicts(None, result, shows_candidates=False)
    return judged


@dataclass(frozen=True)
class Agreement:
    """Two raters on the slides that both have read.

    slides: read to the end by both. figures: that both have judged, mitotic or not; agreed: share; kappa: Cohen's.
    difference: mean of first - second count; limits: of agreement, Bland and Altman 1986. scores: slides with a mitotic
    score by both; same_score: share; score_kappa: Cohen's, weighted by the square of the distance. None where nothing
    can be said.
    """

    first: str
    second: str
    slides: int
    figures: int
    agreed: float | None
    kappa: float | None
    difference: float | None
    limits: tuple[float, float] | None
    scores: int
    same_score: float | None
    score_kappa: float | None


@dataclass(frozen=True)
class Together:
    """All people, each in the last round. raters, figures: how many people, on how many figures that all have judged;
    kappa: Fleiss'."""

    raters: int
    figures: int
    kappa: float | None


def agreements(read: Iterable[ReadSlide]) -> tuple[list[Agreement], Together]:
    """Of every two raters, the AI last, and of all people together."""
    pairs: dict[tuple[str, str], _Pair] = defaultdict(_Pair)
    last = max((of.round for one in read for _, of in one.raters), default=0)
    people = {name for one in read for name, of in one.raters if name != AI and of.round == last}
    counted = []
    for one in read:
        labels = list(_mitotic(one))
        for (first, of_first), (second, of_second) in combinations(one.raters, 2):
            pair = pairs[first, second]
            both = ((said.get(first), said.get(second)) for said in labels)
            pair.figures += [(a, b) for a, b in both if a is not None and b is not None]
            if not (of_first.result["whole"] and of_second.result["whole"]):
                continue
            pair.counts.append(of_first.result["count"] - of_second.result["count"])
            scores = of_first.result["score"], of_second.result["score"]
            if scores[0] is not None and scores[1] is not None:
                pair.scores.append((scores[0], scores[1]))
        counted += [said for said in labels if people <= said.keys()]
    of_all = [sum(said[name] for name in people) for said in counted]
    order = sorted(pairs, key=lambda names: [by_name(name) for name in names])
    return [pairs[names].agreement(*names) for names in order], Together(
        len(people), len(of_all), fleiss_kappa(of_all, len(people)) if len(people) > 2 else None
    )


class _Pair:
    """What two raters say of the same."""

    def __init__(self) -> None:
        self.figures: list[tuple[bool, bool]] = []
        self.counts: list[int] = []
        self.scores: list[tuple[int, int]] = []

    def agreement(self, first: str, second: str) -> Agreement:
        figures, scores = self.figures, self.scores
        return Agreement(
            first=first,
            second=second,
            slides=len(self.counts),
            figures=len(figures),
            agreed=agreed_share(figures),
            kappa=cohen_kappa(figures),
            difference=mean(self.counts) if self.counts else None,
            limits=limits_of_agreement(self.counts),
            scores=len(scores),
            same_score=agreed_share(scores),
            score_kappa=weighted_kappa(scores),
        )


def _mitotic(read: ReadSlide) -> Iterable[Mapping[str, bool]]:
    """Of each figure, who says that it is mitotic and who that it is not; who has not judged it is not in it."""
    judged = [of for _, of in read.raters]
    for spot in spots_of(read.slide, judged):
        labels = spot.labels(judged)
        yield {
            name: label == Label.MITOTIC
            for (name, _), label in zip(read.raters, labels, strict=True)
            if label is not None
        }


def figure_rows(read: Iterable[ReadSlide]) -> list[tuple[Any, ...]]:
    """A row for each figure and rater: case, slide, x, y (level-0 px), who, what; "" for what was not judged."""
    return [
        (one.slide.case.identifier, str(one.slide.pk), round(spot.x, 2), round(spot.y, 2), name, label or "")
        for one in read
        for judged in [[of for _, of in one.raters]]
        for spot in spots_of(one.slide, judged)
        for (name, _), label in zip(one.raters, spot.labels(judged), strict=True)
    ]


def slide_rows(read: Iterable[ReadSlide]) -> list[tuple[Any, ...]]:
    """A row for each slide and rater: case, slide, who, count, count per mm2, mitotic score."""
    return [
        (one.slide.case.identifier, str(one.slide.pk), name, result["count"], result["count_per_mm2"], result["score"])
        for one in read
        for name, of in one.raters
        for result in [of.result]
    ]
