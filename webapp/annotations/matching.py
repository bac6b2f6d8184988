"""Matching the places of two lists within the radius of section 4."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from django.conf import settings

from detector import paper
from webapp.slides.models import Slide


class Spot(Protocol):
    """Something that lies at x, y: level-0 px."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


class Place(NamedTuple):
    """x, y: level-0 px. score: 0..1."""

    x: float
    y: float
    score: float


def match_reach(slide: Slide) -> tuple[float, float]:
    """The matching radius as (x, y) level-0 px; as if at the working resolution where um/px is not known."""
    mpp_x, mpp_y = slide.mpp or (paper.WORKING_MPP, paper.WORKING_MPP)
    return settings.MATCH_RADIUS_UM / mpp_x, settings.MATCH_RADIUS_UM / mpp_y


def match_places_exact_first(
    places: Sequence[Spot], others: Sequence[Spot], reach: tuple[float, float]
) -> dict[int, int]:
    """As `match_places`, but those that lie on each other (to a thousandth of the reach) belong together first."""
    pairs = match_places(places, others, (reach[0] / 1000, reach[1] / 1000))
    left = [index for index in range(len(places)) if index not in pairs]
    taken = set(pairs.values())
    free = [index for index in range(len(others)) if index not in taken]
    more = match_places([places[index] for index in left], [others[index] for index in free], reach)
    return pairs | {left[index]: free[other] for index, other in more.items()}


def match_places(places: Sequence[Spot], others: Sequence[Spot], reach: tuple[float, float]) -> dict[int, int]:
    """Index in `places` -> index in `others`: in the order given, each takes its nearest free one within reach.

    reach: (x, y) level-0 px, so that a radius in um holds where pixels are not square. Of two equally near ones the
    first is taken.
    """
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, other in enumerate(others):
        cells[int(other.x // reach[0]), int(other.y // reach[1])].append(index)
    taken: set[int] = set()
    pairs: dict[int, int] = {}
    for index, place in enumerate(places):
        column, row = int(place.x // reach[0]), int(place.y // reach[1])
        best, least = -1, math.inf
        for near in (cells.get((column + dx, row + dy), ()) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
            for candidate in near:
                other = others[candidate]
                distance = math.hypot((other.x - place.x) / reach[0], (other.y - place.y) / reach[1])
                if distance <= 1 and candidate not in taken and (distance, candidate) < (least, best):
                    best, least = candidate, distance
        if best >= 0:
            taken.add(best)
            pairs[index] = best
    return pairs
