"""Which figures that nobody has judged can still change the score: exactly, where few are open near each other.

A verdict on a figure changes the score where the others can be judged so that no place holds enough for it without the
figure, and one does with it: one place is filled with mitotic figures up to one less than enough, and nowhere else may
there be enough by that. Where a place beside it holds more figures that are mitotic already, that may not be possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from webapp.results.hotspot import Held, in_places_of

_MOST_OPEN = 300  # figures that are looked at so closely; of more all that lie in a place with enough are taken
_MOST_STEPS = 2000  # of the search for one figure; then it is taken as one that can
_Limits = list[tuple[int, int]]  # (which figures, as bits; how many of them may be mitotic)


def can_tip(held: Held, said: Held, is_open: NDArray[np.bool_], cut: int) -> NDArray[np.bool_]:
    """Which open figures decide whether a place holds `cut` mitotic ones.

    held: all figures; is_open: which of them, in the order in which they came; said: those called mitotic, of which no
    place holds so many.
    """
    can = is_open & in_places_of(held, cut)
    if not len(said.xy) or not 0 < can.sum() <= _MOST_OPEN:
        return can
    numbers = np.flatnonzero(can)
    near = Held(held.xy[np.argsort(held.order)][numbers], held.reaches)
    place, figure = near.pairs(np.flatnonzero((near.at_most > 0) & (held.at_most >= cut)), 0)  # where is enough
    figure = near.order[figure]
    places, row, open_there = np.unique(place, return_inverse=True, return_counts=True)
    said.pairs(places[said.exact[places] < 0], 0)
    sure = said.exact[places]
    most_around = np.zeros(len(numbers), np.int64)  # mitotic figures in a place that holds this one
    np.maximum.at(most_around, figure, sure[row])
    beside = np.zeros(len(places), np.int64)
    np.maximum.at(beside, row, most_around[figure])
    enough = sure + open_there >= cut
    decided = np.zeros(len(numbers), bool)
    decided[figure[(enough & (beside <= sure))[row]]] = True
    if not decided.all():
        held_by: dict[int, int] = {}
        for inside, there in zip(_bits(row, figure, len(places)), sure.tolist(), strict=True):
            held_by[inside] = max(there, held_by.get(inside, 0))
        for number in np.flatnonzero(~decided):
            decided[number] = _tips(1 << int(number), held_by, cut)
    can[numbers[~decided]] = False
    return can


def _bits(row: NDArray[np.int64], figure: NDArray[np.int64], rows: int) -> list[int]:
    inside = [0] * rows
    for at, number in zip(row.tolist(), figure.tolist(), strict=True):
        inside[at] |= 1 << number
    return inside


def _tips(figure: int, held_by: dict[int, int], cut: int) -> bool:
    """Whether a figure (one bit) can. held_by: of each set of open figures in a place the mitotic ones there."""
    steps = [_MOST_STEPS]
    for inside, sure in held_by.items():
        if not inside & figure or sure + inside.bit_count() < cut:
            continue
        others, wanted = inside & ~figure, cut - 1 - sure
        limits = [
            (there & others, cut - 1 - mitotic)
            for there, mitotic in held_by.items()
            if mitotic > sure and (there & others).bit_count() > cut - 1 - mitotic
        ]
        if _can_take(wanted, others, limits, steps):
            return True
    return False


def _can_take(wanted: int, others: int, limits: _Limits, steps: list[int]) -> bool:
    """Whether so many of these can be mitotic within the limits; True where it was not found out."""
    alike = Counter(frozenset(n for n, (of, _) in enumerate(limits) if of >> bit & 1) for bit in _ones(others))
    wanted -= alike.pop(frozenset(), 0)
    groups = sorted(alike.items(), key=lambda group: len(group[0]))

    def fits(first: int, wanted: int, left: list[int]) -> bool:
        steps[0] -= 1
        if wanted <= 0 or steps[0] < 0:
            return True
        if first == len(groups) or sum(many for _, many in groups[first:]) < wanted:
            return False
        which, many = groups[first]
        for taken in range(min(many, wanted, *(left[n] for n in which)), -1, -1):
            if fits(first + 1, wanted - taken, [one - taken * (n in which) for n, one in enumerate(left)]):
                return True
        return False

    return fits(0, wanted, [most for _, most in limits])


def _ones(bits: int) -> Iterable[int]:
    return (number for number in range(bits.bit_length()) if bits >> number & 1)
