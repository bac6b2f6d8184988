"""Agreement of readers, and of the detector as one of them, on figures that each has judged by themselves.

A figure is mitotic or it is not: *unsure* is not, as in the count. Of each reader the last verdict on a figure holds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev
from uuid import UUID

from django.db.models import Max, OuterRef, Q, Subquery

from webapp.annotations.models import Figure, Label, Verdict
from webapp.annotations.selectors import newest_run
from webapp.slides.models import Study

AI = "AI"
_NORMAL = 1.96  # standard deviations, of the limits of agreement


@dataclass(frozen=True)
class PairAgreement:
    """Two readers. figures: judged by both; agreed: share; kappa: Cohen's, None where chance alone explains all.

    slides: on which both have judged; difference: mean of first - second count of mitotic figures on these; limits: of
    agreement, Bland and Altman 1986, None with fewer than two slides.
    """

    first: str
    second: str
    figures: int
    agreed: float
    kappa: float | None
    slides: int
    difference: float
    limits: tuple[float, float] | None


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen 1960: agreement beyond chance. None where both always say the same one thing."""
    of = len(pairs)
    seen = sum(one == other for one, other in pairs) / of
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


def verdicts_of(study: Study, min_score: float) -> dict[str, dict[UUID, bool]]:
    """Of each reader, and of the AI at a threshold, which figures are mitotic."""
    said: dict[str, dict[UUID, bool]] = defaultdict(dict)
    verdicts = Verdict.objects.filter(figure__slide__case__study=study, by__isnull=False).order_by("version")
    for name, figure, label in verdicts.values_list("by__username", "figure", "label"):
        if label == Label.OPEN:
            said[name].pop(figure, None)  # taken back
        else:
            said[name][figure] = label == Label.MITOTIC
    newest = newest_run(OuterRef("slide"))
    judged = Figure.objects.filter(slide__case__study=study).alias(run=Subquery(newest))
    best = Max("candidates__score", filter=Q(candidates__run=Subquery(newest)))
    known = {figure for own in said.values() for figure in own}
    for figure, score in judged.annotate(best=best).values_list("pk", "best"):
        if figure in known:
            said[AI][figure] = score is not None and score >= min_score
    return {name: own for name, own in said.items() if own}


def pairs_of(said: Mapping[str, Mapping[UUID, bool]], slide_of: Mapping[UUID, UUID]) -> list[PairAgreement]:
    """Every two readers who have judged the same figure, by name; the AI last."""
    found = []
    for first, second in combinations(sorted(said, key=lambda name: (name == AI, name)), 2):
        both = said[first].keys() & said[second].keys()
        if not both:
            continue
        pairs = [(said[first][figure], said[second][figure]) for figure in both]
        counts: dict[UUID, int] = defaultdict(int)
        for figure in both:
            counts[slide_of[figure]] += said[first][figure] - said[second][figure]
        differences = list(counts.values())
        agreed = sum(one == other for one, other in pairs) / len(pairs)
        found.append(
            PairAgreement(
                *(first, second, len(pairs), agreed, cohen_kappa(pairs)),
                *(len(differences), mean(differences), limits_of_agreement(differences)),
            )
        )
    return found


def fleiss_of(said: Mapping[str, Mapping[UUID, bool]]) -> tuple[int, int, float | None]:
    """Of all people together: (readers, figures that all have judged, kappa)."""
    people = [own for name, own in said.items() if name != AI]
    shared = set.intersection(*(set(own) for own in people)) if len(people) > 2 else set()
    return len(people), len(shared), fleiss_kappa([sum(own[one] for own in people) for one in shared], len(people))
