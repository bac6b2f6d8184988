"""Writing studies: their names, how they count, their members."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput, NotAllowed
from webapp.core.names import named
from webapp.slides.models import Membership, Study
from webapp.slides.roles import Right, demand


def study_create(*, name: str, manager: User, **counting: Any) -> Study:
    """A study with its first member. counting: `rule`, `area_mm2`, `shape`."""
    with transaction.atomic():
        study = _named_study(Study(**counting), name)
        Membership.objects.create(study=study, user=manager, role=Membership.Role.MANAGER)
        record(Action.STUDY_MADE, study, after={"manager": manager.get_username(), **counting})
    return study


def study_change(*, study: Study, by: User, name: str | None = None, **counting: Any) -> Study:
    """Another name, or another way of counting (`rule`, `area_mm2`, `shape`). For managers."""
    demand(Right.MANAGE, user=by, study=study.pk)
    with transaction.atomic():
        study = lock_row(Study, study.pk)
        consent = Study.DeletedReports.CONSENT
        if study.deleted_reports == consent != counting.get("deleted_reports", consent) and not by.is_superuser:
            raise NotAllowed("That a second manager agrees to deletions is taken back by an administrator alone.")
        changed = {**counting, **({} if name is None else {"name": name})}
        before = {field: getattr(study, field) for field in changed}
        for field, value in counting.items():
            setattr(study, field, value)
        study = _named_study(study, study.name if name is None else name)
        record(Action.STUDY_CHANGED, study, who=by, before=before, after={key: getattr(study, key) for key in changed})
    return study


def member_put(*, study: Study, user: User, role: str | None, by: User) -> Membership:
    """Add a person to a study (a reader by default), or give a member another role. For managers; one must stay."""
    demand(Right.MANAGE, user=by, study=study.pk)
    with transaction.atomic():
        lock_row(Study, study.pk)
        given = {"role": role} if role else {}
        membership, _ = Membership.objects.update_or_create(study=study, user=user, defaults=given)
        _check_managed(study)
    return membership


def member_remove(*, study: Study, user: User, by: User) -> None:
    """Take a person out of a study. For managers; one manager must stay. The person's slides have no reader then."""
    demand(Right.MANAGE, user=by, study=study.pk)
    with transaction.atomic():
        lock_row(Study, study.pk)
        if not Membership.objects.filter(study=study, user=user).delete()[0]:
            raise InvalidInput(f"{user.get_username()} is not in this study.")
        _check_managed(study)


def _named_study(study: Study, name: str) -> Study:
    """Save a study under a name that no other has."""
    study.name = named(name, what="study", longest=200)
    if not study.name:
        raise InvalidInput("A study needs a name.")
    try:
        with transaction.atomic():
            study.save()
    except IntegrityError as error:
        raise DomainError(f"There is a study called {study.name} already.") from error
    return study


def _check_managed(study: Study) -> None:
    if not Membership.objects.filter(study=study, role=Membership.Role.MANAGER, user__is_active=True).exists():
        raise DomainError("A study needs a manager; make somebody else a manager first.")
