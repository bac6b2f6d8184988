"""Who may do what in a study: the one place of these rules. What no rule gives, nobody may.

Each role may what the one before it may, and more: a viewer looks, an uploader uploads and has slides detected on, a
reader judges, draws regions, signs and exports the slide that is read, a manager has the study itself: members and
their roles, how it counts, exports of all of it, deleting. Administrators (superusers) may everything. What may name a
patient needs a permission of its own besides: `may_see_identity`.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.auth.models import User

from webapp.core.errors import InvalidInput, NotAllowed
from webapp.slides.models import Membership, Slide, Study, Viewer

Role = Membership.Role


class Right(StrEnum):
    """What a role gives, beside looking, which every member may."""

    UPLOAD = "upload slides and have them detected on"
    JUDGE = "judge, draw regions, sign and export a slide"
    MANAGE = "change its members and how it counts, export all of it, and delete"


class NoReader(InvalidInput):
    """Somebody cannot be the reader of a slide; whether there is such a person is not told."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is not in the study of this slide as a reader or manager; ask a manager to add the person."
        )


ROLES: dict[Right, frozenset[str]] = {
    Right.UPLOAD: frozenset({Role.UPLOADER, Role.READER, Role.MANAGER}),
    Right.JUDGE: frozenset({Role.READER, Role.MANAGER}),
    Right.MANAGE: frozenset({Role.MANAGER}),
}
_FOR = {
    Right.UPLOAD: "uploaders, readers and managers",
    Right.JUDGE: "readers and managers",
    Right.MANAGE: "managers",
}


def may(right: Right, *, user: Viewer, study: int) -> bool:
    """Whether a person has a right in the study with this key."""
    if not user.is_authenticated or not user.is_active:
        return False
    if getattr(user, "is_superuser", False):
        return True
    return Membership.objects.filter(study=study, user=user.pk, role__in=ROLES[right]).exists()


def demand(right: Right, *, user: Viewer, study: int) -> None:
    """Raise NotAllowed where a person has not the right, with who has it."""
    if not may(right, user=user, study=study):
        name = Study.objects.values_list("name", flat=True).get(pk=study)
        raise NotAllowed(f"In the study {name} only {_FOR[right]} may {right}; ask a manager of it for the role.")


def demand_on(right: Right, slide: Slide, user: Viewer) -> None:
    """As `demand`, in the study of a slide."""
    demand(right, user=user, study=slide.case.study_id)


def studies_of(user: Viewer, right: Right) -> list[Study]:
    """The studies in which a person has a right, the oldest first."""
    studies = Study.objects.visible_to(user).order_by("pk")
    if not getattr(user, "is_superuser", False):
        studies = studies.filter(memberships__user=user.pk, memberships__role__in=ROLES[right])
    return list(studies)


def reader_called(name: str, *, study: int) -> User:
    """The person of this name who may be the reader of a slide of a study. Raises NoReader for everybody else."""
    person: User | None = User.objects.filter(username=name, is_active=True).first()
    if person is None or not may(Right.JUDGE, user=person, study=study):
        raise NoReader(name)
    return person
