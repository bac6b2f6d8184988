"""The labelled frames of a case as one slide, for tests of the way from a slide to weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from detector.frames import Case
from detector.slide.pyramid import write_pyramid

_GAP = 256  # px of glass between the frames: no patch sees two of them
_GLASS = 244


def write_tiled(path: Path, case: Case) -> None:
    """Write the frames of a case side by side on glass, as one slide."""
    columns = math.ceil(math.sqrt(len(case.frames)))
    cell_height, cell_width = (max(frame.image.shape[axis] for frame in case.frames) + _GAP for axis in (0, 1))
    rows = math.ceil(len(case.frames) / columns)
    image = np.full((rows * cell_height + _GAP, columns * cell_width + _GAP, 3), _GLASS, dtype=np.uint8)
    for index, frame in enumerate(case.frames):
        top, left = _GAP + index // columns * cell_height, _GAP + index % columns * cell_width
        height, width = frame.image.shape[:2]
        image[top : top + height, left : left + width] = frame.image
    mpp = case.frames[0].mpp
    size = (image.shape[1], image.shape[0])
    write_pyramid(path, lambda top, bottom: image[top:bottom], size, (mpp, mpp), compression="deflate")
