"""Reading slides and their readers, where the lists of `visible_to` are not enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet

from webapp.core.cached_sql import CachedSql
from webapp.slides.models import Membership, Slide, Study, Viewer
from webapp.slides.roles import ROLES, Right

# In the order of the model, as `from_db` wants them; what else there is is read when it is needed.
_SHOWN = ("state", "path", "sha256", "width", "height", "mpp_x", "mpp_y", "original_id")


def viewer_values(user: Viewer) -> tuple[bool, dict[str, int]]:
    """For prepared queries of what is `visible_to` a person: whether they see all studies, and their key."""
    return getattr(user, "is_superuser", False), {"user": user.pk or 0}


def viewer_of(sees_all: bool, user: int) -> User:
    """The other way round, for who builds such a query."""
    return User(pk=user, is_superuser=sees_all)


def _shown(sees_all: bool, *, slide: UUID, user: int) -> QuerySet[Any, Any]:
    slides = Slide.objects.visible_to(viewer_of(sees_all, user)).filter(pk=slide)
    return slides.order_by().values_list(*_SHOWN)


_slides = CachedSql(_shown)


def slide_shown(*, user: Viewer, pk: UUID) -> Slide | None:
    """The slide, where the person sees it and there is something to be seen."""
    if not user.is_authenticated or not user.is_active:
        return None
    sees_all, values = viewer_values(user)
    for row in _slides(sees_all, slide=pk, **values):
        slide: Slide = Slide.from_db(connection.alias, ("id", *_SHOWN), (pk, *row))
        return slide if slide.state in {Slide.State.READY, Slide.State.NEEDS_MPP} else None
    return None


def readers_of(*, studies: QuerySet[Study]) -> list[str]:
    """The names of all members of some studies."""
    members = User.objects.filter(memberships__study__in=studies, is_active=True)
    return list(members.order_by("username").values_list("username", flat=True).distinct())


def readers_by_study(*, slides: Iterable[Slide], user: Viewer) -> dict[int, list[str]]:
    """Of the study of each slide: the names of those who can be made its reader."""
    own = {user.get_username()} if getattr(user, "is_superuser", False) else set()
    names: dict[int, set[str]] = {slide.case.study_id: {*own} for slide in slides}
    members = Membership.objects.filter(study__in=names, user__is_active=True, role__in=ROLES[Right.JUDGE])
    for study, name in members.values_list("study", "user__username"):
        names[study].add(name)
    return {study: sorted(found) for study, found in names.items()}


def reports_on(*, slide: Slide) -> int:
    """How many signed reports rest on a slide: its own, and those over the whole case that it is in."""
    others = slide.case.slides.exclude(pk=slide.pk).exclude(reports=None).values_list("reports__facts", flat=True)
    over_the_case = sum(
        any(part["slide"].get("sha256") == slide.sha256 for part in facts.get("others", ())) for facts in others
    )
    return int(slide.reports.count()) + over_the_case
