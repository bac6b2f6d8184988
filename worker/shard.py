"""The protocol of a shard on the worker's side: begin, progress, complete. The rules are in `webapp.jobs.services`.

A new kind of job is a function of a `ClaimedShard` (the shortest is `worker.run_import`) and a task in `worker.tasks`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.conf import settings
from django.db import connection, transaction

from webapp.jobs.models import Shard
from webapp.jobs.services import job_succeed, shard_begin, shard_finish, shard_progress, shard_renew
from webapp.jobs.stored import ShardFacts
from worker.memory import peak_memory_mb
from worker.retry_database import AWAY, retry_database

PROGRESS_SECONDS = 1.0  # between two writes of progress

_log = logging.getLogger(__name__)


class ClaimedShard:
    """A shard that this process computes. Progress is counted in units of the job: windows, iterations or frames."""

    def __init__(self, shard: Shard) -> None:
        self.job, self.index = shard.job, shard.index
        self.total = self.skipped = 0
        self._shard = shard
        self._facts = ShardFacts()
        self._began, self._written = time.monotonic(), -math.inf

    def begin(self, facts: ShardFacts, *, total: int = 0) -> None:
        """Store what it is computed on, and its number of units where it is known by now. Raises JobStopped."""
        self._facts, self.total = facts, total
        shard_begin(shard=self._shard, facts=facts)

    def plan(self, *, total: int, skipped: int) -> None:
        """Store the number of units, and how many of them need no computing. Raises JobStopped."""
        self.total, self.skipped = total, skipped
        self.progress(skipped)

    def progress(self, done: int = 0) -> None:
        """Write the units done and renew the lease, once a second at most. Raises JobStopped.

        A database that is away does not stop the computing; the next call may get through.
        """
        if time.monotonic() - self._written > PROGRESS_SECONDS:
            self._written = time.monotonic()
            try:
                self.write_progress(done)
            except AWAY as error:
                _log.warning("shard %s: the database is away: %s", self._shard.pk, error)
                connection.close()

    def write_progress(self, done: int) -> None:
        """As `progress`, but now. Raises OperationalError or InterfaceError where the database is away."""
        shard_progress(shard=self._shard, done=done, total=self.total, skipped=self.skipped)

    def complete(
        self, save: Callable[[], object] = lambda: None, *, result: bytes | None = None, ends_job: bool = True
    ) -> None:
        """Write the shard's result and whatever `save` writes, in one transaction, when the database answers.

        ends_job: False where the job is ended by a merge of its shards. Raises JobStopped, and then writes nothing.
        """
        facts = replace(self._facts, seconds=self.seconds, peak_memory_mb=peak_memory_mb())

        def write() -> None:
            with transaction.atomic():
                self.write_progress(self.total)
                shard_finish(shard=self._shard, result=result, facts=facts)
                save()
                if ends_job:
                    job_succeed(job=self.job)

        retry_database(write)

    @property
    def seconds(self) -> float:
        """Since it was claimed."""
        return round(time.monotonic() - self._began, 2)


@contextmanager
def lease_renewed(shard: Shard) -> Iterator[None]:
    """Renews the lease while the worker lives, however long a single step (a large read, a slow rectangle) takes."""
    stopped = threading.Event()

    def renew() -> None:
        while not stopped.wait(settings.LEASE_SECONDS / 4):
            try:
                if not shard_renew(shard=shard):
                    return  # taken over or stopped: the next word of progress will say so
            except AWAY:
                _log.warning("shard %s: the database does not answer, the lease is not renewed", shard.pk)
            finally:
                connection.close()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
