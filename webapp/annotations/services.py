"""Writing detections, verdicts and regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from uuid import UUID, uuid4

import numpy as np
import shapely
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.annotations.evaluable import evaluable_of
from webapp.annotations.matching import Place, match_places, match_places_exact_first, match_reach
from webapp.annotations.models import Candidate, Figure, Label, PackedCandidates, Region, Run, Verdict
from webapp.annotations.selectors import pack
from webapp.audit.models import Action
from webapp.audit.services import record, record_many
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput, NotAllowed
from webapp.jobs.models import Job
from webapp.jobs.services import JobStopped, job_create, job_succeed
from webapp.jobs.stored import DetectParameters
from webapp.notices.models import Kind
from webapp.notices.services import tell
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_active
from webapp.slides.blinding import demand_own, demand_reader, demand_unread
from webapp.slides.models import Slide

MAX_CORNERS = 5000
_AT_ONCE = 5000  # candidates written by one query
_Place = TypeVar("_Place", Figure, Candidate)


class VerdictConflict(DomainError):
    """Another person changed it first. figure: its current state, for a conflict about a figure."""

    def __init__(self, message: str, figure: Figure | None = None) -> None:
        super().__init__(message)
        self.figure = figure


def detection_request(*, slide: Slide, by: User | None, model: ModelVersion | None = None) -> Job:
    """Queue the detection of a slide by a model version (the active one by default)."""
    demand_own(slide)
    if slide.state == Slide.State.NEEDS_MPP:
        raise DomainError("The um/px of this slide is not known; enter it first, then mitoses can be found.")
    if slide.state != Slide.State.READY:
        raise DomainError(f"This slide is {slide.get_state_display()}; mitoses can be found when it is ready.")
    model = model or version_active()
    parameters = DetectParameters(model=str(model.pk), floor=settings.STORED_SCORE_FLOOR)
    return job_create(kind=Job.Kind.DETECT, slide=slide, by=by, parameters=parameters, shards=settings.DETECT_SHARDS)


def detection_request_if_wanted(*, slide: Slide) -> Job | None:
    """Queue the detection that was asked for with the upload, once the slide is ready for it."""
    if slide.state != Slide.State.READY or not slide.wants_detection:
        return None
    with transaction.atomic():
        job = detection_request(slide=slide, by=slide.uploaded_by)
        Slide.objects.filter(pk=slide.pk).update(wants_detection=False)
    return job


@dataclass(frozen=True)
class RunStamp:
    """All that is needed to get the same candidates again: fields of `Run`. mpp_x, mpp_y: um per level-0 px."""

    model: ModelVersion
    model_sha256: str
    parameters: Mapping[str, Any]
    mpp_x: float
    mpp_y: float
    code_version: str
    device: str
    precision: str
    windows_total: int
    windows_skipped: int


def run_save(
    *,
    job: Job,
    stamp: RunStamp,
    candidates: Iterable[tuple[float, float, float]],
    atypical: Sequence[float | None] | None = None,
) -> Run:
    """Write the candidates (x, y, score) of a job and end it, in one transaction. JobStopped where it ended before.

    atypical: of each, how likely it is atypical, None where that was not asked.
    """
    assert job.slide_id is not None, "a run is over a slide"
    with transaction.atomic():
        if not job_succeed(job=job):
            raise JobStopped(f"{job.pk} was merged or stopped by somebody else")
        rows = list(candidates)
        # Locked, so that no verdict comes between candidates and links.
        slide = lock_row(Slide, job.slide_id)
        run: Run = Run.objects.create(slide=slide, job=job, candidate_count=len(rows), **vars(stamp))
        candidates_write(run=run, rows=rows, atypical=atypical)
        # Verdicts hold for a place, so a new run begins with those of the runs before it.
        _write_links(_links(slide, list(Figure.objects.filter(slide=slide)), run.candidates.all()))
        tell(Kind.DETECTION_DONE, slide=slide, person=job.requested_by, reference=run.pk)
    return run


def candidates_write(
    *, run: Run, rows: Iterable[tuple[float, float, float]], atypical: Sequence[float | None] | None = None
) -> None:
    """Write the candidates (x, y, score) of a run, and beside them the form in which pages take them all at once.

    atypical: see `run_save`.
    """
    made = [Candidate(run=run, x=x, y=y, score=score) for x, y, score in rows]
    for one, likely in zip(made, atypical or (), strict=False):
        one.atypical = likely
    counts = _on_evaluable(run.slide, [(one.x, one.y) for one in made])
    for one, on in zip(made, counts, strict=True):
        one.evaluable = on
    Candidate.objects.bulk_create(made, batch_size=_AT_ONCE)
    packed = pack((one.score, one.x, one.y, one.pk) for one in made)
    PackedCandidates.objects.create(run=run, data=packed)


def candidates_place(*, slide: Slide) -> None:
    """Say anew which candidates of a slide lie on its evaluable area, after its regions, tissue or um/px changed."""
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk)  # no run comes meanwhile
        rows = list(Candidate.objects.filter(run__slide=slide).values_list("pk", "x", "y", "evaluable"))
        now = _on_evaluable(slide, [row[1:3] for row in rows])
        for on in (True, False):
            changed = [row[0] for row, counts in zip(rows, now, strict=True) if counts is on and row[3] is not on]
            for first in range(0, len(changed), _AT_ONCE):
                Candidate.objects.filter(pk__in=changed[first : first + _AT_ONCE]).update(evaluable=on)


def figure_judge(
    *,
    slide: Slide,
    by: User,
    label: Label,
    x: float,
    y: float,
    expected: int = 0,
    verdict: UUID | None = None,
    screened: bool = False,
    together: bool = False,
    atypical: bool | None = None,
) -> Figure:
    """Give a verdict on the candidate, or the judged figure, within 7.5 um of (x, y) level-0 px.

    Where there is neither, the figure is one that the detector missed and is added. expected: the version of the
    figure that the person saw, 0 for none. verdict: an id made by the client; the same one again changes nothing.
    screened: the person screens the slide field by field, which is said of a figure that is added. together: blinded
    readers who disagreed on the figure have settled it together; otherwise somebody else settles it.
    atypical: of a mitotic figure, whether the person calls it so, in a study that asks for it.
    Raises VerdictConflict where somebody else judged the figure in the meantime.
    """
    if atypical is not None and label != Label.MITOTIC:
        raise InvalidInput("Only a mitotic figure is atypical or not.")
    if label not in Label.values:
        raise InvalidInput(f"A verdict is one of {', '.join(value or 'empty' for value in Label.values)}.")
    _check_inside(slide, x, y)
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk, "case__study", "reader")  # one verdict at a time on a slide
        demand_reader(slide, by)
        if not slide.case.study.atypical:
            if atypical:
                raise DomainError("This study does not tell atypical figures; a manager turns it on, on its page.")
            atypical = None  # a page that was opened before it was turned off says False
        if verdict is not None and (given := Verdict.objects.select_related("figure").filter(pk=verdict).first()):
            if given.figure.slide_id != slide.pk:
                raise InvalidInput("This verdict's id is used on another slide.")
            return given.figure
        figure = _figure_at(slide, x, y)
        if figure.version != expected:
            last = figure.verdicts.select_related("by").last()
            who = last.by.get_username() if last and last.by else "Somebody"
            raise VerdictConflict(
                f"{who} has judged this figure in the meantime: {figure.get_label_display()}. "
                "Look at it again, then give your verdict; nothing was changed.",
                figure if figure.version else None,
            )
        before, settled = _verdict_on(figure), _settled_together(figure, by, label, together)
        figure.screened = figure.screened or (screened and figure.added and not figure.version)
        figure.version += 1
        figure.label, figure.atypical = label, atypical
        figure.save(update_fields=["version", "label", "screened", "disputed", "atypical"])
        Verdict.objects.create(
            pk=verdict or uuid4(), figure=figure, version=figure.version, label=label, atypical=atypical, by=by,
            together=settled,
        )  # fmt: skip
        record(Action.VERDICT, slide, who=by, before=before, after=_verdict_on(figure))
    return figure


def figures_judge(
    *, slide: Slide, by: User, judged: Sequence[tuple[Figure, Label]], found: Sequence[tuple[float, float, Label]]
) -> None:
    """Give many verdicts at once: on figures that nobody holds a verdict on, and on places (x, y) without a figure.

    Each place takes the nearest candidate within 7.5 um that no figure has, those that lie exactly on one first; where
    there is none, the figure is one that the detector missed and is added.
    """
    for x, y, _ in found:
        _check_inside(slide, x, y)
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk, "case__study", "reader")
        demand_reader(slide, by)
        before = [_verdict_on(figure) for figure, _ in judged]
        for figure, label in judged:
            _settled_together(figure, by, label, together=False)
            figure.label, figure.atypical = label, None
            figure.version += 1
        changed = ["label", "atypical", "version", "disputed"]
        Figure.objects.bulk_update([figure for figure, _ in judged], changed, batch_size=500)
        new = [Figure(slide=slide, x=x, y=y, label=label, version=1, added=True) for x, y, label in found]
        _figures_create(slide, new)
        Verdict.objects.bulk_create(
            [
                Verdict(figure=figure, version=figure.version, label=figure.label, by=by)
                for figure in [*(figure for figure, _ in judged), *new]
            ],
            batch_size=500,
        )
        done = [(slide, was, _verdict_on(figure)) for was, (figure, _) in zip(before, judged, strict=True)]
        record_many(Action.VERDICT, [*done, *((slide, None, _verdict_on(figure)) for figure in new)], who=by)


def annotations_copy(*, run: Run, copy: Slide, candidates: bool) -> None:
    """Give a blinded reader's copy of a slide its regions, and a run of the slide with candidates or without."""
    with transaction.atomic():
        drawn = Region.objects.current().filter(slide=run.slide_id)
        Region.objects.bulk_create(
            Region(slide=copy, kind=one.kind, polygon=one.polygon, by_id=one.by_id) for one in drawn
        )
        found = list(run.candidates.all()) if candidates else []
        rows = [(one.x, one.y, one.score) for one in found]
        stamp = {field.name: getattr(run, field.name) for field in fields(RunStamp)}
        made = Run.objects.create(slide=copy, candidate_count=len(rows), **stamp)
        candidates_write(run=made, rows=rows, atypical=[one.atypical for one in found])


def figures_bring_together(*, slide: Slide, figures: Sequence[tuple[Figure, Sequence[Verdict]]]) -> None:
    """Keep new figures of a slide with the verdicts of blinded readers on each; see `figures_judge` for places."""
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk)
        _figures_create(slide, [figure for figure, _ in figures])
        Verdict.objects.bulk_create([one for _, verdicts in figures for one in verdicts], batch_size=500)
        record_many(Action.VERDICT, [(slide, None, _verdict_on(figure)) for figure, _ in figures])


def _figures_create(slide: Slide, new: Sequence[Figure]) -> None:
    """Write figures that were added, each where the nearest free candidate is, if there is one."""
    linked = []
    for run in Run.objects.filter(slide=slide).order_by("-created_at"):  # the newest decides where a figure is
        for figure, candidate in _links(slide, new, run.candidates.all()):
            if figure.added:
                figure.x, figure.y, figure.added = candidate.x, candidate.y, False
            linked.append((figure, candidate))
    Figure.objects.bulk_create(new, batch_size=500)
    _write_links(linked)


def _settled_together(figure: Figure, by: User, label: Label, together: bool) -> bool:
    """Whether a verdict settles a dispute by those who had it. Raises NotAllowed where one of them does it alone."""
    if not figure.disputed:
        return False
    if figure.verdicts.filter(by=by).exists() is not together:
        raise NotAllowed("Those who disagree on a figure settle it together; anybody else settles it alone.")
    figure.disputed = label == Label.OPEN
    return together


def region_draw(
    *, slide: Slide, by: User, kind: Region.Kind, polygon: list[list[float]], replaces: Region | None = None
) -> Region:
    """Keep a polygon ([[x, y], ...] level-0 px); `replaces` is the region that it is an edit of.

    Raises VerdictConflict where that one was changed or removed in the meantime.
    """
    demand_unread(slide)
    corners = polygon_checked(slide, polygon)
    with transaction.atomic():
        if replaces is not None:
            _end(replaces, by)
        region = Region(slide=slide, kind=kind, polygon=corners, by=by, replaces=replaces)
        regions_keep(slide=slide, by=by, regions=[region])
    return region


def regions_keep(*, slide: Slide, by: User, regions: Sequence[Region]) -> None:
    """Keep new regions, their polygons checked (`polygon_checked`)."""
    with transaction.atomic():
        Region.objects.bulk_create(regions)
        drawn = ({"region": str(one.pk), "kind": one.kind, "polygon": one.polygon} for one in regions)
        record_many(Action.REGION_DRAWN, [(slide, None, one) for one in drawn], who=by)
        candidates_place(slide=slide)


def region_remove(*, region: Region, by: User) -> None:
    """End a region; it stays in the history. Raises VerdictConflict where it had ended."""
    demand_unread(region.slide)
    with transaction.atomic():
        _end(region, by)
        candidates_place(slide=region.slide)


def _end(region: Region, by: User) -> None:
    if not Region.objects.filter(pk=region.pk, ended_at=None).update(ended_at=timezone.now(), ended_by=by):
        raise VerdictConflict("Somebody has changed or removed this region in the meantime; reload to see it.")
    removed = {"region": str(region.pk), "kind": region.kind, "polygon": region.polygon}
    record(Action.REGION_REMOVED, region.slide, who=by, before=removed)


def _on_evaluable(slide: Slide, xy: Sequence[tuple[float, float]]) -> list[bool]:
    """Which places, level-0 px, lie on the evaluable area of a slide."""
    regions = list(Region.objects.current().filter(slide=slide))
    inside: list[bool] = evaluable_of(slide, regions).contains(np.array(xy, float).reshape(-1, 2)).tolist()
    return inside


def _verdict_on(figure: Figure) -> dict[str, Any]:
    """A verdict, as it is recorded."""
    where = {"figure": str(figure.pk), "x": figure.x, "y": figure.y}
    told = {} if figure.atypical is None else {"atypical": figure.atypical}
    return {**where, "verdict": figure.label, "version": figure.version, "added": figure.added, **told}


def _check_inside(slide: Slide, x: float, y: float) -> None:
    if not (0 <= x <= (slide.width or 0) and 0 <= y <= (slide.height or 0)):
        raise InvalidInput(f"The place ({x:g}, {y:g}) lies outside of the slide.")


def _figure_at(slide: Slide, x: float, y: float) -> Figure:
    """The judged figure at a place, else a new one where the nearest candidate is, else a new one that was added."""
    reach = match_reach(slide)
    figure = _nearest(Figure.objects.filter(slide=slide), x, y, reach)
    if figure is not None:
        return figure
    candidates = Candidate.objects.filter(run__slide=slide)
    # The newest run decides where a candidate is; older ones may have it some pixels away.
    run = Run.objects.filter(slide=slide).order_by("-created_at").first()
    nearest = _nearest(candidates.filter(run=run), x, y, reach) or _nearest(candidates, x, y, reach)
    figure = Figure.objects.create(
        slide=slide, x=nearest.x if nearest else x, y=nearest.y if nearest else y, added=nearest is None
    )
    near = _in_reach(candidates, figure.x, figure.y, reach)
    for pk in set(near.values_list("run", flat=True)):
        _write_links(_links(slide, [figure], near.filter(run=pk)))
    return figure


def _links(slide: Slide, figures: Sequence[Figure], candidates: QuerySet[Candidate]) -> list[tuple[Figure, Candidate]]:
    """Which free candidate of one run each figure takes: one exactly on it, else the nearest within 7.5 um."""
    free = list(candidates.filter(figure=None).order_by("pk")) if figures else []
    pairs = match_places_exact_first(figures, free, match_reach(slide))
    return [(figures[index], free[other]) for index, other in pairs.items()]


def _write_links(links: Sequence[tuple[Figure, Candidate]]) -> None:
    for figure, candidate in links:
        candidate.figure = figure
    Candidate.objects.bulk_update([candidate for _, candidate in links], ["figure"], batch_size=500)


def _nearest(places: QuerySet[_Place], x: float, y: float, reach: tuple[float, float]) -> _Place | None:
    """The place nearest to (x, y) within `reach`."""
    near = list(_in_reach(places, x, y, reach).order_by("pk"))
    found = match_places([Place(x, y, 0.0)], near, reach)
    return near[found[0]] if found else None


def _in_reach(places: QuerySet[_Place], x: float, y: float, reach: tuple[float, float]) -> QuerySet[_Place]:
    """The places in the box of `reach` px around (x, y): by the index, what may match."""
    return places.filter(x__range=(x - reach[0], x + reach[0]), y__range=(y - reach[1], y + reach[1]))


def polygon_checked(slide: Slide, polygon: Any) -> list[list[float]]:
    """The corners [[x, y], ...] of a polygon on a slide. Raises InvalidInput where it is none."""
    try:
        corners = [[float(x), float(y)] for x, y in polygon]
    except (OverflowError, TypeError, ValueError):
        raise InvalidInput("A polygon is a list of corners [x, y] in level-0 pixels.") from None
    if not 3 <= len(corners) <= MAX_CORNERS:
        raise InvalidInput(f"A polygon has 3 to {MAX_CORNERS} corners.")
    width, height = slide.width or 0, slide.height or 0
    if not all(0 <= x <= width and 0 <= y <= height for x, y in corners):
        raise InvalidInput("The polygon leaves the slide.")
    if not shapely.make_valid(shapely.Polygon(corners), method="structure").area:
        raise InvalidInput("The polygon has no area.")
    return corners
