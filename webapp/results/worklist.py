"""What needs a reader: slides to read, waiting ones, those that ask for something, those that are read."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, TextChoices

from webapp.annotations.models import Candidate, Figure, Label, Run
from webapp.jobs.models import Job
from webapp.jobs.states import OPEN
from webapp.slides.models import Slide, Viewer


class Group(TextChoices):
    """Every slide is in one of the last four; open are all but those that are read; mine: to read, and by me."""

    MINE = "mine", "Mine to read"
    OPEN_ONES = "open", "Open"
    TO_READ = "to-read", "To read"
    WAITING = "waiting", "Waiting for detection"
    ASKING = "asking", "Asking for you"
    READ = "read", "Read"


_UNREADABLE = (Slide.State.NEEDS_MPP, Slide.State.REFUSED)


def in_group(slides: QuerySet[Slide], group: Group, *, user: Viewer, min_score: float) -> QuerySet[Slide]:
    """The slides of a group.

    To read: detected, and nobody has judged some candidate at or above the threshold, or anything at all. Read:
    detected, and all are judged. Waiting: being prepared, or with a job that has not ended. Asking: nothing will happen
    without a person, as um/px is missing, the file was refused, detection failed or nobody asked for it.
    """
    newest = Run.objects.filter(slide=OuterRef("pk")).order_by("-created_at").values("pk")[:1]
    slides = slides.alias(
        newest=Subquery(newest), at_work=Exists(Job.objects.filter(slide=OuterRef("pk"), state__in=OPEN))
    )
    open_ones = Candidate.objects.filter(Q(figure=None) | Q(figure__label=Label.OPEN), score__gte=min_score)
    judged = Figure.objects.filter(slide=OuterRef("pk")).exclude(label=Label.OPEN)
    slides = slides.alias(unread=Exists(open_ones.filter(run=OuterRef("newest"))) | ~Exists(judged))
    waiting = Q(state=Slide.State.PREPARING) | Q(at_work=True, newest=None)
    asking = ~waiting & (Q(state__in=_UNREADABLE) | Q(newest=None))
    read = ~waiting & ~asking & Q(unread=False)
    to_read = ~waiting & ~asking & Q(unread=True)
    wanted = {
        Group.MINE: to_read & Q(reader=user.pk),
        Group.OPEN_ONES: ~read,
        Group.WAITING: waiting,
        Group.ASKING: asking,
        Group.TO_READ: to_read,
        Group.READ: read,
    }
    return slides.filter(wanted[group])


def groups(slides: QuerySet[Slide], *, user: Viewer, min_score: float) -> dict[Group, int]:
    """How many slides are in each group."""
    return {group: in_group(slides, group, user=user, min_score=min_score).count() for group in Group}


def reading_progress(slides: list[Slide], *, min_score: float) -> dict[UUID, tuple[int, int]]:
    """Of each slide with a run: how many candidates at or above the threshold somebody has judged, and of how many."""
    newest = Run.objects.filter(slide=OuterRef("slide")).order_by("-created_at").values("pk")[:1]
    shown = Q(candidates__score__gte=min_score)
    judged = shown & Q(candidates__figure__isnull=False) & ~Q(candidates__figure__label=Label.OPEN)
    runs = Run.objects.filter(slide__in=slides, pk=Subquery(newest))
    counted = runs.annotate(judged=Count("candidates", filter=judged), of=Count("candidates", filter=shown))
    return {slide: (judged, of) for slide, judged, of in counted.values_list("slide_id", "judged", "of")}
