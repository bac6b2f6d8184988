"""Measures of agreement between readers, as the field has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

AI = "AI"  # the detector as one of the raters
_NORMAL = 1.96  # standard deviations, of the limits of agreement


def by_name(rater: str) -> tuple[bool, str]:
    """In which order raters stand: by name, the AI last."""
    return rater == AI, rater


def agreed_share(pairs: Sequence[tuple[object, object]]) -> float | None:
    """The share on which two say the same; None of nothing."""
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else None


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen 1960: agreement beyond chance. None of nothing, and where both always say the same one thing."""
    seen, of = agreed_share(pairs), len(pairs)
    if seen is None:
        return None
    first, second = (sum(pair[place] for pair in pairs) / of for place in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    return None if math.isclose(chance, 1) else (seen - chance) / (1 - chance)


def fleiss_kappa(mitotic: Sequence[int], raters: int) -> float | None:
    """Fleiss 1971, of two categories. mitotic: of each figure how many of the raters call it so."""
    if not mitotic or raters < 2:
        return None
    of = len(mitotic)
    agreed = sum(one * (one - 1) + (raters - one) * (raters - one - 1) for one in mitotic) / (
        of * raters * (raters - 1)
    )
    share = sum(mitotic) / (of * raters)
    chance = share**2 + (1 - share) ** 2
    return None if math.isclose(chance, 1) else (agreed - chance) / (1 - chance)


def limits_of_agreement(differences: Sequence[float]) -> tuple[float, float] | None:
    """Bland and Altman 1986: mean and 1.96 standard deviations on either side."""
    if len(differences) < 2:
        return None
    middle, half = mean(differences), _NORMAL * stdev(differences)
    return middle - half, middle + half


def weighted_kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Cohen 1968, of an ordered scale such as the mitotic score: a disagreement weighs as the square of its distance.

    None for no pairs, and where both always say the same one thing.
    """
    said = len(pairs)
    apart = sum((one - other) ** 2 for one, other in pairs)
    by_chance = sum((one - other) ** 2 for one, _ in pairs for _, other in pairs)
    return None if not by_chance else 1 - apart * said / by_chance
