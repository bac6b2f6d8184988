"""Removing a slide, a person's work or a set from training, and undoing that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.utils import timezone

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError, InvalidInput
from webapp.retraining.models import LabelledSet, Removal
from webapp.slides.models import Slide


def removal_make(
    *, by: User | None, reason: str, slide: Slide | None = None, person: User | None = None,
    labelled_set: LabelledSet | None = None,
) -> Removal:  # fmt: skip
    """No later training uses it, nor what was made from it (`provenance.affected_by` says what that is)."""
    if not reason.strip():
        raise InvalidInput("Give a reason; it is recorded with your name.")
    if sum(one is not None for one in (slide, person, labelled_set)) != 1:
        raise InvalidInput("Name one slide, one person or one labelled set.")
    subject = {"slide": slide, "person": person, "labelled_set": labelled_set}
    if Removal.objects.filter(ended_at=None, **subject).exists():
        raise DomainError("This has been removed already.")
    with transaction.atomic():
        removal: Removal = Removal.objects.create(by=by, reason=reason.strip(), **subject)
        record(Action.REMOVED, removal, who=by, after={"reason": removal.reason})
    return removal


def removal_make_of_deleted(*, pk: UUID, by: User | None, reason: str) -> None:
    """The same of a slide that was deleted before, where it is not removed yet."""
    if not Removal.objects.filter(slide_was=pk, ended_at=None).exists():
        with transaction.atomic():
            removal = Removal.objects.create(slide_was=pk, by=by, reason=reason)
            record(Action.REMOVED, removal, who=by, after={"reason": reason})


@receiver(pre_delete, sender=Slide)
def _outlives_its_slide(instance: Slide, **_: Any) -> None:
    """What learnt from a slide that was removed stays removed when the slide is deleted."""
    Removal.objects.filter(slide=instance).update(slide_was=instance.pk)


def removal_end(*, removal: Removal) -> None:
    """Undo a removal; later trainings may use it again. Not of a slide that was deleted."""
    if removal.slide_was is not None:
        raise DomainError("This slide was deleted; what learnt from it stays removed.")
    with transaction.atomic():
        if not Removal.objects.filter(pk=removal.pk, ended_at=None).update(ended_at=timezone.now()):
            raise DomainError("This removal has been taken back before.")
        record(Action.REMOVAL_ENDED, removal)
