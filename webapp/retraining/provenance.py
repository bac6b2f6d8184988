"""Provenance: from a slide, a person or a labelled set to the versions trained on it, and back.

A training is made from what its manifest lists and from its parent; a version from its training, or from its
calibration, which is made from judged figures and its parent; a mining run, with all of its samples, from the version
that mined. So one walk through trainings and mining runs, from the oldest to the
newest until nothing is added, finds everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.contrib.auth.models import User

from webapp.annotations.models import Run, Verdict
from webapp.registry.models import ModelVersion
from webapp.retraining.models import (
    LabelledSet,
    MinedSample,
    MiningRun,
    Removal,
    ScannerCalibration,
    TrainingRun,
)
from webapp.retraining.types import (
    UNKNOWN_SLIDE,
    JudgedFigure,
    Manifest,
    ManifestFigure,
    ManifestSample,
    ManifestSet,
)
from webapp.slides.models import Slide


@dataclass
class Affected:
    """What is removed (slides, people, sets) and what was made from it, by keys."""

    slides: set[UUID] = field(default_factory=set)
    people: set[int] = field(default_factory=set)
    sets: set[UUID] = field(default_factory=set)
    trainings: set[UUID] = field(default_factory=set)
    versions: set[UUID] = field(default_factory=set)
    mining_runs: set[UUID] = field(default_factory=set)

    def touches(self, manifest: Manifest) -> bool:
        """Whether a training with this manifest used any of it."""
        slides, sets, runs = ({str(pk) for pk in keys} for keys in (self.slides, self.sets, self.mining_runs))
        return (
            any(one["id"] in sets or one["by"] in self.people for one in manifest["sets"])
            or self.touches_figures(manifest["figures"])
            or any(
                one["slide"] in slides or one["run"] in runs or one["by"] in self.people for one in manifest["mined"]
            )
        )

    def touches_figures(self, figures: Sequence[JudgedFigure]) -> bool:
        """Whether one of the judged figures is of a slide or a person among it."""
        slides = {str(pk) for pk in self.slides}
        return any(one["slide"] in slides or one["by"] in self.people for one in figures)


def affected_by(*, removals: Iterable[Removal]) -> Affected:
    """Everything that was made from what the removals name; they need not be saved, to look before one removes."""
    found = Affected()
    for removal in removals:
        if (slide := removal.slide_id or removal.slide_was) is not None:
            found.slides.add(slide)
        if removal.person_id is not None:
            found.people.add(removal.person_id)
        if removal.labelled_set_id is not None:
            found.sets.add(removal.labelled_set_id)
    if found.people:
        found.sets |= set(LabelledSet.objects.filter(by__in=found.people).values_list("pk", flat=True))
    if not (found.slides or found.people or found.sets):
        return found
    trainings = list(TrainingRun.objects.order_by("at").only("manifest", "parent", "version"))
    calibrations = list(ScannerCalibration.objects.exclude(version=None).only("figures", "parent", "version"))
    before = -1
    while before != (before := len(found.trainings) + len(found.versions) + len(found.mining_runs)):
        for calibration in calibrations:
            made = calibration.version_id
            if made and (calibration.parent_id in found.versions or found.touches_figures(calibration.figures)):
                found.versions.add(made)
        for training in trainings:
            if training.parent_id in found.versions or found.touches(training.manifest):
                found.trainings.add(training.pk)
                if training.version_id is not None:
                    found.versions.add(training.version_id)
        found.mining_runs = set(MiningRun.objects.filter(model__in=found.versions).values_list("pk", flat=True))
    return found


def has_taught(slide: Slide) -> bool:
    """Whether a training or a calibration, of those under way as well, rests on a slide."""
    found = affected_by(removals=[Removal(slide=slide)])
    under_way = ScannerCalibration.objects.filter(version=None).only("figures")
    return bool(found.trainings or found.versions) or any(found.touches_figures(one.figures) for one in under_way)


def removed_now() -> Affected:
    """What the removals that hold have taken out of training, with everything made from it."""
    return affected_by(removals=Removal.objects.filter(ended_at=None))


@dataclass(frozen=True)
class AffectedInWords:
    """What a removal affects, for people: rows to show and counts of what is too many to list.

    what: the removal in words. active: of the versions the one that detects now. runs: detections by the versions.
    """

    what: str
    verdicts: int
    mined_samples: int
    sets: list[LabelledSet]
    trainings: list[TrainingRun]
    versions: list[ModelVersion]
    active: ModelVersion | None
    mining_runs: list[MiningRun]
    runs: int


def affected_in_words(*, removal: Removal) -> AffectedInWords:
    """The removal need not be saved, to look before one removes."""
    found = affected_by(removals=[removal])
    figures = Verdict.objects.all()
    samples = MinedSample.objects.filter(run__in=found.mining_runs) | MinedSample.objects.filter(slide__in=found.slides)
    if (slide := removal.slide_id or removal.slide_was) is not None:
        figures = figures.filter(figure__slide=slide)
    elif removal.person_id is not None:
        figures = figures.filter(by=removal.person_id)
        samples = samples | MinedSample.objects.filter(verdict_by=removal.person_id)
    else:
        figures = figures.none()
    versions = ModelVersion.objects.filter(pk__in=found.versions)
    return AffectedInWords(
        what=str(removal),
        verdicts=figures.count(),
        mined_samples=samples.distinct().count(),
        sets=list(LabelledSet.objects.filter(pk__in=found.sets)),
        trainings=list(TrainingRun.objects.filter(pk__in=found.trainings).defer("manifest", "curve")),
        versions=list(versions),
        active=versions.filter(state=ModelVersion.State.ACTIVE).first(),
        mining_runs=list(MiningRun.objects.filter(pk__in=found.mining_runs).select_related("model")),
        runs=Run.objects.filter(model__in=found.versions).count(),
    )


@dataclass(frozen=True)
class Learnt:
    """One training sample from a slide. x, y: level-0 px. there: the slide still exists. by: who gave the verdict.

    least: the lowest of the eight confidences of a mined sample, None of a figure that a person judged.
    """

    slide: str
    slide_name: str
    case: str
    there: bool
    x: float
    y: float
    label: str
    least: float | None
    run: str | None
    by: str
    at: str


def samples_of(*, training: TrainingRun) -> list[Learnt]:
    """Figures and mined samples of a training's manifest, by slide; what its sets hold is in their files."""
    manifest: Manifest = training.manifest
    rows: list[ManifestFigure | ManifestSample] = [*manifest["figures"], *manifest["mined"]]
    there = set(map(str, Slide.objects.filter(pk__in={row["slide"] for row in rows}).values_list("pk", flat=True)))
    people = dict(User.objects.filter(pk__in={row["by"] for row in rows}).values_list("pk", "username"))

    def learnt(row: ManifestFigure | ManifestSample, label: str, least: float | None, run: str | None) -> Learnt:
        return Learnt(
            slide=row["slide"], slide_name=manifest["slides"].get(row["slide"], UNKNOWN_SLIDE)["name"],
            case=row["case"], there=row["slide"] in there, x=row["x"], y=row["y"], label=label, least=least, run=run,
            by=people.get(row["by"] or 0, ""), at=row.get("at") or "",
        )  # fmt: skip

    figures = [learnt(row, row["label"], None, None) for row in manifest["figures"]]
    mined = [learnt(row, "mitotic", row["least"], row["run"]) for row in manifest["mined"]]
    return sorted([*figures, *mined], key=lambda one: (one.case, one.slide, one.y, one.x))


@dataclass(frozen=True)
class SourceSlide:
    """A slide that a training learnt from. there: it is still here. figures, mined: how many samples of each kind."""

    id: str
    there: bool
    name: str
    case: str
    sha256: str
    figures: int
    mined: int


@dataclass(frozen=True)
class Sources:
    """Where a version comes from. training: None where it was not trained here. sets: as in the training's manifest."""

    training: TrainingRun | None
    sets: list[ManifestSet]
    slides: list[SourceSlide]
    people: list[User]
    parent: ModelVersion | None


def sources_of(*, version: ModelVersion) -> Sources:
    """Its training, and of that sets, slides with samples and people, and its parent."""
    training = TrainingRun.objects.filter(version=version).select_related("parent", "job__requested_by").first()
    if training is None:
        return Sources(training=None, sets=[], slides=[], people=[], parent=version.parent)
    manifest: Manifest = training.manifest
    people = {one["by"] for part in ("sets", "figures", "mined") for one in manifest[part] if one["by"] is not None}
    figures, mined = (Counter(one["slide"] for one in manifest[part]) for part in ("figures", "mined"))
    there = set(map(str, Slide.objects.filter(pk__in={*figures, *mined}).values_list("pk", flat=True)))
    slides = {pk: manifest["slides"].get(pk, UNKNOWN_SLIDE) for pk in sorted({*figures, *mined})}
    return Sources(
        training=training,
        sets=manifest["sets"],
        slides=[
            SourceSlide(
                id=pk,
                there=pk in there,
                name=slide["name"],
                case=slide["case"],
                sha256=slide["sha256"],
                figures=figures[pk],
                mined=mined[pk],
            )
            for pk, slide in slides.items()
        ],
        people=list(User.objects.filter(pk__in=people).order_by("username")),
        parent=training.parent,
    )
