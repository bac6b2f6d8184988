"""Calibration for a scanner: the shift of the active version's logits, from figures judged on its slides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from detector import paper
from webapp.annotations.models import Candidate, Figure, Label, Run, Verdict
from webapp.core.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.jobs.states import OPEN
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_active, version_register
from webapp.results.filters import scanners_of
from webapp.retraining.judgements import judgement_request_if_possible
from webapp.retraining.manifest import json_hash
from webapp.retraining.models import LockedCase, ScannerCalibration
from webapp.retraining.provenance import removed_now
from webapp.retraining.types import CalibrationFigure, CalibrationResult
from webapp.slides.models import Slide

_NAMED_AFTER = ", calibrated for "


@dataclass(frozen=True)
class JudgedScanner:
    """The judged figures on slides of a scanner that a calibration can use: with a score by the active version.

    missed: mitotic figures that it has not found, besides. refusal: why there are too few, "" where there are enough.
    """

    scanner: str
    slides: int = field(metadata={"help_text": "Slides with such figures; those of locked cases are left out."})
    mitotic: int
    non_mitotic: int
    missed: int
    refusal: str

    @property
    def scored(self) -> int:
        """Figures with a score."""
        return self.mitotic + self.non_mitotic


def scanners_judged() -> list[JudgedScanner]:
    """Every scanner of the slides there are, in the order of their names. DomainError where no version is active."""
    active = version_active()
    scored = Q(score__isnull=False)
    counted: dict[str, dict[str, Any]] = {
        row["slide__scanner"]: {**row}
        for row in _figures(active)
        .order_by()
        .values("slide__scanner")
        .annotate(
            slides=Count("slide", distinct=True),
            mitotic=Count("pk", filter=scored & Q(label=Label.MITOTIC)),
            non_mitotic=Count("pk", filter=scored & Q(label=Label.NON_MITOTIC)),
            missed=Count("pk", filter=~scored & Q(label=Label.MITOTIC)),
        )
    }
    return [_judged(scanner, active, counted.get(scanner, {})) for scanner in scanners_of(Slide.objects.all())]


def calibration_request(*, scanner: str, by: User) -> ScannerCalibration:
    """Freeze the judged figures of a scanner, and queue the calibration of the active version.

    Refuses fewer than `paper.SCANNER_FIGURES` figures with a score, and verdicts that are all the same.
    """
    active = version_active()
    if active.pk in removed_now().versions:
        raise DomainError(f"{active} was made from what has been removed since; make another version active first.")
    there = {one.scanner: one for one in scanners_judged()}
    if scanner not in there:
        names = ", ".join(there) or "none yet"
        raise InvalidInput(f"No slide here was scanned with {scanner or 'that'}; the scanners are: {names}.")
    if refusal := there[scanner].refusal:
        raise DomainError(refusal)
    if ScannerCalibration.objects.filter(scanner=scanner, job__state__in=OPEN).exists():
        raise DomainError(f"A calibration for {scanner} is under way already.")
    figures = _frozen(active, scanner)
    with transaction.atomic():
        job = job_create(kind=Job.Kind.CALIBRATE, by=by)
        calibration: ScannerCalibration = ScannerCalibration.objects.create(
            scanner=scanner, job=job, parent=active, figures=figures, figures_sha256=json_hash(figures)
        )
    return calibration


def calibration_finish(*, calibration: ScannerCalibration, result: CalibrationResult) -> ModelVersion:
    """Register the weights with the shift as a candidate; queue its comparison where cases are locked."""
    with transaction.atomic():
        version = version_register(
            weights=calibration.folder / "weights.safetensors",
            name=calibrated_name(calibration.parent, calibration.scanner),
            parent=calibration.parent,
        )
        ScannerCalibration.objects.filter(pk=calibration.pk).update(version=version, result=result)
        remark = judgement_request_if_possible(version=version, by=calibration.job.requested_by)
        ScannerCalibration.objects.filter(pk=calibration.pk).update(remark=remark)
    return version


def calibrated_name(version: ModelVersion, scanner: str) -> str:
    """Name of a version that is calibrated for one scanner more: "mitoscope, calibrated for Aperio"."""
    scanners = sorted({*version.card.get("scanner_shifts", {}), scanner})
    return f"{version.name.split(_NAMED_AFTER)[0]}{_NAMED_AFTER}{', '.join(scanners)}"[:100]


def _judged(scanner: str, active: ModelVersion, counts: dict[str, Any]) -> JudgedScanner:
    slides, mitotic, non_mitotic, missed = (
        counts.get(key, 0) for key in ("slides", "mitotic", "non_mitotic", "missed")
    )
    scored = mitotic + non_mitotic
    refusal = ""
    if scored < paper.SCANNER_FIGURES:
        refusal = (
            f"{scored} judged figure{'' if scored == 1 else 's'} on slides of {scanner} "
            f"{'has' if scored == 1 else 'have'} a score by {active}; a calibration takes at least "
            f"{paper.SCANNER_FIGURES}. Judge more candidates on these slides, or detect on more of them with {active}."
        )
    elif not mitotic or not non_mitotic:
        what, other = ("mitotic", "non-mitotic") if mitotic else ("non-mitotic", "mitotic")
        refusal = (
            f"All {scored} judged figures with a score on slides of {scanner} are {what}, so no threshold tells them "
            f"apart. Judge candidates that are {other} as well."
        )
    return JudgedScanner(scanner, slides, mitotic, non_mitotic, missed, refusal)


def _figures(active: ModelVersion) -> QuerySet[Any]:
    """Figures with a mitotic or non-mitotic verdict on slides that the version has detected on, each with the newest
    such run (`run`), its score there (`score`, null where it is not found) and whose the verdict is (`by`).

    Without slides of locked cases, and without what has been removed.
    """
    removed = removed_now()
    last = Verdict.objects.filter(figure=OuterRef("pk"), version=OuterRef("version"))
    newest = Run.objects.filter(slide=OuterRef("slide"), model=active).order_by("-created_at")
    found = Candidate.objects.filter(run=OuterRef("run"), figure=OuterRef("pk")).order_by("-score")
    return (
        Figure.objects.filter(label__in=[Label.MITOTIC, Label.NON_MITOTIC], slide__state=Slide.State.READY)
        .filter(slide__original=None)  # no copy, which somebody reads blinded
        .exclude(slide__case__identifier__in=LockedCase.objects.values("name"))
        .exclude(slide__in=removed.slides)
        .annotate(run=Subquery(newest.values("pk")[:1]), by=Subquery(last.values("by")[:1]))
        .filter(Q(by=None) | ~Q(by__in=removed.people), run__isnull=False)
        .annotate(score=Subquery(found.values("score")[:1]))
    )


def _frozen(active: ModelVersion, scanner: str) -> list[CalibrationFigure]:
    """The figures of a scanner. A non-mitotic one that the version has not found says nothing of a threshold."""
    rows = _figures(active).filter(slide__scanner=scanner).exclude(label=Label.NON_MITOTIC, score=None)
    rows = rows.order_by("slide", "y", "x")
    kept = list(rows.values_list("pk", "slide", "slide__case__identifier", "x", "y", "label", "score", "run", "by"))
    stamps = dict(Run.objects.filter(pk__in={row[7] for row in kept}).values_list("pk", "parameters"))
    return [
        {"id": str(pk), "slide": str(slide), "case": case, "x": x, "y": y, "label": label, "score": score,
         "logit_shift": stamps[run].get("logit_shift", 0.0), "by": by}
        for pk, slide, case, x, y, label, score, run, by in kept
    ]  # fmt: skip
