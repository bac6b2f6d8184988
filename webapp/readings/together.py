"""Verdicts of several blinded readers, brought together figure by figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from django.contrib.auth.models import User

from webapp.annotations.matching import match_places_exact_first, match_reach
from webapp.annotations.models import Figure, Label, Verdict
from webapp.readings.types import ReadFigure, ReadingResult
from webapp.slides.models import Reading, Slide


@dataclass(frozen=True)
class RaterVerdicts:
    """What one reader has judged, or the detector (None). shows_candidates: whether the detector's could be judged."""

    reader: User | None
    result: ReadingResult
    shows_candidates: bool = True
    round: int = 0  # of the reader's; 0 for the detector

    @classmethod
    def of(cls, reading: Reading) -> RaterVerdicts:
        """Of a reading that was done."""
        result = cast(ReadingResult, reading.result)
        return cls(reading.reader, result, shows_candidates=reading.shows_candidates, round=reading.round)


@dataclass
class Spot:
    """One figure of several readers, at level-0 (x, y) of the first of them. said: of each reader who judged it."""

    x: float
    y: float
    said: dict[int, ReadFigure] = field(default_factory=dict)  # by the place of the reader in the list

    @property
    def shown(self) -> bool:
        """Whether the detector's candidate was there for whoever saw candidates."""
        return any(one["shown"] for one in self.said.values())

    def labels(self, readers: Sequence[RaterVerdicts]) -> list[Label | None]:
        """What each reader says it is; None: nothing.

        Whoever was done and marked nothing where no candidate was shown says that there is no mitotic figure. A
        candidate that was passed over was not judged.
        """
        return [
            Label(self.said[index]["label"])
            if index in self.said
            else (Label.NON_MITOTIC if one.result["whole"] and not (self.shown and one.shows_candidates) else None)
            for index, one in enumerate(readers)
        ]


def spots_of(slide: Slide, readers: Sequence[RaterVerdicts]) -> list[Spot]:
    """The figures of all readers; those within 7.5 um of each other are one."""
    spots: list[Spot] = []
    for index, one in enumerate(readers):
        figures = [Spot(figure["x"], figure["y"], {index: figure}) for figure in one.result["figures"]]
        pairs = match_places_exact_first(figures, spots, match_reach(slide))
        for number, figure in enumerate(figures):
            if number in pairs:
                spots[pairs[number]].said[index] = figure.said[index]
            else:
                spots.append(figure)
    return spots


def brought_together(slide: Slide, readers: Sequence[RaterVerdicts]) -> list[tuple[Figure, list[Verdict]]]:
    """New figures of the slide with the verdicts of all readers.

    What all who judged it agree on is its label; otherwise it is disputed, and open until that is settled.
    """
    found = []
    for spot in spots_of(slide, readers):
        labels = {label for label in spot.labels(readers) if label is not None}
        agreed = labels.pop() if len(labels) == 1 else None
        figure = Figure(
            slide=slide,
            x=spot.x,
            y=spot.y,
            label=agreed or Label.OPEN,
            added=True,  # where there is a candidate it takes its place
            screened=any(one["screened"] for one in spot.said.values()),
            disputed=agreed is None,
        )
        kinds = {one.get("atypical") for one in spot.said.values() if one["label"] == Label.MITOTIC}
        figure.atypical = kinds.pop() if agreed == Label.MITOTIC and len(kinds) == 1 else None
        verdicts = [
            Verdict(
                figure=figure, version=version, label=one["label"], by=readers[index].reader,
                at=datetime.fromisoformat(one["at"]), atypical=one.get("atypical"),
            )
            for version, (index, one) in enumerate(sorted(spot.said.items()), 1)
        ]  # fmt: skip
        if agreed is None:
            verdicts.append(Verdict(figure=figure, version=len(verdicts) + 1, label=Label.OPEN))
        figure.version = len(verdicts)
        found.append((figure, verdicts))
    return found
