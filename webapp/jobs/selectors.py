"""Reading jobs."""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet

from webapp.jobs.models import Job, Shard
from webapp.slides.models import Viewer


def jobs_shown(*, user: Viewer) -> QuerySet[Job]:
    """The jobs that a person may see, the newest first, with what lists show of them."""
    shards = Prefetch("shards", Shard.objects.defer("result"))
    return Job.objects.visible_to(user).select_related("slide").prefetch_related(shards).order_by("-created_at")
