"""Distance non-maximum suppression (3.1: 50 px for BG-Hard, 30 px for testing)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_ROUNDS = 12


def suppress(xy: NDArray[np.float64], logits: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """Indices of the points that greedy suppression keeps, best first.

    xy: (n, 2) positions. logits: (n,) what ranks them; give logits, not probabilities, whose ties at 1.0 would move
    peaks. radius: in the unit of xy; a point at exactly this distance of a kept one is dropped.
    Ties are broken by position (y, then x), so that the result does not depend on the order of the input.

    The result is exactly the greedy one, found in rounds: a point that outranks all its neighbours is kept and drops
    them; the rest goes into the next round. Each is array arithmetic. On real scores a few rounds do; what is still
    undecided after `_ROUNDS`, as on long slopes and plateaus, is walked one by one.
    """
    count = len(xy)
    if not count:
        return np.empty(0, dtype=np.intp)
    by_place = np.lexsort((xy[:, 0], xy[:, 1]))
    by_rank = np.argsort(-logits[by_place], kind="stable")
    rank = np.empty(count, dtype=np.intp)
    rank[by_rank] = np.arange(count)
    # A tree of points in order of place, cut in the middle and not at the median, is built three times as fast.
    pairs = rank[cKDTree(xy[by_place], balanced_tree=False).query_pairs(radius, output_type="ndarray")]
    better, worse = pairs.min(axis=1), pairs.max(axis=1)  # of each pair, by rank
    undecided = np.ones(count, dtype=bool)
    kept = np.zeros(count, dtype=bool)
    for _ in range(_ROUNDS):
        if not undecided.any():
            break
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
    if undecided.any():
        _walk(undecided, kept, better, worse)
    return by_place[by_rank[kept]]


def _walk(
    undecided: NDArray[np.bool_], kept: NDArray[np.bool_], better: NDArray[np.intp], worse: NDArray[np.intp]
) -> None:
    """Keep the undecided points greedily, by rank. better, worse: the pairs among them."""
    by_rank = np.argsort(better, kind="stable")
    worse = worse[by_rank]
    first = np.searchsorted(better[by_rank], np.arange(len(undecided) + 1))
    for point in np.flatnonzero(undecided):
        if undecided[point]:
            kept[point] = True
            undecided[worse[first[point] : first[point + 1]]] = False
