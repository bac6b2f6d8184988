"""Distance non-maximum suppression (3.1: 50 px for BG-Hard, 30 px for testing)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def suppress(xy: NDArray[np.float64], logits: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """Indices of the points that greedy suppression keeps, best first.

    xy: (n, 2) positions. logits: (n,) what ranks them; give logits, not probabilities, whose ties at 1.0 would move
    peaks. radius: in the unit of xy; a point at exactly this distance of a kept one is dropped.
    Ties are broken by position (y, then x), so that the result does not depend on the order of the input.

    The result is exactly the greedy one, found in rounds: a point that outranks all its neighbours is kept and drops
    them; the rest goes into the next round. Rounds are few, and each is array arithmetic.
    """
    count = len(xy)
    order = np.lexsort((xy[:, 0], xy[:, 1], -logits)) if count else np.empty(0, dtype=np.intp)
    pairs = cKDTree(xy[order]).query_pairs(radius, output_type="ndarray") if count else np.empty((0, 2), dtype=np.intp)
    # Points are now numbered by rank, so the first of each pair (the smaller number) is the better one.
    better, worse = pairs.min(axis=1), pairs.max(axis=1)
    undecided = np.ones(count, dtype=bool)
    kept = np.zeros(count, dtype=bool)
    while undecided.any():
        dominated = np.zeros(count, dtype=bool)
        dominated[worse] = True
        winners = undecided & ~dominated
        kept |= winners
        undecided &= ~winners
        dropped = np.zeros(count, dtype=bool)
        dropped[worse[winners[better]]] = True
        undecided &= ~dropped
        open_pairs = undecided[better] & undecided[worse]
        better, worse = better[open_pairs], worse[open_pairs]
    return order[kept]
