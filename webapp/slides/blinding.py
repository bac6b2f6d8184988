"""Who may judge a slide now, by how its study is read; and what is not done on a blinded reader's copy of one."""

from __future__ import annotations

from django.contrib.auth.models import User

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError, NotAllowed
from webapp.slides.models import Reading, Slide, Study


def refusal(slide: Slide, by: User) -> DomainError | None:
    """Why a person with the right to judge may not judge this slide now. slide: with case and study."""
    if slide.original_id is not None:
        own = Reading.objects.filter(copy=slide).first()
        if own is None or own.done_at is not None:
            return DomainError(
                "You are done with this slide; your verdicts stand until the other readers are done too."
            )
        return None if own.reader_id == by.pk else NotAllowed("This is another person's blinded reading.")
    study = slide.case.study
    states = list(slide.readings.values_list("over_at", flat=True))
    if None in states:
        return DomainError("This slide is being read blinded; it is judged again when all its readers are done.")
    if study.reading == Study.ReadingMode.BLINDED and not states:
        return DomainError(
            "In this study a slide is read blinded by two or more readers. A manager chooses them on the page Readings "
            "of the study; each then judges on a copy of their own."
        )
    if study.reading == Study.ReadingMode.ONE and slide.reader_id not in {None, by.pk}:
        return NotAllowed(
            "In this study one reader judges a slide, and this one is another person's to read. Whoever shall read it "
            "instead is chosen in the worklist."
        )
    return None


def demand_reader(slide: Slide, by: User) -> None:
    """Raise where a person may not judge this slide now. slide: locked, with case and study.

    In a study of one reader, who judges a slide first is its reader from then on.
    """
    if (refused := refusal(slide, by)) is not None:
        raise refused
    own = slide.original_id is not None or slide.reader_id is not None
    if slide.case.study.reading == Study.ReadingMode.ONE and not own:
        Slide.objects.filter(pk=slide.pk).update(reader=by)
        record(Action.SLIDE_ASSIGNED, slide, who=by, before={"reader": None}, after={"reader": by.get_username()})


def demand_own(slide: Slide) -> None:
    """Raise for a copy that is read blinded: what belongs to the slide is done on the slide itself, before or after."""
    if slide.original_id is not None:
        raise DomainError(
            "This is your own copy of the slide, which you read blinded: verdicts are all that is given here. The rest "
            "is done on the slide, before it is read or when all readers are done."
        )


def demand_unread(slide: Slide) -> None:
    """Raise where a slide, or a copy of it, is being read blinded."""
    demand_own(slide)
    if slide.readings.filter(over_at=None).exists():
        raise DomainError("This slide is being read blinded; this is done when all its readers are done.")
