"""Locked cases to compare on: imported frames, and slides that people read to the end here; what is left out, why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Exists, OuterRef, QuerySet

from webapp.annotations.models import Figure, Label, Verdict
from webapp.results.worklist import Group, in_group
from webapp.retraining.models import LabelledFrame, LockedCase, MitosisFreeSlide
from webapp.retraining.provenance import removed_now
from webapp.slides.models import Slide

_JUDGED = [Label.MITOTIC, Label.NON_MITOTIC]


@dataclass(frozen=True)
class LockedMaterial:
    """What a comparison is made on. imported: names of cases with exhaustively labelled frames. slides: those read to
    the end, with their case. left_out: of cases that take no part, or with a part of their slides, why."""

    imported: list[str]
    slides: list[Slide]
    left_out: dict[str, str]

    @property
    def cases(self) -> list[str]:
        """Names of the cases that take part."""
        return sorted({*self.imported, *(slide.case.identifier for slide in self.slides)})


def locked_material() -> LockedMaterial:
    """Of all locked cases. Slides marked as mitosis-free are compared on as such, and not told of here."""
    removed = removed_now()
    locked = LockedCase.objects.values("name")
    frames = LabelledFrame.objects.filter(case__in=locked, exhaustive=True).exclude(labelled_set__in=removed.sets)
    imported = sorted(frames.order_by("case").values_list("case", flat=True).distinct())
    free = MitosisFreeSlide.objects.values("slide")
    slides = Slide.objects.filter(case__identifier__in=locked).exclude(state=Slide.State.REFUSED)
    own = slides.exclude(pk__in=free)
    read = list(slides_read(own).select_related("case").order_by("case__identifier", "name", "pk"))
    total = Counter(own.values_list("case__identifier", flat=True))
    done = Counter(slide.case.identifier for slide in read)
    of_free = set(slides.filter(pk__in=free).values_list("case__identifier", flat=True))
    gone = Counter(own.filter(pk__in=removed.slides).values_list("case__identifier", flat=True))
    left_out = {}
    for name in LockedCase.objects.values_list("name", flat=True):
        unread = {"not read to the end": total[name] - done[name] - gone[name], "removed from training": gone[name]}
        if why := [f"{number} of {total[name]} slides {words}" for words, number in unread.items() if number]:
            left_out[name] = ", ".join(why)
        elif name not in imported and not total[name] and name not in of_free:
            left_out[name] = "no exhaustively labelled frame and no slide"
    return LockedMaterial(imported, read, left_out)


def slides_read(slides: QuerySet[Slide]) -> QuerySet[Slide]:
    """Those read to the end: every candidate at or above the default threshold, by the newest run, has a verdict, and
    some figure is called mitotic or not. Without what has been removed from training."""
    removed = removed_now()
    ready = slides.filter(state=Slide.State.READY, mpp_x__isnull=False).exclude(pk__in=removed.slides)
    read = in_group(ready, Group.READ, user=AnonymousUser(), min_score=settings.DEFAULT_MIN_SCORE)
    judged = Figure.objects.filter(slide=OuterRef("pk"), label__in=_JUDGED)
    by_removed = Verdict.objects.filter(figure__slide=OuterRef("pk"), by__in=removed.people)
    return read.filter(Exists(judged), ~Exists(by_removed))


@dataclass(frozen=True)
class LockableCase:
    """A case with slides on which people have judged figures. read: slides that are read to the end."""

    case: str
    slides: int
    read: int
    lock: LockedCase | None


def cases_lockable(*, most: int) -> list[LockableCase]:
    """Cases reviewed here, the first by name, to be locked and compared on."""
    figures = Figure.objects.filter(slide=OuterRef("pk"), label__in=_JUDGED)
    judged = Slide.objects.filter(Exists(figures), state=Slide.State.READY)
    names = list(judged.order_by("case__identifier").values_list("case__identifier", flat=True).distinct()[:most])
    slides = Slide.objects.filter(case__identifier__in=names).exclude(state=Slide.State.REFUSED).order_by()
    total = dict(slides.values_list("case__identifier").annotate(n=Count("pk")))
    keys: set[UUID] = set(slides_read(slides).values_list("pk", flat=True))
    read = dict(slides.filter(pk__in=keys).values_list("case__identifier").annotate(n=Count("pk")))
    locked = {case.name: case for case in LockedCase.objects.filter(name__in=names)}
    return [LockableCase(name, total[name], read.get(name, 0), locked.get(name)) for name in names]
