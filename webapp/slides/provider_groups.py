"""What groups of a hospital's provider mean here: roles in studies, administrators. By a TOML file, OIDC_GROUPS:

    administrators = ["mitoscope-admins"]

    [[role]]
    group = "pathology"
    study = "Breast"
    role = "reader"

At each sign-in a person has, in the studies that the file names, the highest role that a group of theirs gives, and
none where no group gives one. Other studies are left as they are. Without `administrators` nobody becomes one or ceases
to be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.slides.models import Membership, Study

_LADDER = [role.value for role in Membership.Role]


@dataclass(frozen=True)
class GroupMeanings:
    """administrators: groups whose members are; None: not said. roles: (group, study, role)."""

    administrators: frozenset[str] | None = None
    roles: list[tuple[str, str, str]] = field(default_factory=list)


def meanings_in_force() -> GroupMeanings | None:
    """Those of OIDC_GROUPS; None where that is not set. Raises ValueError."""
    return read_groups(Path(settings.OIDC_GROUPS)) if settings.OIDC_GROUPS else None


def read_groups(path: Path) -> GroupMeanings:
    """The file. Raises ValueError with what is wrong in it."""
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    administrators = said.get("administrators")
    if administrators is not None and not (isinstance(administrators, list) and all(map(_text, administrators))):
        raise ValueError(f"{path}: administrators is a list of names of groups")
    roles = []
    for number, one in enumerate(said.get("role", []), 1):
        if not isinstance(one, dict) or set(one) != {"group", "study", "role"} or not all(map(_text, one.values())):
            raise ValueError(f"{path}: role {number} has a group, a study and a role, each a text")
        if one["role"] not in _LADDER:
            raise ValueError(f"{path}: role {number} is {one['role']}; the roles are {', '.join(_LADDER)}")
        roles.append((one["group"], one["study"], one["role"]))
    return GroupMeanings(None if administrators is None else frozenset(administrators), roles)


def groups_apply(*, user: User, groups: Iterable[str], meanings: GroupMeanings) -> None:
    """Give a person who signs in what their groups mean, and take what they mean no more. A study that is not there is
    made when somebody who belongs to it comes."""
    theirs, wanted = set(groups), {name: "" for _, name, _ in meanings.roles}
    for group, name, role in meanings.roles:
        if group in theirs and _rank(role) > _rank(wanted[name]):
            wanted[name] = role
    with transaction.atomic():
        for name, role in wanted.items():
            if role:
                study, made = Study.objects.get_or_create(name=name)
                if made:
                    record(Action.STUDY_MADE, study, who=user, after={"by": "groups of the provider"})
                Membership.objects.update_or_create(study=study, user=user, defaults={"role": role})
            else:
                for membership in Membership.objects.filter(study__name=name, user=user):
                    membership.delete()
        if meanings.administrators is not None:
            administers = bool(theirs & meanings.administrators)
            if (user.is_superuser, user.is_staff) != (administers, administers):
                user.is_superuser = user.is_staff = administers
                user.save(update_fields=["is_superuser", "is_staff"])


def _rank(role: str) -> int:
    return _LADDER.index(role) if role else -1


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
