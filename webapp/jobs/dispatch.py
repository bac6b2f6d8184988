"""Messages to the workers: the name of a task and the primary key of a shard, nothing else.

A kind of job has the queue of its name and the task `worker.<kind>`.
"""

from __future__ import annotations

import logging

from django.db import transaction
from kombu.exceptions import OperationalError
from redis import RedisError

from webapp.celery_app import app
from webapp.core.redis import redis_client
from webapp.jobs.models import Shard

MESSAGES_PER_QUEUE = 1000  # more would say nothing new; the reaper fills up what workers have taken

_log = logging.getLogger(__name__)


def task_name(kind: str) -> str:
    """The task that does a kind of job."""
    return f"worker.{kind}"


def messages_waiting(kind: str) -> int | None:
    """How many messages of a kind no worker has taken yet; None where the broker is away."""
    try:
        return int(redis_client().llen(kind))
    except RedisError as error:
        _log.warning("broker is away: %s", error)
        return None


def send_after_commit(shard: Shard) -> None:
    """Send once the rows are there to be found. A message that is not sent is made up for by `services.jobs_watch`."""

    def send_if_room() -> None:
        there = messages_waiting(shard.job.kind)
        if there is not None and there < MESSAGES_PER_QUEUE:
            send(shard)

    transaction.on_commit(send_if_room)


def send(shard: Shard) -> bool:
    """Send now; False where the broker is away, and the shard waits until the reaper sends again."""
    kind = shard.job.kind
    try:
        app.send_task(task_name(kind), kwargs={"shard_pk": shard.pk}, queue=kind, retry=False)
    except OperationalError as error:
        _log.warning("broker is away, shard %s will be sent later: %s", shard.pk, error)
        return False
    return True
