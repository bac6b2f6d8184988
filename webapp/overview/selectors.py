"""A study at a glance: counts and scores, turnaround, and whether the detector still fits what comes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import Avg, Count, F, Min, OuterRef, Q, Subquery
from django.db.models.functions import TruncWeek

from webapp.annotations.models import Candidate, Figure, Label, Run
from webapp.annotations.selectors import newest_run
from webapp.core.tables import rounded
from webapp.overview.agreement import fleiss_of, pairs_of, verdicts_of
from webapp.reports.models import Report
from webapp.results.count import values_of
from webapp.results.inputs import CountInputs, count_inputs
from webapp.results.question import question
from webapp.results.wilson import wilson_interval
from webapp.slides.models import Slide, SlideQuerySet, Study, Viewer

NEWEST_SLIDES = 500  # with a run, whose counts are shown
WEEKS = 26
_CLASSES = 12  # of the histogram of counts
_ENOUGH_JUDGED, _ENOUGH_FOUND = 30, 100  # in a week and before it, for a warning
_SHIFT = 0.1  # of the mean confidence, for a warning


@dataclass(frozen=True)
class Table:
    """Numbers with their plot. bars: (label, height) of each, in the order of the plot; said: one sentence."""

    key: str
    title: str
    said: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    bars: list[tuple[str, float]]


@dataclass(frozen=True)
class Overview:
    """tables: each with its plot. warnings: where the detector may have drifted, one sentence each."""

    tables: list[Table]
    warnings: list[str]


def overview_of(study: Study, user: Viewer) -> Overview:
    """What its newest slides and the last weeks show; of what a person reads blinded it tells that person nothing."""
    slides = Slide.objects.visible_to(user).filter(case__study=study, original=None)
    counts, scores = _counts(slides)
    weeks, warnings = _drift(slides)
    return Overview([counts, scores, _turnaround(slides), _agreement(slides), *weeks], warnings)


def _counts(slides: SlideQuerySet) -> tuple[Table, Table]:
    """The count that stands in each hotspot, per mm2, and the scores."""
    newest = newest_run(OuterRef("slide"))
    runs = Run.objects.filter(slide__in=slides, pk=Subquery(newest))
    names = dict(runs.values_list("slide", "slide__case__identifier"))
    inputs = map(CountInputs.of, count_inputs(runs)[:NEWEST_SLIDES])
    values = [(one, values_of(one, question(study=one.counting))) for one in inputs]
    rows, densities, scores = [], [], Counter[int]()
    for one, value in values:
        hotspot, score = value.standing.hotspot, value.standing.score
        density = hotspot.count_per_mm2 if hotspot else 0.0
        state = value.review.state if value.review else ""
        rows.append(
            (names[one.slide], str(one.slide), value.standing.count, round(density, 2), score and score.value, state)
        )
        densities.append(density)
        scores[score.value if score else 0] += 1
    said = f"The newest {len(rows)} slides with a detection, reviewed where somebody has judged."
    columns = ("case", "slide", "mitotic figures", "per mm² in the hotspot", "mitotic score", "review")
    score_rows = [(value or "none", scores[value]) for value in (1, 2, 3, 0) if scores[value] or value]
    return (
        Table("counts", "Mitotic figures per mm² in the hotspot", said, columns, rows, _histogram(densities)),
        Table(
            "scores",
            "Mitotic scores",
            said,
            ("mitotic score", "slides"),
            score_rows,
            [(str(value), many) for value, many in score_rows],
        ),
    )


def _histogram(values: Sequence[float]) -> list[tuple[str, float]]:
    """Classes of equal, round width from 0 up, and how many values lie in each."""
    if not values:
        return []
    width = next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if max(values) < step * _CLASSES)
    found = Counter(int(value // width) for value in values)
    return [(f"{index * width:g}", found[index]) for index in range(max(found) + 1)]


def _turnaround(slides: SlideQuerySet) -> Table:
    """Hours from upload to the first signature, by the week of the signature."""
    first = (
        Report.objects.filter(slide__in=slides).values("slide", "slide__uploaded_at").annotate(signed=Min("signed_at"))
    )
    hours: dict[date, list[float]] = {}
    for row in first:
        signed: datetime = row["signed"]
        week = date.fromisocalendar(*signed.isocalendar()[:2], 1)
        hours.setdefault(week, []).append((signed - row["slide__uploaded_at"]).total_seconds() / 3600)
    rows = [(f"{week}", len(some), round(median(some), 1)) for week, some in sorted(hours.items())[-WEEKS:]]
    said = "From upload to the first signed report, the median of each week; weeks begin on Monday."
    columns = ("week of", "slides signed", "median hours")
    return Table("turnaround", "Turnaround, hours", said, columns, rows, [(week, value) for week, _, value in rows])


def _agreement(slides: SlideQuerySet) -> Table:
    """Of every two readers, and of each with the AI."""
    said = verdicts_of(slides, settings.DEFAULT_MIN_SCORE)
    slide_of = dict(Figure.objects.filter(slide__in=slides).values_list("pk", "slide"))
    pairs = pairs_of(said, slide_of)
    rows = [
        (
            *(pair.first, pair.second, pair.figures, rounded(pair.agreed), rounded(pair.kappa), pair.slides),
            *(round(pair.difference, 2), *(rounded(limit) for limit in pair.limits or (None, None))),
        )
        for pair in pairs
    ]
    people, figures, kappa = fleiss_of(said)
    all_of_them = (
        "" if kappa is None else f" All {people} readers together on {figures} figures: Fleiss' kappa {kappa:.2f}."
    )
    about = (
        "Of figures that both have judged, mitotic or not; the AI by its threshold. Counts are of mitotic figures a "
        f"slide, first less second, with limits of agreement (Bland and Altman).{all_of_them}"
    )
    columns = ("first", "second", "figures", "agreement", "Cohen's kappa", "slides", "mean difference", "low", "high")
    bars = [(f"{pair.first}, {pair.second}", max(pair.kappa, 0.0)) for pair in pairs if pair.kappa is not None]
    return Table("agreement", "Agreement of readers, Cohen's kappa", about, columns, rows, bars)


def _drift(slides: SlideQuerySet) -> tuple[list[Table], list[str]]:
    """Mean confidence of what was found, and the share of it that readers rejected, by week and scanner."""
    threshold = settings.DEFAULT_MIN_SCORE
    newest = newest_run(OuterRef("run__slide"))
    found = Candidate.objects.filter(run__slide__in=slides, run=Subquery(newest), score__gte=threshold, evaluable=True)
    weekly = (
        found.annotate(week=TruncWeek("run__created_at"), scanner=F("run__slide__scanner"))
        .values("week", "scanner")
        .order_by("week", "scanner")
        .annotate(
            found=Count("pk"),
            mean=Avg("score"),
            judged=Count("pk", filter=Q(figure__isnull=False) & ~Q(figure__label=Label.OPEN)),
            rejected=Count("pk", filter=Q(figure__label=Label.NON_MITOTIC)),
        )
    )
    last: list[dict[str, Any]] = [dict(one) for one in weekly][-WEEKS * 10 :]
    rows = [
        (
            *(f"{one['week']:%Y-%m-%d}", one["scanner"] or "not known", one["found"], round(one["mean"], 3)),
            *(one["judged"], one["rejected"], round(one["rejected"] / one["judged"], 3) if one["judged"] else None),
        )
        for one in last
    ]
    columns = ("week of", "scanner", "candidates", "mean confidence", "judged", "rejected", "share rejected")
    about = f"Candidates from confidence {threshold:g}, by the week of their detection and the scanner of the slide."
    bars = [(f"{row[0]} {row[1]}", row[3]) for row in rows]
    rejected = [(f"{row[0]} {row[1]}", row[6]) for row in rows if row[6] is not None]
    warnings = [sentence for scanner in sorted({row[1] for row in rows}) for sentence in _warnings(scanner, last)]
    return [
        Table("confidence", "Mean confidence", about, columns, rows, bars),
        Table("rejected", "Share of judged candidates that readers rejected", about, columns, rows, rejected),
    ], warnings


def _warnings(scanner: str, weekly: Sequence[dict[str, Any]]) -> list[str]:
    """Where the newest week of a scanner is unlike those before it."""
    own = [one for one in weekly if (one["scanner"] or "not known") == scanner]
    if len(own) < 2:
        return []
    *before, now = own
    sentences = []
    found = sum(one["found"] for one in before)
    if min(found, now["found"]) >= _ENOUGH_FOUND:
        mean = sum(one["mean"] * one["found"] for one in before) / found
        if abs(now["mean"] - mean) > _SHIFT:
            sentences.append(
                f"Scanner {scanner}: the mean confidence is {now['mean']:.2f} in the week of {now['week']:%Y-%m-%d}, "
                f"{mean:.2f} before."
            )
    judged, rejected = sum(one["judged"] for one in before), sum(one["rejected"] for one in before)
    if min(judged, now["judged"]) >= _ENOUGH_JUDGED:
        (low, high), (was_low, was_high) = (
            wilson_interval(*pair) for pair in ((now["rejected"], now["judged"]), (rejected, judged))
        )
        if low > was_high or high < was_low:
            sentences.append(
                f"Scanner {scanner}: readers rejected {now['rejected'] / now['judged']:.0%} of what was judged in the "
                f"week of {now['week']:%Y-%m-%d}, {rejected / judged:.0%} before; the 95 % intervals do not meet."
            )
    return sentences
