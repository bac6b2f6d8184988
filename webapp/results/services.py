"""Taking in verdicts and regions from a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction

from webapp.annotations.matching import Place, match_places, match_reach
from webapp.annotations.models import Figure, Label, Region
from webapp.annotations.services import figure_judge, region_draw
from webapp.results.imports import Review
from webapp.slides.models import Slide


@dataclass
class Imported:
    """What an import did. left: verdicts that were not given, as a person holds another one there."""

    verdicts: int = 0
    regions: int = 0
    unchanged: int = 0
    left: list[dict[str, object]] = field(default_factory=list)


def review_import(*, slide: Slide, by: User, review: Review) -> Imported:
    """Give the verdicts and draw the regions of a file; all or, where one cannot be taken, none.

    What holds already stays as it is, and nobody's verdict is overwritten: where a person says something else, the
    file's verdict is left out and told.
    """
    done = Imported()
    with transaction.atomic():
        Slide.objects.select_for_update().get(pk=slide.pk)
        figures = list(Figure.objects.filter(slide=slide))
        places = [Place(x, y, 0) for x, y, _ in review.verdicts]
        pairs = match_places(places, [Place(f.x, f.y, 0) for f in figures], match_reach(slide))
        for index, (x, y, label) in enumerate(review.verdicts):
            figure = figures[pairs[index]] if index in pairs else None
            if figure is None or figure.label == Label.OPEN:
                figure_judge(slide=slide, by=by, label=label, x=x, y=y, expected=figure.version if figure else 0)
                done.verdicts += 1
            elif figure.label == label:
                done.unchanged += 1
            else:
                done.left.append({"x": x, "y": y, "label": label, "holds": figure.label})
        held = [(region.kind, region.polygon) for region in Region.objects.current().filter(slide=slide)]
        for kind, corners in review.regions:
            if (kind, corners) in held:
                done.unchanged += 1
            else:
                region_draw(slide=slide, by=by, kind=kind, polygon=corners)
                done.regions += 1
    return done
