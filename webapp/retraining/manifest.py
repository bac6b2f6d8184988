"""The manifest of a training: its frozen inputs, split by case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from detector.split import validation_cases
from webapp.annotations.models import Figure, Label, Verdict
from webapp.core.errors import DomainError, InvalidInput
from webapp.retraining.locked_cases import refuse_locked
from webapp.retraining.models import LabelledFrame, LabelledSet, LockedCase, MinedSample
from webapp.retraining.provenance import Affected, removed_now
from webapp.retraining.types import Manifest, ManifestFigure, ManifestSample, ManifestSet
from webapp.slides.models import Slide


def manifest_of(
    *, sets: Sequence[LabelledSet], cases: Sequence[str] | None, verdicts: bool, samples: QuerySet[MinedSample],
    seed: int, known: Collection[str] = (),
) -> Manifest:  # fmt: skip
    """The inputs of a training, with hashes, and their split by case.

    sets: with their cases. figures: judged places with their verdicts then. mined: samples that were
    neither rejected nor judged non-mitotic. slides: of both, with the hash of the file. train, validation, test: names
    of cases; no name is in two of them. What has been removed, and what was made from it, is left out. known: cases
    that the parent was trained on, so no test cases.
    """
    removed, locked = removed_now(), set(LockedCase.objects.values_list("name", flat=True))
    parts: list[ManifestSet] = []
    labelled: set[str] = set()
    for one in sets:
        if one.pk in removed.sets:
            raise DomainError(f"The set {one} has been removed from training; undo that, or train without it.")
        there = set(one.frames.values_list("case", flat=True))
        if not there:
            raise DomainError(f"The set {one} has not been read yet; see its job.")
        offered = there - locked if cases is None else there & set(cases)
        parts.append({"id": str(one.pk), "name": one.name, "sha256": one.sha256, "by": one.by_id,
                      "cases": sorted(offered)})  # fmt: skip
        labelled |= offered
    if cases is not None and (missing := set(cases) - labelled):
        raise InvalidInput(f"The sets hold no case {', '.join(sorted(missing))}.")
    figures = _figures(removed, locked) if verdicts else []
    mined = _mined(removed, samples)
    refuse_locked(labelled | {row["case"] for row in [*figures, *mined]})
    judged = labelled | {row["case"] for row in figures}
    frames = LabelledFrame.objects.filter(labelled_set__in=sets, exhaustive=True)
    exhaustive = set(frames.values_list("case", flat=True))
    validation = validation_cases((labelled & exhaustive) - set(known), seed)
    used = {row["slide"] for row in [*figures, *mined]}
    slides = Slide.objects.filter(pk__in=used).select_related("case")
    manifest: Manifest = {
        "sets": parts,
        "figures": [row for row in figures if row["case"] not in validation],
        "mined": [row for row in mined if row["case"] not in validation],
        "slides": {str(s.pk): {"name": s.name, "case": s.case.identifier, "sha256": s.sha256} for s in slides},
        "train": sorted((judged | {row["case"] for row in mined}) - set(validation)),
        "validation": validation,
        "test": sorted(locked),
    }
    if not (set(judged) - set(validation)):
        raise InvalidInput("No labelled training data; choose a labelled set, or judge figures first.")
    return manifest


def json_hash(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _figures(removed: Affected, locked: set[str]) -> list[ManifestFigure]:
    """Figures with a mitotic or non-mitotic verdict, on slides of cases that are not locked."""
    last = Verdict.objects.filter(figure=OuterRef("pk"), version=OuterRef("version"))
    rows = (
        Figure.objects.filter(label__in=[Label.MITOTIC, Label.NON_MITOTIC], slide__state=Slide.State.READY)
        .filter(slide__original=None)  # no copy, which somebody reads blinded
        .exclude(Q(slide__case__identifier__in=locked) | Q(slide__in=removed.slides) | Q(slide__mpp_x=None))
        .annotate(by=Subquery(last.values("by")), at=Subquery(last.values("at")))
        .order_by("slide", "y", "x")
        .values_list("pk", "slide", "slide__case__identifier", "x", "y", "label", "version", "by", "at", "atypical")
    )
    return [
        {"id": str(pk), "slide": str(slide), "case": case, "x": x, "y": y, "label": label, "version": version,
         "by": by, "at": at.isoformat() if at else None, "atypical": atypical}
        for pk, slide, case, x, y, label, version, by, at, atypical in rows
        if by not in removed.people
    ]  # fmt: skip


def _mined(removed: Affected, samples: QuerySet[MinedSample]) -> list[ManifestSample]:
    rows = (
        samples.filter(rejected=MinedSample.Rejected.NO, verdict__in=[Label.OPEN, Label.MITOTIC])
        .exclude(Q(slide__in=removed.slides) | Q(run__in=removed.mining_runs))
        .order_by("run", "slide", "y", "x")
        .values_list("pk", "run", "slide", "slide__case__identifier", "x", "y", "least", "verdict", "verdict_by",
                     "verdict_at")
    )  # fmt: skip
    return [
        {"id": pk, "run": str(run), "slide": str(slide), "case": case, "x": x, "y": y, "least": least,
         "verdict": verdict, "by": by, "at": at.isoformat() if at else None}
        for pk, run, slide, case, x, y, least, verdict, by, at in rows
        if by not in removed.people
    ]  # fmt: skip
