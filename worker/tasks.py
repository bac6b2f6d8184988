"""The tasks by name. Each may be delivered twice and may be killed at any moment; the claim of the shard decides."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from celery.exceptions import SoftTimeLimitExceeded

from detector.errors import DetectorError
from detector.version import code_version
from webapp.celery_app import app
from webapp.core.errors import DomainError
from webapp.core.faults import fault_of
from webapp.core.logs import log_about
from webapp.jobs.dispatch import task_name
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import JobStopped, merge_fail, shard_claim_next, shard_fail, versions_waiting
from worker.process import later_versions, worker_name
from worker.retry_database import AWAY, retry_database
from worker.run_calibration import run_calibration
from worker.run_detection import merge_detection, run_detection
from worker.run_import import run_import
from worker.run_ingest import run_ingest
from worker.run_judgement import run_judgement
from worker.run_mining import end_mining, run_mining
from worker.run_training import run_training
from worker.shard import ClaimedShard, lease_renewed

_DAYS = 24 * 3600
TRAINING_LIMIT = 60 * _DAYS  # seconds; a training is stopped by a person, and goes on from its checkpoint

_log = logging.getLogger(__name__)


@app.task(name=task_name(Job.Kind.INGEST))
def ingest(*, shard_pk: int) -> None:
    """Prepare an uploaded slide, or read a labelled set."""
    _run(Job.Kind.INGEST, lambda shard: run_ingest(shard) if shard.job.slide else run_import(shard))


@app.task(name=task_name(Job.Kind.DETECT))
def detect(*, shard_pk: int) -> None:
    """Detect on the shard whose turn it is; whoever finishes the last shard of a job merges it.

    shard_pk: the shard that the message was sent for. Another may come before it; a job of which all is done but the
    merge is found by it.
    """
    done = _run(Job.Kind.DETECT, run_detection)
    for pk in {shard_pk, done.pk if done else shard_pk}:
        _run_merge(pk, merge_detection)


@app.task(name=task_name(Job.Kind.MINE))
def mine(*, shard_pk: int) -> None:
    """Mine the slide whose turn it is."""
    done = _run(Job.Kind.MINE, run_mining)
    for pk in {shard_pk, done.pk if done else shard_pk}:
        _run_merge(pk, end_mining)


@app.task(name=task_name(Job.Kind.TRAIN), time_limit=TRAINING_LIMIT, soft_time_limit=TRAINING_LIMIT - 60)
def train(*, shard_pk: int) -> None:
    """Train, from the beginning or from the last checkpoint."""
    _run(Job.Kind.TRAIN, run_training)


@app.task(name=task_name(Job.Kind.JUDGE))
def judge(*, shard_pk: int) -> None:
    """Judge a candidate against the active version."""
    _run(Job.Kind.JUDGE, run_judgement)


@app.task(name=task_name(Job.Kind.CALIBRATE))
def calibrate(*, shard_pk: int) -> None:
    """Find the shift of a scanner."""
    _run(Job.Kind.CALIBRATE, run_calibration)


def _run(kind: Job.Kind, work: Callable[[ClaimedShard], None]) -> Shard | None:
    """Claim, work, and turn whatever goes wrong into a sentence for the user and a traceback for the admin."""
    later = later_versions(retry_database(lambda: versions_waiting(kind=kind)))
    if later:
        versions = later[0], code_version()
        _log.error("%s is asked for by version %s, this worker is of %s: update it", kind.label, *versions)
    shard = retry_database(lambda: shard_claim_next(kind=kind, worker=worker_name(), not_of=later))
    if shard is None:
        _log.info("no %s is left to do", kind.label)
        return None
    with log_about(job=shard.job_id, shard=shard.pk):
        _log.info("%s: shard %d, attempt %d", kind.label, shard.index, shard.attempt)
        try:
            with lease_renewed(shard):
                work(ClaimedShard(shard))
            _log.info("%s: shard %d is done", kind.label, shard.index)
        except JobStopped as reason:
            _log.info("%s", reason)
        except Exception as error:
            _fail(shard, error)
    return shard


def _run_merge(shard_pk: int, merge: Callable[[int], None]) -> None:
    """Merge the job of a shard where it is complete; a failure ends the job as one of a shard does."""
    try:
        retry_database(lambda: merge(shard_pk))
    except Exception as error:
        _log.exception("the job of shard %s could not be merged", shard_pk)
        sentence, trace = _in_words(error)
        retry_database(lambda: merge_fail(shard_pk=shard_pk, error=sentence, traceback=trace))


def _fail(shard: Shard, error: Exception) -> None:
    if isinstance(error, AWAY):
        _log.error("the database stayed away; the lease ends and the reaper sends the shard again")
        return
    _log.error("the shard failed", exc_info=error)
    sentence, trace = _in_words(error)
    retry_database(lambda: shard_fail(shard=shard, error=sentence, traceback=trace))


def _in_words(error: Exception) -> tuple[str, str]:
    """A sentence for the user and the traceback for the admin."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, DetectorError | DomainError):
        return str(error), trace
    if isinstance(error, SoftTimeLimitExceeded):
        return "This took longer than the time limit and was stopped.", trace
    if (fault := fault_of(error)) is not None:
        return fault.say, trace
    return "The program failed at this, and nothing was changed. An administrator finds the reason with the job.", trace
