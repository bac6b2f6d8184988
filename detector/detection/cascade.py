"""Cascade: a coarse network scores every cell, the network of 3.1 rescores only the regions that it passes.

Not in the paper, whose testing skips bright windows alone. After Chen et al. 2016, "Mitosis Detection in Breast Cancer
Histology Images via Deep Cascaded Networks"; the coarse network has the same twelve layers with fewer channels
(`plans/distil.toml`), is distilled from the fine one (`training/distil.py`), and is stored in the same file of weights.
Speed and recall are in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector import paper
from detector.frames import Rgb

Logits = NDArray[np.float32]
Flags = NDArray[np.bool_]
Stack = NDArray[np.uint8]  # [n, h, w, 3]
Box = tuple[slice, slice]  # rows and columns of map cells

_RIM = 32  # px, so that a patch of 128 px costs what its arithmetic says: 0.38 GFLOP at 47,000 a pixel
_TOGETHER = 1 << 20  # pixels of small boxes that are scored at once
_SUPPRESSED = -(-paper.NMS_RADIUS // paper.OUTPUT_STRIDE)  # cells that a detection may suppress, to each side


def rescore_regions(image: Rgb, promising: Flags, floor: float, score: Callable[[Stack], Logits]) -> Logits:
    """Fine logits [r, q] of an image [h, w, 3]: in the promising cells and the regions grown from them, else -inf.

    promising: bool [r, q], cells that the coarse network passes. floor: least logit of a detection. score: the fine
    network, uint8 [n, h, w, 3] to logits [n, r, q]. Around every cell that reaches the floor, all cells within the
    radius of suppression are rescored too, repeatedly: every detection there is the same as without the cascade.
    """
    logits = np.full(promising.shape, -np.inf, dtype=np.float32)
    looked = np.zeros(promising.shape, dtype=bool)
    wanted = promising
    while (missing := wanted & ~looked).any():
        for boxes in _alike(_boxes(missing)):
            scored = score(np.stack([_pixels(image, box) for box in boxes]))
            for box, cells in zip(boxes, scored, strict=True):
                logits[box], looked[box] = cells, True
        wanted = _neighbourhood(logits >= floor)
    return logits


def _neighbourhood(cells: Flags) -> Flags:
    """The cells dilated by the radius of suppression."""
    side = 2 * _SUPPRESSED + 1
    return cv2.dilate(cells.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)


def _boxes(cells: Flags) -> list[Box]:
    """Boxes around the connected components of some cells; one box of the whole map where that costs less."""
    found = ndimage.find_objects(ndimage.label(cells, structure=np.ones((3, 3)))[0])
    boxes = [(_grown(rows, cells.shape[0]), _grown(columns, cells.shape[1])) for rows, columns in found]
    whole = slice(0, cells.shape[0]), slice(0, cells.shape[1])
    return boxes if sum(map(_cost, boxes)) < _cost(whole) else [whole]


def _grown(cells: slice, most: int) -> slice:
    """As many cells or a few more: 1, 2, 3, 4, 6, 8, 12, ..., as oneDNN prepares for every new size of an image."""
    wanted = cells.stop - cells.start
    size = 1 << (wanted - 1).bit_length()
    size = min(size * 3 // 4 if size * 3 // 4 >= wanted else size, most)
    start = min(cells.start, most - size)
    return slice(start, start + size)


def _alike(boxes: list[Box]) -> Iterator[list[Box]]:
    """The boxes in groups of one size: a network takes a quarter less time for many patches at once than one by one.

    1, 2, 4, 8, ... at once, as oneDNN prepares for every new number too.
    """
    for (height, width), group in groupby(sorted(boxes, key=_size), _size):
        alike, most = list(group), max(1, _TOGETHER // (height * width))
        while alike:
            count = 1 << (min(len(alike), most).bit_length() - 1)
            yield alike[:count]
            alike = alike[count:]


def _cost(box: Box) -> int:
    """The work for a box, in pixels of a large image: at its rim, where layers end one by one, there is half of it."""
    height, width = _size(box)
    return (height - _RIM) * (width - _RIM)


def _pixels(image: Rgb, box: Box) -> Rgb:
    """The pixels under the cells of a box."""
    y, x = (cells.start * paper.OUTPUT_STRIDE for cells in box)
    height, width = _size(box)
    return image[y : y + height, x : x + width]


def _size(box: Box) -> tuple[int, int]:
    """Height and width of the pixels under a box."""
    height, width = ((cells.stop - cells.start - 1) * paper.OUTPUT_STRIDE + paper.PATCH_SIZE for cells in box)
    return height, width
