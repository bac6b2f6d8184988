"""The Celery application of the workers: `celery -A worker.app worker -Q detect -c 1`."""

from __future__ import annotations

import os

import django
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from webapp.celery_app import app  # noqa: E402  settings must be there first
from worker import tasks  # noqa: E402, F401  registers the tasks
from worker.allocator import tune_allocator  # noqa: E402

worker_init.connect(lambda **_: tune_allocator(), weak=False)

__all__ = ["app"]
