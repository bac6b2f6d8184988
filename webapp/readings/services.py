"""Blinded readings: begun, done, and brought together.

Each reader judges on a copy of the slide: its own figures, count and screening, by the same pages and calls. When all
are done their verdicts come onto the slide. What they agree on holds there; what they do not is listed, and settled by
somebody else or by them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from webapp.annotations.models import Figure, Label, Run, Verdict
from webapp.annotations.selectors import run_current
from webapp.annotations.services import annotations_copy, figures_bring_together
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput, NotAllowed
from webapp.readings.together import RaterVerdicts, brought_together
from webapp.readings.types import ReadFigure, ReadingResult
from webapp.results.count import values_of
from webapp.results.inputs import CountInputs, count_inputs
from webapp.results.question import question
from webapp.screening.models import Screening
from webapp.slides.blinding import demand_own
from webapp.slides.models import Reading, Slide
from webapp.slides.roles import Right, demand_on, may

MOST_READERS, MOST_WASH_OUT = 20, 365  # days


def readings_begin(
    *,
    slides: Sequence[Slide],
    readers: Sequence[User],
    by: User,
    rounds: Sequence[bool],
    wash_out_days: int = 0,
    shuffled: bool = False,
) -> list[Reading]:
    """Have slides read blinded by these people, each on a copy of their own. For managers; all slides or none.

    rounds: of each reading of a slide by one person, whether the detector's candidates are shown; from the second on it
    opens `wash_out_days` after the one before was done. shuffled: each reader has the slides in a random order of their
    own, in each round another one.
    """
    if not 2 <= len({reader.pk for reader in readers}) == len(readers) <= MOST_READERS:
        raise InvalidInput(f"A slide is read blinded by 2 to {MOST_READERS} different readers; choose them.")
    if not slides or not rounds or not 0 <= wash_out_days <= MOST_WASH_OUT:
        raise InvalidInput(f"Choose slides, and a wash-out of 0 to {MOST_WASH_OUT} days.")
    with transaction.atomic():
        locked = [_lock_to_begin(slide, readers, by) for slide in slides]
        readings = []
        for reader in readers:
            for number, shows in enumerate(rounds, 1):
                order = list(locked)
                if shuffled:
                    Random().shuffle(order)  # noqa: S311  # an order, no secret
                readings += [
                    Reading(slide=slide, reader=reader, round=number, place=place, shows_candidates=shows)
                    for place, slide in enumerate(order, 1)
                ]
        for one in readings:
            one.wash_out_days = wash_out_days if one.round > 1 else 0
            one.opens_at = None if one.round > 1 else timezone.now()
        Reading.objects.bulk_create(readings)
        for slide in locked:
            names = sorted(reader.get_username() for reader in readers)
            record(Action.READING, slide, who=by, after={"readers": names, "rounds": len(rounds)})
        for one in readings:
            if one.round == 1:
                _copy_make(one)
    return readings


def reading_open(*, reading: Reading) -> Slide:
    """The copy of a reading that has come to its turn, made where there is none yet."""
    with transaction.atomic():
        lock_row(Slide, reading.slide_id)  # before the reading, as others do
        reading = lock_row(Reading, reading.pk, "copy", "slide")
        if reading.done_at is not None:
            raise DomainError("You are done with this slide.")
        if reading.opens_at is None or reading.opens_at > timezone.now():
            when = f"on {reading.opens_at:%Y-%m-%d}" if reading.opens_at else "some days after you have read it once"
            raise DomainError(f"This reading opens {when}.")
        return reading.copy if reading.copy is not None else _copy_make(reading)


def reading_finish(*, copy: Slide, by: User) -> Reading:
    """The reader is done with a slide: verdicts stand. When all readers are done they come together."""
    with transaction.atomic():
        found = Reading.objects.filter(copy=copy).first()
        if found is None:
            raise DomainError("This slide is not being read blinded.")
        lock_row(Slide, found.slide_id)  # two readers who are done at once
        reading = lock_row(Reading, found.pk, "copy__case__study", "slide", "reader")
        if reading.reader_id != by.pk:
            raise NotAllowed("This is another person's blinded reading.")
        if reading.done_at is not None:
            return reading
        _finish(reading, whole=True)
        record(Action.READING, reading.slide, who=by, after={"done": by.get_username(), "round": reading.round})
        later = Reading.objects.filter(slide=reading.slide, reader=by, round=reading.round + 1)
        if following := later.first():
            following.opens_at = timezone.now() + timedelta(days=following.wash_out_days)
            following.save(update_fields=["opens_at"])
            _copy_drop(reading)  # so that nothing of it is seen in the next round
        if not Reading.objects.filter(slide=reading.slide, done_at=None).exists():
            _bring_together(reading.slide)
    return reading


def readings_end(*, slide: Slide, by: User) -> None:
    """End the readings of a slide now; what has been judged comes together. For managers."""
    demand_on(Right.MANAGE, slide, by)
    demand_own(slide)
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk)
        unfinished = Reading.objects.filter(slide=slide, over_at=None)
        if not unfinished.exists():
            raise DomainError("This slide is not being read blinded.")
        unfinished.filter(done_at=None, copy=None).delete()  # not begun
        for reading in unfinished.filter(done_at=None).select_related("copy__case__study"):
            _finish(reading, whole=False)
        record(Action.READING, slide, who=by, after={"ended": True})
        _bring_together(slide)


def _lock_to_begin(slide: Slide, readers: Iterable[User], by: User) -> Slide:
    """The slide, locked, of which nothing is in the way of blinded readings."""
    demand_on(Right.MANAGE, slide, by)
    demand_own(slide)
    slide = lock_row(Slide, slide.pk, "case__study")
    for reader in readers:
        if not may(Right.JUDGE, user=reader, study=slide.case.study_id):
            raise InvalidInput(f"{reader.get_username()} may not judge in the study of {slide.name}.")
    _newest(slide)
    if slide.readings.exists():
        raise DomainError(f"{slide.name} is being read blinded already, or has been.")
    if Figure.objects.filter(slide=slide, version__gt=0).exists():
        raise DomainError(f"{slide.name} has verdicts already, which its readers have seen or can see.")
    return slide


def _newest(slide: Slide) -> Run:
    """The run that is read. Raises DomainError where there is none."""
    run = run_current(slide=slide)
    if slide.state != Slide.State.READY or run is None:
        raise DomainError(f"{slide.name}: mitoses are detected first, then it can be read.")
    return run


def _copy_make(reading: Reading) -> Slide:
    """The reader's copy of the slide: its regions as they are, and its newest run with candidates or without."""
    slide = reading.slide
    copy = Slide.objects.get(pk=slide.pk)
    copy.pk, copy._state.adding = None, True
    copy.id = Slide._meta.pk.get_default()
    copy.original, copy.reader, copy.number, copy.bytes, copy.wants_detection = slide, reading.reader, None, 0, False
    copy.save()
    Slide._base_manager.filter(pk=copy.pk).update(uploaded_at=slide.uploaded_at)
    annotations_copy(run=_newest(slide), copy=copy, candidates=reading.shows_candidates)
    reading.copy = copy
    Reading.objects.filter(pk=reading.pk).update(copy=copy)
    return copy


def _copy_drop(reading: Reading) -> None:
    copy, reading.copy = reading.copy, None
    result = {**reading.result, "copy": str(copy.pk)} if copy is not None else reading.result
    Reading.objects.filter(pk=reading.pk).update(copy=None, result=result)
    if copy is not None:
        copy.delete()


def _finish(reading: Reading, *, whole: bool) -> None:
    """Keep what the reader has judged, with the values of it."""
    copy = reading.copy
    assert copy is not None, "only what was begun is finished"
    lock_row(Slide, copy.pk)  # no verdict comes meanwhile
    inputs = CountInputs.of(count_inputs(Run.objects.filter(slide=copy))[0])
    values = values_of(inputs, question(study=inputs.counting))
    mitotic, mm2 = values.judged.mitotic, values.tissue_mm2
    own = values.standing if values.reviewed or not reading.shows_candidates else None  # else it is the detector's
    result: ReadingResult = {
        "whole": whole,
        "count": mitotic,
        "count_per_mm2": mitotic / mm2 if mm2 else None,
        "score": own.score.value if own and own.score else None,
        "figures": _figures_of(copy),
    }
    reading.result, reading.done_at = dict(result), timezone.now()
    reading.save(update_fields=["result", "done_at"])


def _figures_of(copy: Slide) -> list[ReadFigure]:
    last = Verdict.objects.filter(figure__slide=copy, version=F("figure__version"))
    at = dict(last.values_list("figure", "at"))
    best_of = dict(Figure.objects.filter(slide=copy).annotate(best=Max("candidates__score")).values_list("pk", "best"))
    figures = Figure.objects.filter(slide=copy).exclude(label=Label.OPEN).order_by("y", "x")
    return [
        {
            "x": one.x,
            "y": one.y,
            "label": one.label,
            "added": one.added,
            "screened": one.screened,
            "shown": (best_of[one.pk] or 0.0) >= settings.DEFAULT_MIN_SCORE,
            "at": at[one.pk].isoformat(),
            "atypical": one.atypical,
        }
        for one in figures
    ]


def _bring_together(slide: Slide) -> None:
    """Put the verdicts of each reader's last round onto the slide, with what was screened; the copies go."""
    readings = list(Reading.objects.filter(slide=slide, over_at=None).select_related("reader", "copy"))
    last = {one.reader_id: one for one in sorted(readings, key=lambda one: one.round)}
    of_round = sorted(last.values(), key=lambda one: one.reader.get_username())
    said = [RaterVerdicts.of(one) for one in of_round]
    figures_bring_together(slide=slide, figures=brought_together(slide, said))
    for one in of_round:
        if not Screening.objects.filter(slide=slide, reader=one.reader).exists():
            Screening.objects.filter(slide=one.copy, reader=one.reader).update(slide=slide)
    Reading.objects.filter(pk__in=[one.pk for one in readings]).update(over_at=timezone.now())
    for one in readings:
        _copy_drop(one)
