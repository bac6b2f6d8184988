"""Locked test cases and mitosis-free slides: compared on, never trained on."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from detector.model.card import training_cases
from webapp.annotations.models import Label
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError, InvalidInput
from webapp.registry.models import ModelVersion
from webapp.retraining.models import LabelledFrame, LockedCase, MitosisFreeSlide, ScannerCalibration, TrainingRun
from webapp.slides.blinding import demand_unread
from webapp.slides.models import Slide


def case_lock(*, name: str, by: User) -> LockedCase:
    """Make a case a locked test case. Refuses one that the active version was trained on."""
    if not (LabelledFrame.objects.filter(case=name).exists() or Slide.objects.filter(case__identifier=name).exists()):
        raise InvalidInput(f"No labelled frame and no slide belongs to a case {name}.")
    active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
    if active is not None and name in cases_learnt_by(active):
        raise DomainError(f"{active}, the active version, was trained on the case {name}; it cannot be a test case.")
    with transaction.atomic():
        case, made = LockedCase.objects.get_or_create(name=name, defaults={"by": by})
        if made:
            record(Action.CASE_LOCKED, case, who=by)
    return case


def case_unlock(*, case: LockedCase) -> None:
    """Unlock a case. Refused after a comparison on it: later ones would not be fair."""
    with transaction.atomic():
        record(Action.CASE_UNLOCKED, case)
        if not LockedCase.objects.filter(pk=case.pk, used_at=None).delete()[0]:
            raise DomainError(f"Versions have been compared on the case {case}; it stays locked.")


def free_slide_add(*, slide: Slide, by: User) -> MitosisFreeSlide:
    """Mark a slide as mitosis-free, to count false positives on; locks its case.

    Refuses a slide that is not ready, one with a mitotic verdict, and what `case_lock` refuses.
    """
    demand_unread(slide)
    if slide.state != Slide.State.READY or slide.mpp is None:
        raise DomainError(f"{slide} is not ready; mark it when it is.")
    if slide.figures.filter(label=Label.MITOTIC).exists():
        raise DomainError(f"On {slide} a figure has a mitotic verdict, so the slide is not mitosis-free.")
    with transaction.atomic():
        case_lock(name=slide.case.identifier, by=by)
        made, new = MitosisFreeSlide.objects.get_or_create(slide=slide, defaults={"by": by})
        if new:
            record(Action.MITOSIS_FREE, slide, who=by)
    return made


def free_slide_remove(*, free: MitosisFreeSlide) -> None:
    """Unmark a slide; its case stays locked until it is unlocked."""
    free.delete()


def cases_learnt_by(version: ModelVersion) -> set[str]:
    """Names of the training cases of a version and its parents, as far as cards and manifests tell; those that it was
    calibrated on for a scanner are among them."""
    names: set[str] = set()
    for training in TrainingRun.objects.filter(version=version).select_related("parent"):
        names |= set(training.manifest["train"])
        if training.parent is not None:
            names |= cases_learnt_by(training.parent)
    for calibration in ScannerCalibration.objects.filter(version=version).select_related("parent"):
        names |= {figure["case"] for figure in calibration.figures} | cases_learnt_by(calibration.parent)
    return names | training_cases(version.card)


def refuse_locked(names: set[str]) -> None:
    """DomainError naming the locked test cases among these."""
    if locked := sorted(LockedCase.objects.filter(name__in=names).values_list("name", flat=True)):
        raise DomainError(f"Locked test case, never trained on: {', '.join(locked)}.")
