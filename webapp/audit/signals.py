"""What Django tells of: sign-ins, its admin, people and their rights, and what is deleted, by whatever door."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.dispatch import receiver
from knox.models import AuthToken

from webapp.audit.models import Action
from webapp.audit.services import record

# Not slides and memberships: who deletes those says more.
_DELETED = (
    "auth.User", "auth.Group", "access.ProviderIdentity", "slides.Study", "slides.Case", "slides.Upload",
    "annotations.Run", "registry.ModelVersion", "retraining.LabelledSet", "retraining.MiningRun",
    "retraining.MitosisFreeSlide",
)  # fmt: skip
FACTOR_KEY = "second_factor"  # in the session: which one was given
_RIGHTS = ("is_active", "is_staff", "is_superuser", "email", "username")


def connect() -> None:
    """Listen to deletions of what is worth it; called when all models are there."""
    for label in _DELETED:
        post_delete.connect(_deleted, sender=apps.get_model(label))


def _deleted(instance: models.Model, **_: Any) -> None:
    record(Action.DELETED, instance)


@receiver(user_logged_in)
def _signed_in(user: User, request: Any = None, **_: Any) -> None:
    factor = request.session.get(FACTOR_KEY) if request is not None else None
    record(Action.SIGNED_IN, user, who=user, after={"second factor": factor} if factor else None)


@receiver(user_logged_out)
def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record(Action.SIGNED_OUT, user, who=user)


@receiver(post_save, sender=LogEntry)
def _changed_in_admin(instance: LogEntry, **_: Any) -> None:
    """In the transaction of the change; the admin's own log names the fields that were changed."""
    change = {"what": instance.get_action_flag_display(), "change": instance.change_message}
    named = f"{instance.content_type}: {instance.object_repr}"
    record(Action.ADMIN, None, who=instance.user, after={**change, "id": instance.object_id}, named=named)


@receiver(post_delete, sender=AuthToken)
def _token_ended(instance: AuthToken, **_: Any) -> None:
    record(Action.TOKEN_REVOKED, instance.user, before={"token": instance.token_key})


@receiver(pre_save, sender=User)
def _before_person(instance: User, **_: Any) -> None:
    before = User.objects.filter(pk=instance.pk).values(*_RIGHTS).first() if instance.pk else None
    instance._before = before  # type: ignore[attr-defined]  # for the next


@receiver(post_save, sender=User)
def _person(instance: User, **_: Any) -> None:
    before, after = getattr(instance, "_before", None), {name: getattr(instance, name) for name in _RIGHTS}
    if before != after:
        record(Action.PERSON, instance, before=before, after=after)


@receiver(m2m_changed)
def _rights(sender: Any, instance: Any, action: str, model: Any, pk_set: set[int] | None, **_: Any) -> None:
    """Groups and permissions of people, permissions of groups."""
    given = (User.groups.through, User.user_permissions.through, Group.permissions.through)
    if sender not in given or action not in {"post_add", "post_remove", "pre_clear"}:
        return
    names = sorted(map(str, model.objects.filter(pk__in=pk_set))) if pk_set else ["all"]
    change = {str(model._meta.verbose_name): names}
    added = action == "post_add"
    record(Action.PERSON, instance, before=None if added else change, after=change if added else None)
