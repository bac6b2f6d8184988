"""Reading slides: files, tiles, the working resolution, tissue, preparation of uploads. Needs no torch."""

from detector.slide.reader import MAX_FLAT_PIXELS, Slide, open_slide, plausible_mpp
from detector.slide.scanner import scanner_of
from detector.slide.working import ArrayFrame, Frame, WorkingFrame

__all__ = [
    "MAX_FLAT_PIXELS",
    "ArrayFrame",
    "Frame",
    "Slide",
    "WorkingFrame",
    "open_slide",
    "plausible_mpp",
    "scanner_of",
]
