"""The tasks by name. Each may be delivered twice and may be killed at any moment; the claim of the shard decides."""

from __future__ import annotations

import logging
import os
import socket
import traceback
from collections.abc import Callable

from celery.exceptions import SoftTimeLimitExceeded

from detector.errors import DetectorError
from webapp.celery_app import app
from webapp.jobs.models import Shard
from webapp.jobs.services import JobStopped, shard_claim, shard_fail
from worker.run_detection import merge_detection, run_detection
from worker.run_ingest import run_ingest

_log = logging.getLogger(__name__)


@app.task(name="worker.ingest")
def ingest(*, shard_pk: int) -> None:
    """Prepare an uploaded slide."""
    _run(shard_pk, run_ingest)


@app.task(name="worker.detect")
def detect(*, shard_pk: int) -> None:
    """Detect on one shard of a slide; whoever finishes the last shard merges."""
    _run(shard_pk, run_detection)
    merge_detection(shard_pk)


def _run(shard_pk: int, work: Callable[[Shard], None]) -> None:
    """Claim, work, and turn whatever goes wrong into a sentence for the user and a traceback for the admin."""
    shard = shard_claim(shard_pk=shard_pk, worker=f"{socket.gethostname()}/{os.getpid()}")
    if shard is None:
        _log.info("shard %s: taken, done or stopped; nothing to do", shard_pk)
        return
    try:
        work(shard)
    except JobStopped as reason:
        _log.info("shard %s: %s", shard_pk, reason)
    except DetectorError as error:
        shard_fail(shard=shard, error=str(error), traceback=traceback.format_exc())
    except SoftTimeLimitExceeded:
        shard_fail(shard=shard, error="This took longer than the time limit and was stopped.")
    except Exception:
        _log.exception("shard %s failed", shard_pk)
        sentence = "Something went wrong in the program; the administrator can see what. Nothing was changed."
        shard_fail(shard=shard, error=sentence, traceback=traceback.format_exc())
