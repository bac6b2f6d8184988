"""What Django tells of: sign-ins, and what is changed in its admin."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_save
from django.dispatch import receiver

from webapp.audit.models import Action
from webapp.audit.services import record


@receiver(user_logged_in)
def _signed_in(user: User, **_: Any) -> None:
    record(Action.SIGNED_IN, user, who=user)


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
