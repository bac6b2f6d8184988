"""What a change brings with it, by whatever door: a record, slides that lose their reader, bytes that go."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import Signal, receiver

from webapp.access.services import answers_forget_of
from webapp.audit.models import Action
from webapp.audit.services import record, record_many
from webapp.slides.models import Case, Membership, Reading, Slide, Upload
from webapp.slides.roles import Right, may

area_changed = Signal()  # slide: the one whose tissue, or um/px, is another now


@receiver(pre_save, sender=Membership)
def _before(instance: Membership, **_: Any) -> None:
    before = Membership.objects.filter(pk=instance.pk).values_list("role", flat=True).first() if instance.pk else None
    instance._before = before  # type: ignore[attr-defined]  # for the next


@receiver(post_save, sender=Membership)
def _saved(instance: Membership, **_: Any) -> None:
    before = getattr(instance, "_before", None)
    if before != instance.role:
        _record(instance, before, instance.role)
        _sees_less(instance)


@receiver(post_delete, sender=Membership)
def _deleted(instance: Membership, **_: Any) -> None:
    _record(instance, instance.role, None)
    _sees_less(instance)


@receiver(post_delete, sender=Upload)
def _bytes_go(instance: Upload, **_: Any) -> None:
    """Those of an upload, by whatever door it was deleted: by its person, in the admin, or with its person.

    What cannot be deleted now, `uploads_sweep` deletes.
    """
    file = instance.file  # its name is forgotten with the row
    transaction.on_commit(lambda: file.unlink(missing_ok=True), robust=True)


@receiver(post_delete, sender=Case)
@receiver(post_delete, sender=Slide)
def _names_go(sender: type[Case | Slide], instance: Case | Slide, **_: Any) -> None:
    """What was changed of it in the admin is kept there by its name."""
    of_it = {"content_type__app_label": sender._meta.app_label, "content_type__model": sender._meta.model_name}
    LogEntry.objects.filter(**of_it, object_id=str(instance.pk)).delete()


@receiver(post_delete, sender=Reading)
def _copy_goes(instance: Reading, **_: Any) -> None:
    """With the reading, by whatever door that goes."""
    if instance.copy_id is not None:
        Slide._base_manager.filter(pk=instance.copy_id).delete()


def _record(membership: Membership, before: str | None, after: str | None) -> None:
    person = {"person": membership.user.get_username()}
    record(Action.ROLE, membership.study, before={**person, "role": before}, after={**person, "role": after})


def _sees_less(membership: Membership) -> None:
    """Answers that are kept do not come again, and who may judge no more is the reader of no slide."""
    user = membership.user
    answers_forget_of(user=user)
    if may(Right.JUDGE, user=user, study=membership.study_id):
        return
    assigned = Slide.objects.filter(case__study=membership.study_id, reader=user)
    done = [(slide, {"reader": user.get_username()}, {"reader": None}) for slide in assigned]
    if done:
        record_many(Action.SLIDE_ASSIGNED, done)
        assigned.update(reader=None)
