"""The Wilson interval of a share."""

from __future__ import annotations

import math

_Z = 1.959964  # 95 %


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `hits` of `count` were observed; (0, 1) where nothing was."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, _Z**2
    centre = share + square / (2 * count)
    half = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, (centre - half) / (1 + square / count)), min(1.0, (centre + half) / (1 + square / count))
