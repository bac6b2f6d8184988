"""Errors by who has to act. Every message says what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path


class DetectorError(Exception):
    """Base of all errors raised on purpose; its message is one sentence for the person who gave the input."""


class SlideError(DetectorError):
    """A file cannot be read as a slide or image. reason: a sentence that does not name the file; path: where it is."""

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(f"{path.name}: {reason}" if path else reason)
        self.reason, self.path = reason, path


class ResolutionUnknown(DetectorError):
    """The um per pixel of an image are not known, so no area or distance can be computed."""


class DataSetError(DetectorError):
    """A labelled data set is broken; names the file and line."""


class WeightsError(DetectorError):
    """A weights file or its card is missing, damaged or of another network."""


class PlanError(DetectorError):
    """A training plan holds a value that cannot be used."""
