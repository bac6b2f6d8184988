"""The tasks by name. Each may be delivered twice and may be killed at any moment; the claim of the shard decides."""

from __future__ import annotations

import logging
import os
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import DatabaseError, connection

from detector.errors import DetectorError
from webapp.celery_app import app
from webapp.jobs.models import Shard
from webapp.jobs.services import JobStopped, shard_claim, shard_fail, shard_renew
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


@contextmanager
def _heartbeat(shard: Shard) -> Iterator[None]:
    """Renews the lease while the worker lives, however long a single step (a large read, a slow rectangle) takes."""
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(settings.LEASE_SECONDS / 4):
            try:
                if not shard_renew(shard=shard):
                    return  # taken over or stopped: the next word of progress will say so
            except DatabaseError:
                _log.warning("shard %s: the database does not answer, the lease is not renewed", shard.pk)
            finally:
                connection.close()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _run(shard_pk: int, work: Callable[[Shard], None]) -> None:
    """Claim, work, and turn whatever goes wrong into a sentence for the user and a traceback for the admin."""
    shard = shard_claim(shard_pk=shard_pk, worker=f"{socket.gethostname()}/{os.getpid()}")
    if shard is None:
        _log.info("shard %s: taken, done or stopped; nothing to do", shard_pk)
        return
    try:
        with _heartbeat(shard):
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
