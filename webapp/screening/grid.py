"""The cells of a slide by which it is told what has been seen of it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from webapp.annotations.evaluable import Evaluable
from webapp.slides.models import Slide

Cells = NDArray[np.bool_]
Floats = NDArray[np.float64]

SEEN_UM_PER_PX = 0.3  # of the screen; what is shown coarser is not seen
SEEN_SECONDS = 1.0  # for which it must have been shown
CELL_UM = 32.0  # a screen of 1,200 x 800 px at 0.25 um/px has 9 x 6
_MOST_CELLS = 2_000_000
_LEAST_SHARE = 0.02  # of a cell that is evaluable; one with less need not be seen


def grid_of(slide: Slide) -> tuple[int, int]:
    """(columns, rows) of the cells of a slide. Raises ValueError without um/px."""
    if slide.mpp is None:
        raise ValueError("there are no cells without um/px")
    width, height = (slide.width or 1) * slide.mpp[0], (slide.height or 1) * slide.mpp[1]
    side = max(CELL_UM, math.sqrt(width * height / _MOST_CELLS))
    return max(1, round(width / side)), max(1, round(height / side))


def evaluable_cells(evaluable: Evaluable, columns: int, rows: int) -> Cells:
    """Which cells [rows, columns] hold something evaluable."""
    pixels = evaluable.pixels.astype(np.float32)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA) >= _LEAST_SHARE)


def packed(cells: Cells) -> bytes:
    """A bit for each cell, row by row, the first in the highest bit of the first byte."""
    return np.packbits(cells).tobytes()


def unpacked(bits: bytes, columns: int, rows: int) -> Cells:
    """The cells [rows, columns] of these bits."""
    cells = np.unpackbits(np.frombuffer(bits, np.uint8), count=columns * rows)
    return np.asarray(cells.reshape(rows, columns).astype(bool))
