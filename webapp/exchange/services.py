"""Import of verdicts and regions."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from uuid import UUID

import shapely
from django.contrib.auth.models import User
from django.db import transaction

from webapp.annotations.matching import Place, match_places_exact_first, match_reach
from webapp.annotations.models import Figure, Label, Region
from webapp.annotations.services import figures_judge, polygon_checked, regions_keep
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import InvalidInput
from webapp.exchange.imports import AnotherSlide, Review
from webapp.slides.blinding import demand_unread
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
    """Result of an import. left: verdicts not imported, as a person's verdict there differs. cut: regions that left the
    slide, and were cut at its edge. unknown: objects left out by their class. without_place: left out, as the file does
    not say where they are.
    """

    verdicts: int = 0
    regions: int = 0
    unchanged: int = 0
    left: list[LeftOut] = field(default_factory=list)
    cut: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    without_place: int = 0


def review_import(*, slide: Slide, by: User, review: Review, same_picture: bool = False) -> Imported:
    """Give the verdicts and draw the regions of a file; all or, where one cannot be taken, none.

    Existing verdicts and regions are kept, and no verdict is overwritten: where a person's verdict differs, the file's
    is left out and listed. same_picture: the person says that the file is of the same picture, though of another slide;
    AnotherSlide is raised otherwise, unless that slide is of the same file.
    """
    if not same_picture:
        _check_slide(slide, by, review)
    done = Imported(unknown=dict(+review.unknown), without_place=review.without_place)
    verdicts: dict[tuple[float, float], Label] = {}
    for x, y, label, where in review.verdicts:
        if not (0 <= x <= (slide.width or x) and 0 <= y <= (slide.height or y)):
            raise InvalidInput(f"{where}: ({x:g}, {y:g}) lies outside of the slide.")
        said = verdicts.setdefault((x, y), label)
        if said != label:
            raise InvalidInput(f"{where}: the file says of ({x:g}, {y:g}) both {said} and {label}; leave one out.")
    done.unchanged = len(review.verdicts) - len(verdicts)  # said twice
    with transaction.atomic():
        lock_row(Slide, slide.pk)
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
        drawn = []
        for kind, corners, where in review.regions:
            within = _within(slide, corners, where)
            done.cut += within != corners
            if (kind, within) in held:
                done.unchanged += 1
                continue
            try:
                drawn.append(Region(slide=slide, kind=kind, polygon=polygon_checked(slide, within), by=by))
            except InvalidInput as error:
                raise InvalidInput(f"{where}: {error}") from error
        if drawn:
            demand_unread(slide)
        regions_keep(slide=slide, by=by, regions=drawn)
        done.regions = len(drawn)
        record(Action.IMPORTED, slide, who=by, after={"verdicts": done.verdicts, "regions": done.regions})
    return done


def _check_slide(slide: Slide, by: User, review: Review) -> None:
    """Raises AnotherSlide where the file names a slide that is neither this one nor of the same picture."""
    if review.slide in {"", str(slide.pk)}:
        return
    with contextlib.suppress(ValueError):
        named = Slide.objects.visible_to(by).filter(pk=UUID(review.slide)).first()
        if named is not None and named.sha256 and named.sha256 == slide.sha256:
            return
    raise AnotherSlide(
        f"This file is of another slide ({review.name[:100] or review.slide[:100]}), and its places mean nothing on "
        "this one. Where it is the same picture all the same, say so (same_picture=true)."
    )


def _within(slide: Slide, corners: list[list[float]], where: str) -> list[list[float]]:
    """A polygon as it is, or what of it lies on the slide."""
    width, height = slide.width or 0, slide.height or 0
    if all(0 <= x <= width and 0 <= y <= height for x, y in corners):
        return corners
    try:
        inside = shapely.Polygon(corners).intersection(shapely.box(0, 0, width, height))
    except (shapely.errors.GEOSException, ValueError):
        return corners  # is refused as it is
    if not isinstance(inside, shapely.Polygon) or inside.is_empty:
        raise InvalidInput(f"{where}: the region lies outside of the slide, or is cut into parts by its edge.")
    return [[float(x), float(y)] for x, y in inside.exterior.coords[:-1]]
