"""What needs a reader: slides to read, waiting ones, those that ask for something, those that are read."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Subquery, TextChoices, When
from django.db.models import Value as Constant

from webapp.annotations.models import Candidate, Figure, Label, Run
from webapp.jobs.models import Job
from webapp.jobs.states import OPEN, State
from webapp.results.count import values_of
from webapp.results.inputs import CountInputs, count_inputs
from webapp.results.question import question
from webapp.results.types import Value
from webapp.slides.models import Slide, Viewer
from webapp.slides.selectors import readers_by_study


class Group(TextChoices):
    """Every slide is in one of the last four; open are all but those that are read; mine: to read, and by me."""

    MINE = "mine", "Mine to read"
    OPEN_ONES = "open", "Open"
    TO_READ = "to-read", "To read"
    WAITING = "waiting", "Waiting for detection"
    ASKING = "asking", "Needs your input"
    READ = "read", "Read"


_UNREADABLE = (Slide.State.NEEDS_MPP, Slide.State.REFUSED)


def in_group(slides: QuerySet[Slide], group: Group, *, user: Viewer, min_score: float) -> QuerySet[Slide]:
    """The slides of a group."""
    wanted = {Group.MINE: Q(group=Group.TO_READ, reader=user.pk), Group.OPEN_ONES: ~Q(group=Group.READ)}
    return slides.alias(group=_group(min_score)).filter(wanted.get(group, Q(group=group)))


def groups(slides: QuerySet[Slide], *, user: Viewer, min_score: float) -> dict[Group, int]:
    """How many slides are in each group."""
    grouped = slides.order_by().annotate(group=_group(min_score)).values_list("group")
    counts = dict.fromkeys(Group, 0)
    for name, number, mine in grouped.annotate(n=Count("pk"), mine=Count("pk", filter=Q(reader=user.pk))):
        counts[Group(name)] = number
        counts[Group.MINE] += mine if name == Group.TO_READ else 0
        counts[Group.OPEN_ONES] += number if name != Group.READ else 0
    return counts


def _group(min_score: float) -> Case:
    """Which of the last four groups a slide is in.

    To read: detected, and nobody has judged some candidate at or above the threshold, or anything at all. Read:
    detected, and all are judged. Waiting: being prepared, or with a job that has not ended. Asking: nothing will happen
    without a person, as um/px is missing, the file was refused, detection failed or nobody asked for it.
    """
    slide = OuterRef("pk")
    undetected = ~Exists(Run.objects.filter(slide=slide))
    at_work = Exists(Job.objects.filter(slide=slide, state__in=OPEN))
    judged = Exists(Figure.objects.filter(slide=slide).exclude(label=Label.OPEN))
    newest = Run.objects.filter(slide=OuterRef(slide)).order_by("-created_at").values("pk")[:1]
    unjudged = Candidate.objects.filter(Q(figure=None) | Q(figure__label=Label.OPEN), score__gte=min_score)
    return Case(
        When(Q(state=Slide.State.PREPARING) | Q(undetected & at_work), then=Constant(Group.WAITING)),
        When(Q(state__in=_UNREADABLE) | Q(undetected), then=Constant(Group.ASKING)),
        When(~judged | Exists(unjudged.filter(run=Subquery(newest))), then=Constant(Group.TO_READ)),
        default=Constant(Group.READ),
        output_field=CharField(),
    )


def reading_progress(slides: list[Slide], *, min_score: float) -> dict[UUID, tuple[int, int]]:
    """Of each slide with a run: how many candidates at or above the threshold somebody has judged, and of how many."""
    newest = Run.objects.filter(slide=OuterRef("slide")).order_by("-created_at").values("pk")[:1]
    shown = Q(candidates__score__gte=min_score)
    judged = shown & Q(candidates__figure__isnull=False) & ~Q(candidates__figure__label=Label.OPEN)
    runs = Run.objects.filter(slide__in=slides, pk=Subquery(newest))
    counted = runs.annotate(judged=Count("candidates", filter=judged), of=Count("candidates", filter=shown))
    return {slide: (judged, of) for slide, judged, of in counted.values_list("slide_id", "judged", "of")}


@dataclass(frozen=True)
class WorklistRow:
    """A slide in a list. value: reviewed, by the newest run, of evaluable_mm2; None before it. job: under way on it.

    failed: its newest failed detection, where nothing is found yet. judged, of: see `reading_progress`. readers: names
    of whom it may be given to.
    """

    slide: Slide
    value: Value | None
    evaluable_mm2: float | None
    job: Job | None
    failed: Job | None
    judged: int
    of: int
    readers: list[str]


def worklist_rows(*, slides: list[Slide], user: Viewer, min_score: float) -> list[WorklistRow]:
    """A row for each slide."""
    newest = Run.objects.filter(slide=OuterRef("slide")).order_by("-created_at").values("pk")[:1]
    runs = count_inputs(Run.objects.filter(slide__in=slides, pk=Subquery(newest)))
    asked = question(min_score=min_score)
    values = {inputs.slide: values_of(inputs, asked) for inputs in map(CountInputs.of, runs)}
    at_work = Job.objects.filter(slide__in=slides, state__in=OPEN).with_progress().order_by("-created_at")
    jobs = {job.slide_id: job for job in at_work}
    failed = {
        job.slide_id: job
        for job in Job.objects.filter(slide__in=slides, state=State.FAILED, run=None).order_by("created_at")
    }
    progress = reading_progress(slides, min_score=min_score)
    readers = readers_by_study(slides=slides, user=user)
    return [
        WorklistRow(
            slide=slide,
            value=values[slide.pk].standing if slide.pk in values else None,
            evaluable_mm2=values[slide.pk].tissue_mm2 if slide.pk in values else slide.tissue_mm2,
            job=jobs.get(slide.pk),
            failed=failed.get(slide.pk) if slide.pk not in values else None,
            judged=judged,
            of=of,
            readers=readers[slide.case.study_id],
        )
        for slide in slides
        for judged, of in [progress.get(slide.pk, (0, 0))]
    ]
