"""Retraining: cost of a mining run, precision of its samples, labels made here, the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from webapp.annotations.models import Figure, Label, Verdict
from webapp.jobs.models import Shard
from webapp.jobs.selectors import with_their_job
from webapp.jobs.states import State
from webapp.jobs.stored import ShardFacts
from webapp.registry.models import ModelVersion
from webapp.results.wilson import wilson_interval
from webapp.retraining.models import LockedCase, MinedSample, MinedSlide, MiningRun
from webapp.retraining.provenance import sources_of
from webapp.slides.models import Reading, Slide, SlideQuerySet, Study

TO_JUDGE = 50  # mined samples drawn by chance, of which a person says what they are
FIT_PRECISION = 0.8  # fit to learn from where the whole interval lies above it, unfit where it lies below
_LAST = 50  # pieces of work from which a speed is measured


@dataclass(frozen=True)
class Precision:
    """Share of mitotic figures in the random draw, with its 95 % interval. fit: None where undecided."""

    judged: int
    mitotic: int
    of: int
    value: float | None
    interval: tuple[float, float]
    fit: bool | None
    sentence: str


@dataclass(frozen=True)
class Estimate:
    """Cost of a mining run. seconds: None where no speed was measured yet. rests_on: the measurements, in words."""

    slides: int
    tissue_mm2: float
    seconds: float | None
    rests_on: str


def slides_unlabelled(*, study: Study | None = None) -> SlideQuerySet:
    """Slides that can be mined, of a study or of all: ready, without verdicts, case not locked."""
    judged = Figure.objects.filter(slide=OuterRef("pk")).exclude(label=Label.OPEN)
    ready = Slide.objects.get_queryset().filter(state=Slide.State.READY, mpp_x__isnull=False)
    if study is not None:
        ready = ready.filter(case__study=study)
    return (
        ready.exclude(Exists(judged))
        .exclude(pk__in=Reading.objects.filter(over_at=None).values("slide"))  # which people judge at this time
        .exclude(case__identifier__in=LockedCase.objects.values("name"))
        .select_related("case__study")
        .order_by("name", "pk")
    )


@dataclass(frozen=True)
class LocalLabels:
    """Verdicts on slides: labels that a training may use."""

    mitotic: int
    non_mitotic: int
    slides: int
    people: int


def local_labels() -> LocalLabels:
    """Counts of the verdicts that hold."""
    figures = Figure.objects.filter(label__in=[Label.MITOTIC, Label.NON_MITOTIC], slide__original=None)
    counts = figures.aggregate(
        mitotic=Count("pk", filter=Q(label=Label.MITOTIC)), slides=Count("slide", distinct=True), all=Count("pk")
    )
    people = Verdict.objects.filter(figure__in=figures).values("by").distinct().count()
    return LocalLabels(counts["mitotic"], counts["all"] - counts["mitotic"], counts["slides"], people)


def estimate_of(*, slides: Sequence[Slide]) -> Estimate:
    """From the tissue of the slides and the speed at which slides were mined, else detected, on this installation."""
    mm2 = sum(slide.tissue_mm2 or 0.0 for slide in slides)
    mined = MinedSlide.objects.filter(seconds__gt=0).select_related("slide").order_by("-pk")[:_LAST]
    rates = [one.slide.tissue_mm2 / one.seconds for one in mined if one.slide.tissue_mm2 and one.seconds]
    rests_on = f"the {len(rates)} slides mined last"
    if not rates:
        shards = Shard.objects.filter(state=State.SUCCEEDED, job__kind="detect", facts__has_key="seconds")
        done = shards.select_related("job__slide").defer("result").order_by("-pk")[:_LAST]
        rates = [
            shard.job.slide.tissue_mm2 / seconds / shard.job.shards.count()
            for shard in done
            if shard.job.slide and shard.job.slide.tissue_mm2 and (seconds := ShardFacts.from_json(shard.facts).seconds)
        ]
        rests_on = f"the {len(rates)} detections made last"
    if not rates:
        return Estimate(len(slides), mm2, None, "nothing: no slide was mined or detected here yet")
    return Estimate(len(slides), mm2, mm2 / median(rates), rests_on)


def samples_to_judge(*, run: MiningRun) -> QuerySet[MinedSample]:
    """The random draw, in its order, of the samples that no rule (slide or confidence) has rejected.

    Samples rejected one by one stay in it: without them the precision would be too high (selection bias).
    """
    return _drawn(run.samples.select_related("slide"))


def mining_runs_shown() -> QuerySet[MiningRun]:
    """Mining runs as lists show them, newest first: with job, model, `sample_count`, and `drawn`, those to judge."""
    counted = MiningRun.objects.select_related("model").annotate(sample_count=Count("samples"))
    runs = with_their_job(counted.order_by("-at"))  # grouping drops the model's own order
    drawn = _drawn(MinedSample.objects.only("run", "verdict", "draw"))
    return runs.prefetch_related(Prefetch("samples", drawn, to_attr="drawn"))


def _drawn(samples: QuerySet[MinedSample]) -> QuerySet[MinedSample]:
    return samples.exclude(rejected__in=MinedSample.BY_RULE).order_by("draw")[:TO_JUDGE]


def precision_of(*, run: MiningRun) -> Precision:
    """The precision of a mining run."""
    return precision_among(drawn=list(samples_to_judge(run=run)))


def precision_among(*, drawn: Sequence[MinedSample]) -> Precision:
    """The precision among the samples of the random draw. An unsure sample counts as non-mitotic."""
    judged = [sample for sample in drawn if sample.verdict != Label.OPEN]
    mitotic = sum(sample.verdict == Label.MITOTIC for sample in judged)
    low, high = wilson_interval(mitotic, len(judged))
    value = mitotic / len(judged) if judged else None
    fit = True if low >= FIT_PRECISION else False if high < FIT_PRECISION else None
    if not drawn:
        sentence = "nothing was mined."
    elif value is None:
        sentence = f"nobody has judged any of the {len(drawn)} samples drawn by chance."
    else:
        words = {
            True: "fit to learn from",
            False: "not fit to learn from; mine with a higher agreement, or reject by score",
            None: "not known yet to be fit; judge more of the samples drawn by chance",
        }
        sentence = (
            f"precision {value:.2f} [{low:.2f}, {high:.2f}] of {len(judged)} judged: {words[fit]} "
            f"(the interval is held against {FIT_PRECISION})."
        )
    return Precision(len(judged), mitotic, len(drawn), value, (low, high), fit if judged else None, sentence)


def model_card(*, version: ModelVersion) -> dict[str, Any]:
    """The model card with everything on record about a version, ready for JSON; made anew at every call."""
    sources = sources_of(version=version)
    training = sources.training
    judgements = version.judgements.select_related("active").exclude(result=None)
    return {
        "name": version.name,
        "state": version.state,
        "sha256": version.sha256,
        "made": version.created_at.isoformat(),
        "use": "Research use only. Mitotic-figure candidates on H&E at 0.25 um/px; a person decides.",
        "parent": {"name": sources.parent.name, "sha256": sources.parent.sha256} if sources.parent else None,
        "recipe": version.card,
        "training": {
            "id": str(training.pk),
            "asked_by": training.job.requested_by.get_username() if training.job.requested_by else None,
            "at": training.at.isoformat(),
            "plan": training.plan,
            "manifest_sha256": training.manifest_sha256,
            "sets": training.manifest["sets"],
            "slides": [asdict(slide) for slide in sources.slides],
            "people": [person.get_username() for person in sources.people],
            "cases": {part: training.manifest[part] for part in ("train", "validation", "test")},
            "figures": len(training.manifest["figures"]),
            "mined_samples": len(training.manifest["mined"]),
            "warnings": training.warnings,
        }
        if training
        else None,
        "judgements": [
            {"at": one.at.isoformat(), "against": one.active.name, "cases": one.cases, "verdict": one.verdict,
             "why": one.why, "result": {k: v for k, v in (one.result or {}).items() if k != "differences"}}
            for one in judgements
        ],
        "promotions": [
            {"at": one.at.isoformat(), "by": one.by.get_username() if one.by else None, "reason": one.reason,
             "replaced": one.replaced.name if one.replaced else None}
            for one in version.promotions.select_related("by", "replaced")
        ],
        "runs": version.runs.count(),
    }  # fmt: skip
