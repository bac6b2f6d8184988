"""Pictures for people beyond the rim of an image: hatching where there is none.

The detector sees the image mirrored there (3.1 Testing). Shown so, half a nucleus looks like a metaphase plate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.slide.reader import Rgb

_LIGHT, _DARK = (232, 232, 236), (168, 168, 178)
_PERIOD = 8  # px between two lines, and a quarter of it is dark


def hatched(picture: Rgb, left: int, top: int, size: Sequence[int]) -> Rgb:
    """The picture [h, w, 3] with hatching outside of the image.

    left, top: where the picture begins, px of the image; size: (width, height) of the image.
    """
    rows = np.arange(top, top + picture.shape[0])[:, None]
    columns = np.arange(left, left + picture.shape[1])[None]
    outside = (rows < 0) | (rows >= size[1]) | (columns < 0) | (columns >= size[0])
    if not outside.any():
        return picture
    lines = ((rows + columns) % _PERIOD < _PERIOD // 4)[..., None]
    return np.where(outside[..., None], np.where(lines, _DARK, _LIGHT), picture).astype(np.uint8)


def mirror_share(xy: Sequence[float], size: Sequence[float], patch: Sequence[float]) -> float:
    """Share of a patch around a point that lies outside of the image, where the detector sees a mirror image.

    All in the same px: xy: (x, y); size: (width, height) of the image; patch: of the patch.
    """
    inside = 1.0
    for at, whole, side in zip(xy, size, patch, strict=True):
        inside *= max(0.0, min(at + side / 2, whole) - max(at - side / 2, 0)) / side
    return 1 - inside
