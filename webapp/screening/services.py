"""Writing what a reader has seen."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput
from webapp.screening.grid import packed, unpacked
from webapp.screening.models import Screening
from webapp.screening.selectors import new_screening, screening_of
from webapp.slides.models import Slide

MOST_RUNS = 20_000  # of cells in one call


def cells_see(
    *, slide: Slide, reader: User, runs: Sequence[Sequence[int]], x: float | None = None, y: float | None = None
) -> Screening:
    """Keep that a reader has seen cells. runs: [row, first column, one after the last], each.

    x, y: level-0 px, where the reader is. The same cells again change nothing.
    """
    if slide.mpp is None:
        raise DomainError("The um/px of this slide is not known; enter it first, then it can be screened.")
    with transaction.atomic():
        lock_row(Slide, slide.pk)  # two tabs of one reader
        if (x is None) != (y is None) or (x is not None and y is not None and not _inside(slide, x, y)):
            raise InvalidInput("x and y are given together, and lie on the slide.")
        screening = screening_of(slide=slide, reader=reader)
        if screening is None:
            Screening.objects.filter(slide=slide, reader=reader).delete()  # of other um/px
            screening = new_screening(slide=slide, reader=reader)
            record(Action.SCREENING, slide, who=reader, after={"begun": True})
        cells = unpacked(bytes(screening.seen), screening.columns, screening.rows)
        for row, first, end in runs:
            if not (0 <= row < screening.rows and 0 <= first < end <= screening.columns):
                raise InvalidInput(
                    f"The cells [{row}, {first}, {end}] lie outside of the grid of {screening.rows} rows and "
                    f"{screening.columns} columns."
                )
            cells[row, first:end] = True
        screening.seen = packed(cells)
        if x is not None and y is not None:
            screening.x, screening.y = x, y
        screening.save()
    return screening


def _inside(slide: Slide, x: float, y: float) -> bool:
    return 0 <= x <= (slide.width or 0) and 0 <= y <= (slide.height or 0)


def screening_forget(*, slide: Slide, reader: User) -> None:
    """Begin anew: nothing of the slide has been seen by this reader."""
    with transaction.atomic():
        lock_row(Slide, slide.pk)
        if Screening.objects.filter(slide=slide, reader=reader).delete()[0]:
            record(Action.SCREENING, slide, who=reader, after={"begun": False})
