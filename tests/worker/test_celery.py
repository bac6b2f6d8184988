"""Names agree between who sends and who does. Real workers on a real Redis: tests/end_to_end/test_chaos.py."""

from __future__ import annotations

from webapp.celery_app import QUEUES
from webapp.jobs.dispatch import task_name
from webapp.jobs.models import Job


def test_every_task_that_is_sent_is_known_to_the_workers():
    from worker.app import app

    assert {task_name(kind) for kind in Job.Kind} <= set(app.tasks)
    assert set(Job.Kind) <= set(QUEUES)
