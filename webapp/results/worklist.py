"""What needs a reader: slides to read, waiting ones, those that ask for something, those that are read."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextChoices,
    When,
)
from django.db.models import Value as Constant

from webapp.annotations.models import Candidate, Figure, Label, Region, Run, Verdict
from webapp.annotations.selectors import newest_run
from webapp.jobs.models import Job
from webapp.jobs.states import OPEN, State
from webapp.results.count import values_of
from webapp.results.inputs import CountInputs, count_inputs
from webapp.results.question import question
from webapp.results.types import Review, Value
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

    To read: detected, not signed, and nobody has judged some candidate on the evaluable area at or above the threshold,
    or anything at all.
    Read: detected, and signed since, or all are judged. Waiting: being prepared, or with a job that has not ended.
    Asking: nothing will happen without a person, as um/px is missing, the file was refused, detection failed or nobody
    asked for it.
    """
    slide = OuterRef("pk")
    has_report = Exists(Slide.objects.filter(pk=slide, reports__isnull=False))
    undetected = ~Exists(Run.objects.filter(slide=slide))
    at_work = Exists(Job.objects.filter(slide=slide, state__in=OPEN))
    judged = Exists(Figure.objects.filter(slide=slide).exclude(label=Label.OPEN))
    newest = newest_run(OuterRef(slide))
    unjudged = Candidate.objects.filter(
        Q(figure=None) | Q(figure__label=Label.OPEN), score__gte=min_score, evaluable=True
    )
    return Case(
        When(Q(state=Slide.State.PREPARING) | Q(undetected & at_work), then=Constant(Group.WAITING)),
        When(Q(state__in=_UNREADABLE) | Q(undetected), then=Constant(Group.ASKING)),
        When(Q(has_report) & Q(is_signed()), then=Constant(Group.READ)),  # few have one, and is_signed looks at much
        When(~judged | Exists(unjudged.filter(run=Subquery(newest))), then=Constant(Group.TO_READ)),
        default=Constant(Group.READ),
        output_field=CharField(),
    )


def next_to_read(*, user: Viewer, after: Slide) -> Slide | None:
    """The slide that a reader opens next: one of their own first, in the order of the worklist."""
    slides = Slide.objects.visible_to(user).exclude(pk=after.pk).order_by("-uploaded_at")
    for group in (Group.MINE, Group.TO_READ):
        found: Slide | None = in_group(slides, group, user=user, min_score=settings.DEFAULT_MIN_SCORE).first()
        if found is not None:
            return found
    return None


def is_signed() -> Exists:
    """Whether the newest report of a slide holds: of its newest run and its um/px, and younger than all verdicts and
    regions. (What an old report does not say of itself, is taken to be so.)"""
    newest = Run.objects.filter(slide=OuterRef("pk")).order_by("-created_at")[:1]
    later = Verdict.objects.filter(figure__slide=OuterRef("pk"), at__gt=OuterRef("signed"))
    regions = Region.objects.filter(slide=OuterRef("pk"))
    redrawn = regions.filter(Q(at__gt=OuterRef("signed")) | Q(ended_at__gt=OuterRef("signed")))
    report = Slide.objects.filter(pk=OuterRef("pk")).order_by("-reports__signed_at")
    signed = Slide.objects.filter(pk=OuterRef("pk")).alias(
        signed=Subquery(report.values("reports__signed_at")[:1]),
        of_run=Subquery(report.values("reports__of_run")[:1]),
        of_mpp=Subquery(report.values("reports__of_mpp")[:1]),
    )
    same_run = Q(of_run=None) | Q(of_run=Subquery(newest.values("pk")))
    same_mpp = Q(of_mpp=None) | Q(of_mpp=F("mpp_x"))
    current = signed.filter(same_run, same_mpp, signed__gte=Subquery(newest.values("created_at")))
    return Exists(current.filter(~Exists(later), ~Exists(redrawn)))


@dataclass(frozen=True)
class WorklistRow:
    """A slide in a list. value: that stands, of the newest run, of evaluable_mm2, and its review; None before it.

    job: under way on it. failed: its newest failed detection, where nothing is found yet. judged, of: candidates on the
    evaluable area at or above the threshold with a verdict, and all. signed: since its newest run. readers: names of
    whom it may be given to.
    """

    slide: Slide
    value: Value | None
    evaluable_mm2: float | None
    job: Job | None
    failed: Job | None
    judged: int
    of: int
    review: Review | None
    signed: bool
    readers: list[str]


def worklist_rows(*, slides: list[Slide], user: Viewer, min_score: float) -> list[WorklistRow]:
    """A row for each slide."""
    newest = newest_run(OuterRef("slide"))
    runs = count_inputs(Run.objects.filter(slide__in=slides, pk=Subquery(newest)))
    values = {
        inputs.slide: values_of(inputs, question(min_score=min_score, study=inputs.counting))
        for inputs in map(CountInputs.of, runs)
    }
    at_work = Job.objects.filter(slide__in=slides, state__in=OPEN).with_progress().order_by("-created_at")
    jobs = {job.slide_id: job for job in at_work}
    failed = {
        job.slide_id: job
        for job in Job.objects.filter(slide__in=slides, state=State.FAILED, run=None).order_by("created_at")
    }
    signed = set(Slide.objects.filter(is_signed(), pk__in=[slide.pk for slide in slides]).values_list("pk", flat=True))
    readers = readers_by_study(slides=slides, user=user)
    return [
        WorklistRow(
            slide=slide,
            value=value.standing if value else None,
            evaluable_mm2=value.tissue_mm2 if value else slide.tissue_mm2,
            job=jobs.get(slide.pk),
            failed=None if value else failed.get(slide.pk),
            judged=value.ai.count - value.judged.unseen if value else 0,
            of=value.ai.count if value else 0,
            review=value.review if value else None,
            signed=slide.pk in signed,
            readers=readers[slide.case.study_id],
        )
        for slide in slides
        for value in [values.get(slide.pk)]
    ]
