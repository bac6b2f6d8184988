"""Cases and slides without mitoses that are kept for judging, and never learnt from."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from detector.model.card import training_cases
from webapp.annotations.models import Label
from webapp.core.errors import DomainError, InvalidInput
from webapp.registry.models import ModelVersion
from webapp.retraining.models import LabelledFrame, LockedCase, MitosisFreeSlide, TrainingRun
from webapp.slides.models import Slide


def case_lock(*, name: str, by: User) -> LockedCase:
    """Keep a case for judging: it never trains from now on. Refuses one that the active version has learnt from."""
    if not (LabelledFrame.objects.filter(case=name).exists() or Slide.objects.filter(case__identifier=name).exists()):
        raise InvalidInput(f"No labelled frame and no slide is of a case {name}.")
    active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
    if active is not None and name in cases_learnt_by(active):
        raise DomainError(f"{active}, the active version, has learnt from the case {name}; it cannot be judged on it.")
    case, _ = LockedCase.objects.get_or_create(name=name, defaults={"by": by})
    return case


def case_unlock(*, case: LockedCase) -> None:
    """Give a case back to training; not after a judgement, which would no longer be fair to what comes."""
    if not LockedCase.objects.filter(pk=case.pk, used_at=None).delete()[0]:
        raise DomainError(f"Versions have been judged on the case {case}; it stays locked.")


def free_slide_add(*, slide: Slide, by: User) -> MitosisFreeSlide:
    """Take a person's word that a slide is without mitoses, to judge versions on; its case is locked for that.

    Refuses a slide that is not ready, one with a figure that somebody called mitotic, and what `case_lock` refuses.
    """
    if slide.state != Slide.State.READY or slide.mpp is None:
        raise DomainError(f"{slide} is not ready to be looked at; say so when it is.")
    if slide.figures.filter(label=Label.MITOTIC).exists():
        raise DomainError(f"On {slide} somebody has called a figure mitotic, so it is not without mitoses.")
    with transaction.atomic():
        case_lock(name=slide.case.identifier, by=by)
        made, _ = MitosisFreeSlide.objects.get_or_create(slide=slide, defaults={"by": by})
    return made


def free_slide_remove(*, free: MitosisFreeSlide) -> None:
    """Judge versions without this slide from now on; its case stays locked until it is unlocked."""
    free.delete()


def cases_learnt_by(version: ModelVersion) -> set[str]:
    """Names of the cases that a version, and the versions it was begun from, learnt from, as far as records tell."""
    names: set[str] = set()
    for training in TrainingRun.objects.filter(version=version).select_related("parent"):
        names |= set(training.manifest["train"])
        if training.parent is not None:
            names |= cases_learnt_by(training.parent)
    return names | training_cases(version.card)


def _refuse_locked(names: set[str]) -> None:
    if locked := sorted(LockedCase.objects.filter(name__in=names).values_list("name", flat=True)):
        raise DomainError(f"Locked for judging, so never learnt from: the case {', '.join(locked)}.")
