"""Agreement of readers, and of the detector as one of them, on figures that each has judged by themselves.

A figure is mitotic or it is not: *unsure* is not, as in the count. Of each reader the last verdict on a figure holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import mean
from uuid import UUID

from django.db.models import Max, OuterRef, Q, Subquery

from webapp.annotations.models import Figure, Label, Verdict
from webapp.annotations.selectors import newest_run
from webapp.results.agreement import AI, agreed_share, by_name, cohen_kappa, fleiss_kappa, limits_of_agreement
from webapp.slides.models import SlideQuerySet


@dataclass(frozen=True)
class PairAgreement:
    """Two readers. figures: judged by both; agreed: share; kappa: Cohen's, None where chance alone explains all.

    slides: on which both have judged; difference: mean of first - second count of mitotic figures on these; limits: of
    agreement, Bland and Altman 1986, None with fewer than two slides.
    """

    first: str
    second: str
    figures: int
    agreed: float | None
    kappa: float | None
    slides: int
    difference: float
    limits: tuple[float, float] | None


def verdicts_of(slides: SlideQuerySet, min_score: float) -> dict[str, dict[UUID, bool]]:
    """Of each reader, and of the AI at a threshold, which figures are mitotic."""
    said: dict[str, dict[UUID, bool]] = defaultdict(dict)
    verdicts = Verdict.objects.filter(figure__slide__in=slides, by__isnull=False, together=False).order_by("version")
    for name, figure, label in verdicts.values_list("by__username", "figure", "label"):
        if label == Label.OPEN:
            said[name].pop(figure, None)  # taken back
        else:
            said[name][figure] = label == Label.MITOTIC
    newest = newest_run(OuterRef("slide"))
    judged = Figure.objects.filter(slide__in=slides).alias(run=Subquery(newest))
    best = Max("candidates__score", filter=Q(candidates__run=Subquery(newest)))
    known = {figure for own in said.values() for figure in own}
    for figure, score in judged.annotate(best=best).values_list("pk", "best"):
        if figure in known:
            said[AI][figure] = score is not None and score >= min_score
    return {name: own for name, own in said.items() if own}


def pairs_of(said: Mapping[str, Mapping[UUID, bool]], slide_of: Mapping[UUID, UUID]) -> list[PairAgreement]:
    """Every two readers who have judged the same figure, by name; the AI last."""
    found = []
    for first, second in combinations(sorted(said, key=by_name), 2):
        both = said[first].keys() & said[second].keys()
        if not both:
            continue
        pairs = [(said[first][figure], said[second][figure]) for figure in both]
        counts: dict[UUID, int] = defaultdict(int)
        for figure in both:
            counts[slide_of[figure]] += said[first][figure] - said[second][figure]
        differences = list(counts.values())
        found.append(
            PairAgreement(
                *(first, second, len(pairs), agreed_share(pairs), cohen_kappa(pairs)),
                *(len(differences), mean(differences), limits_of_agreement(differences)),
            )
        )
    return found


def fleiss_of(said: Mapping[str, Mapping[UUID, bool]]) -> tuple[int, int, float | None]:
    """Of all people together: (readers, figures that all have judged, kappa)."""
    people = [own for name, own in said.items() if name != AI]
    shared = set.intersection(*(set(own) for own in people)) if len(people) > 2 else set()
    return len(people), len(shared), fleiss_kappa([sum(own[one] for own in people) for one in shared], len(people))
