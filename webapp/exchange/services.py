"""Import of verdicts and regions."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction

from webapp.annotations.matching import Place, match_places_exact_first, match_reach
from webapp.annotations.models import Figure, Label, Region
from webapp.annotations.services import figures_judge, region_draw
from webapp.core.errors import InvalidInput
from webapp.exchange.imports import Review
from webapp.slides.models import Slide


@dataclass(frozen=True)
class LeftOut:
    """A verdict of the file at (x, y) level-0 px that was not given, and the one that a person holds there."""

    x: float
    y: float
    label: str
    holds: str


@dataclass
class Imported:
    """Result of an import. left: verdicts not imported, as a person's verdict there differs."""

    verdicts: int = 0
    regions: int = 0
    unchanged: int = 0
    left: list[LeftOut] = field(default_factory=list)


def review_import(*, slide: Slide, by: User, review: Review) -> Imported:
    """Give the verdicts and draw the regions of a file; all or, where one cannot be taken, none.

    Existing verdicts and regions are kept, and no verdict is overwritten: where a person's verdict differs, the file's
    is left out and listed.
    """
    done = Imported()
    verdicts: dict[tuple[float, float], Label] = {}
    for x, y, label in review.verdicts:
        said = verdicts.setdefault((x, y), label)
        if said != label:
            raise InvalidInput(f"The file says of ({x:g}, {y:g}) both {said} and {label}; leave one out.")
    done.unchanged = len(review.verdicts) - len(verdicts)  # said twice
    with transaction.atomic():
        Slide.objects.select_for_update().get(pk=slide.pk)
        figures = list(Figure.objects.filter(slide=slide))
        places = [Place(x, y, 0) for x, y in verdicts]
        pairs = match_places_exact_first(places, figures, match_reach(slide))
        judged, found = [], []
        for index, ((x, y), label) in enumerate(verdicts.items()):
            figure = figures[pairs[index]] if index in pairs else None
            if figure is None:
                found.append((x, y, label))
            elif figure.label == Label.OPEN:
                judged.append((figure, label))
            elif figure.label == label:
                done.unchanged += 1
            else:
                done.left.append(LeftOut(x, y, label, figure.label))
        figures_judge(slide=slide, by=by, judged=judged, found=found)
        done.verdicts = len(judged) + len(found)
        held = [(region.kind, region.polygon) for region in Region.objects.current().filter(slide=slide)]
        for kind, corners in review.regions:
            if (kind, corners) in held:
                done.unchanged += 1
            else:
                region_draw(slide=slide, by=by, kind=kind, polygon=corners)
                done.regions += 1
    return done
