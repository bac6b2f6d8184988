"""Reading jobs."""

from __future__ import annotations

from django.db.models import Case, F, Prefetch, QuerySet, Value, When

from webapp.jobs.models import Job, Shard
from webapp.jobs.states import State
from webapp.slides.models import Viewer


def jobs_shown(*, user: Viewer) -> QuerySet[Job]:
    """The jobs that a person may see, the newest first, with what lists show of them."""
    shards = Prefetch("shards", Shard.objects.defer("result"))
    return Job.objects.visible_to(user).select_related("slide").prefetch_related(shards).order_by("-created_at")


def jobs_as_a_list(*, user: Viewer) -> QuerySet[Job]:
    """The same as a person reads them: what runs, what waits in the order in which it will run, what has ended."""
    turn = [Case(When(state=State.PENDING, then=F(name))) for name in ("priority", "turn", "created_at")]
    place = Case(When(state=State.RUNNING, then=Value(0)), When(state=State.PENDING, then=Value(1)), default=Value(2))
    return jobs_shown(user=user).order_by(place, *turn, "-created_at")
