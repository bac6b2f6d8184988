"""The Celery application of the workers: `celery -A worker.app worker -Q detect -c 1`."""

from __future__ import annotations

import os

import django
from celery.signals import worker_init, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from detector.detection.allocator import tune_process  # noqa: E402  settings must be there first
from webapp.celery_app import app  # noqa: E402
from worker import tasks  # noqa: E402, F401  registers the tasks
from worker.process import begin  # noqa: E402

worker_init.connect(lambda **_: tune_process(), weak=False)
worker_process_init.connect(lambda **_: begin(list(app.amqp.queues.consume_from)), weak=False)

__all__ = ["app"]
