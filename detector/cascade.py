"""A cascade: a coarse network looks everywhere, the network of 3.1 only where the coarse one sees a chance.

Not in the paper, whose testing skips bright windows alone. A coarse network before a fine one is known from Chen et al.
2016, "Mitosis Detection in Breast Cancer Histology Images via Deep Cascaded Networks"; ours has the same twelve layers
with fewer channels (`paper.COARSE_WIDTHS`), is taught to say what the fine one says (`distil.py`), and travels in the
same file of weights. What it costs and what it keeps is in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector import paper
from detector.hpf import Rgb

Logits = NDArray[np.float32]
Flags = NDArray[np.bool_]
Box = tuple[slice, slice]  # rows and columns of map cells

_SUPPRESSED = -(-paper.NMS_RADIUS // paper.OUTPUT_STRIDE)  # cells that a detection may suppress, to each side


def look_closer(image: Rgb, promising: Flags, floor: float, score: Callable[[Rgb], Logits]) -> Logits:
    """The map [r, q] of an image: logits around the promising cells, -inf where nobody has looked.

    promising: [r, q]. floor: a logit. score: the fine network. Wherever a cell reaches the floor, all that it could
    suppress or be suppressed by is looked at too, however far that leads: what is found is then found as without the
    cascade.
    """
    logits = np.full(promising.shape, -np.inf, dtype=np.float32)
    looked = np.zeros(promising.shape, dtype=bool)
    wanted = _widened(promising, paper.COARSE_REACH)
    while (missing := wanted & ~looked).any():
        for rows, columns in _boxes(missing):
            logits[rows, columns] = score(_pixels(image, rows, columns))
            looked[rows, columns] = True
        wanted = _widened(logits >= floor, _SUPPRESSED)
    return logits


def _widened(cells: Flags, reach: int) -> Flags:
    """The cells and those within `reach` of them in both directions."""
    side = 2 * reach + 1
    return cv2.dilate(cells.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)


def _boxes(cells: Flags) -> list[Box]:
    """Boxes that hold all of some cells; one with everything where many would mean more pixels."""
    boxes: list[Box] = ndimage.find_objects(ndimage.label(cells, structure=np.ones((3, 3)))[0])
    whole = slice(0, cells.shape[0]), slice(0, cells.shape[1])
    return boxes if sum(map(_cost, boxes)) < _cost(whole) else [whole]


def _cost(box: Box) -> int:
    """Pixels under a box."""
    height, width = (_length(cells.stop - cells.start) for cells in box)
    return height * width


def _pixels(image: Rgb, rows: slice, columns: slice) -> Rgb:
    """What the network must see for these cells."""
    y, x = rows.start * paper.OUTPUT_STRIDE, columns.start * paper.OUTPUT_STRIDE
    return image[y : y + _length(rows.stop - rows.start), x : x + _length(columns.stop - columns.start)]


def _length(cells: int) -> int:
    return (cells - 1) * paper.OUTPUT_STRIDE + paper.PATCH_SIZE
