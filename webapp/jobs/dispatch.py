"""Messages to the workers: the name of a task and the primary key of a shard, nothing else."""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from webapp.celery_app import app
from webapp.jobs.models import Job, Shard

TASKS = {Job.Kind.INGEST: ("worker.ingest", "ingest"), Job.Kind.DETECT: ("worker.detect", "detect")}

_log = logging.getLogger(__name__)


def send_after_commit(shard: Shard) -> None:
    """Send once the rows are there to be found. A lost message is sent again by `services.jobs_watch`."""
    transaction.on_commit(lambda: send(shard))


def send(shard: Shard) -> None:
    """Send now; where the broker is away the shard stays pending and is sent again later."""
    task, queue = TASKS[Job.Kind(shard.job.kind)]
    try:
        app.send_task(task, kwargs={"shard_pk": shard.pk}, queue=queue, retry=False)
    except OperationalError as error:
        _log.warning("broker is away, shard %s will be sent later: %s", shard.pk, error)
        return
    Shard.objects.filter(pk=shard.pk).update(sent_at=timezone.now())
