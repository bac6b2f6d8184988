"""A slide opened for the detector, wherever its file lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from detector.slide import WorkingFrame
from detector.slide.reader import FLAT_FORMATS
from webapp.slides.models import Slide
from webapp.slides.storage import slide_opened


@contextmanager
def working_frame(slide: Slide) -> Iterator[WorkingFrame]:
    """The slide at 0.25 um/px, its file kept here for as long as it is open."""
    assert slide.mpp is not None, "work on a slide is only queued when um/px is known"
    with slide_opened(slide) as file:
        yield WorkingFrame(file, slide.mpp, cut=slide.format in FLAT_FORMATS)  # its pyramid does not say so
