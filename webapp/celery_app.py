"""The Celery object: broker, queues and limits. It imports no task; the web sends them by name."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

QUEUES = ("ingest", "detect", "mine", "train", "judge", "calibrate")
TIME_LIMIT = 12 * 3600  # seconds that one shard may take at most

app = Celery("mitoscope")
app.conf.update(
    broker_url=settings.REDIS_URL.replace("unix://", "redis+socket://", 1),
    # A message that is not acknowledged comes again after this time, so it must be longer than any shard; a dead
    # worker is noticed much earlier, by its lease (webapp.jobs).
    broker_transport_options={
        "visibility_timeout": int(TIME_LIMIT * 1.1),
        # A host that is cut off notices, and connects anew when it can.
        "socket_timeout": 30,
        "socket_connect_timeout": 10,
        "socket_keepalive": True,
        "health_check_interval": 20,
    },
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_time_limit=TIME_LIMIT,
    task_soft_time_limit=int(TIME_LIMIT * 0.9),
    task_default_queue="ingest",
    worker_proc_alive_timeout=300,  # seconds; a process loads its network before it says that it is there
    task_serializer="json",
    accept_content=["json"],
    worker_hijack_root_logger=False,
)
