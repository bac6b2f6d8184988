"""Reading jobs."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Case, F, Model, Prefetch, QuerySet, Value, When

from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.slides.models import Viewer

_Row = TypeVar("_Row", bound=Model)


def with_their_job(rows: QuerySet[_Row]) -> QuerySet[_Row]:
    """Rows that have a `job`, with all that lists show of it."""
    return rows.prefetch_related(Prefetch("job", Job.objects.with_progress()))


def jobs_shown(*, user: Viewer) -> QuerySet[Job]:
    """The jobs that a person may see, the newest first, with what lists show of them."""
    return Job.objects.visible_to(user).with_progress().order_by("-created_at")


def jobs_as_a_list(*, user: Viewer) -> QuerySet[Job]:
    """The same as a person reads them: what runs, what waits in the order in which it will run, what has ended."""
    turn = [Case(When(state=State.PENDING, then=F(name))) for name in ("priority", "turn", "created_at")]
    place = Case(When(state=State.RUNNING, then=Value(0)), When(state=State.PENDING, then=Value(1)), default=Value(2))
    return jobs_shown(user=user).order_by(place, *turn, "-created_at")
