"""What stays of a blinded reading."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ReadFigure(TypedDict):
    """A figure that a reader judged. x, y: level-0 px. at: ISO 8601. shown: whether the detector's candidate was there
    to be judged; otherwise the reader found the place."""

    x: float
    y: float
    label: str
    added: bool
    screened: bool
    shown: bool
    at: str
    atypical: NotRequired[bool | None]


class ReadingResult(TypedDict):
    """The values of a reader's own verdicts, as the study counted then. whole: the reader was done with the slide.

    count: the figures that the reader calls mitotic, where figures are counted. score: as the slide page shows it, by
    which a candidate that was passed over counts; null where there is none. figures: all that the reader judged. copy:
    key of the copy, when that is gone.
    """

    whole: bool
    count: int
    count_per_mm2: float | None
    score: int | None
    figures: list[ReadFigure]
    copy: NotRequired[str]
