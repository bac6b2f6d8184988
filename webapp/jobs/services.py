"""The life of a job. Every move is one conditional update, so that two workers cannot both make it.

1. `job_create` writes job and shards and sends one message a shard, after commit.
2. `shard_claim` takes a shard that is pending, or running with an expired lease; a second delivery gets None.
3. `shard_progress` renews the lease and is how a worker learns that its job was cancelled or its claim taken over.
4. `shard_finish` keeps the shard's result; when it was the last, whoever asks `job_is_complete` may merge.
5. `job_succeed` is called in the transaction that writes the merged rows; of two merges one gets False and rolls back.
6. `jobs_watch` sends again what was lost: shards of dead workers, messages of a broker that died, merges not made.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from webapp.errors import DomainError
from webapp.jobs.dispatch import send, send_after_commit
from webapp.jobs.models import Job, Shard
from webapp.jobs.states import OPEN, State, sources
from webapp.slides.models import Slide

MAX_ATTEMPTS = 5  # of one shard; more deaths of workers than that are no accident
RESEND_AFTER = timedelta(seconds=60)  # a message sent this long ago may be lost; a claimed shard ignores a second one

_log = logging.getLogger(__name__)


class JobStopped(Exception):
    """The job was cancelled, or this worker's claim was taken over: stop, and write nothing."""


def job_create(
    *, kind: Job.Kind, slide: Slide, by: User | None, parameters: dict[str, Any] | None = None, shards: int = 1
) -> Job:
    """Ask for work on a slide. The same work twice at a time is refused."""
    with transaction.atomic():
        Slide.objects.select_for_update().get(pk=slide.pk)
        if Job.objects.filter(kind=kind, slide=slide, state__in=OPEN).exists():
            raise DomainError(f"The {kind.label} of this slide is under way already.")
        job = Job.objects.create(kind=kind, slide=slide, requested_by=by, parameters=parameters or {})
        for index in range(shards):
            send_after_commit(Shard.objects.create(job=job, index=index))
    return job


def shard_claim(*, shard_pk: int, worker: str) -> Shard | None:
    """Take the shard, or None where somebody has it, it is done, or its job was stopped."""
    now = timezone.now()
    free = Q(state=State.PENDING) | Q(state=State.RUNNING, lease_until__lt=now)
    claim = uuid.uuid4()
    with transaction.atomic():
        taken = Shard.objects.filter(free, pk=shard_pk, job__in=_jobs(*OPEN)).update(
            state=State.RUNNING,
            claim=claim,
            lease_until=_lease(),
            attempt=F("attempt") + 1,
            worker=worker,
            sent_at=None,  # its message is used up: should this worker die, the watch sends another at once
            windows_done=0,
            windows_skipped=0,
        )
        if not taken:
            return None
        shard = Shard.objects.select_related("job", "job__slide").get(pk=shard_pk)
        Job.objects.filter(pk=shard.job_id, state=State.PENDING).update(
            state=State.RUNNING, started_at=Coalesce("started_at", now)
        )
    shard.job.refresh_from_db()
    return shard


def shard_progress(*, shard: Shard, done: int = 0, total: int = 0, skipped: int = 0) -> None:
    """Say how far the shard is and renew its lease. Raises JobStopped."""
    renewed = (
        _held(shard)
        .filter(job__in=_jobs(State.RUNNING))
        .update(windows_done=done, windows_total=total, windows_skipped=skipped, lease_until=_lease())
    )
    if not renewed:
        raise JobStopped(f"{shard} is no longer ours")


def shard_renew(*, shard: Shard) -> bool:
    """Renew the lease alone, for a worker that is alive but has no progress to tell; False where it is not its own."""
    return bool(_held(shard).update(lease_until=_lease()))


def shard_finish(*, shard: Shard, result: bytes | None = None, facts: dict[str, Any] | None = None) -> None:
    """Keep the shard's result. Raises JobStopped where the job was stopped or the claim taken over."""
    done = (
        _held(shard)
        .filter(job__in=_jobs(State.RUNNING))
        .update(state=State.SUCCEEDED, result=result, facts=facts or {}, lease_until=None)
    )
    if not done:
        raise JobStopped(f"{shard} is no longer ours")


def job_is_complete(*, job_pk: uuid.UUID) -> bool:
    """Whether all shards are done and nobody has merged them yet."""
    open_shards = Shard.objects.filter(job_id=job_pk).exclude(state=State.SUCCEEDED)
    return Job.objects.filter(pk=job_pk, state=State.RUNNING).exists() and not open_shards.exists()


def job_succeed(*, job: Job) -> bool:
    """Mark a job as done; False where somebody else did. Call it in the transaction that writes the results."""
    won = Job.objects.filter(pk=job.pk, state=State.RUNNING).update(state=State.SUCCEEDED, ended_at=timezone.now())
    Shard.objects.filter(job=job).update(result=None)
    return bool(won)


def shard_fail(*, shard: Shard, error: str, traceback: str = "") -> None:
    """End the job with one sentence for the user and the traceback for the admin. Finished shards are kept."""
    with transaction.atomic():
        if _held(shard).update(state=State.FAILED, lease_until=None):
            _end(shard.job_id, State.FAILED, error=error, traceback=traceback)


def job_cancel(*, job: Job) -> Job:
    """Stop a job; a worker that is at it sees so between two rectangles of windows."""
    with transaction.atomic():
        if not _end(job.pk, State.CANCELLED):
            raise DomainError(f"This job has ended already ({job.get_state_display()}); there is nothing to cancel.")
        Shard.objects.filter(job=job, state__in=OPEN).update(state=State.CANCELLED, lease_until=None)
    job.refresh_from_db()
    return job


def job_retry(*, job: Job) -> Job:
    """Do again what is missing of a failed or cancelled job."""
    with transaction.atomic():
        again = Job.objects.filter(pk=job.pk, state__in=[State.FAILED, State.CANCELLED])
        if not again.update(state=State.PENDING, error="", traceback="", started_at=None, ended_at=None):
            raise DomainError(
                f"Only a failed or cancelled job can be tried again; this one is {job.get_state_display()}."
            )
        if Job.objects.filter(kind=job.kind, slide=job.slide_id, state__in=OPEN).exclude(pk=job.pk).exists():
            raise DomainError("The same work on this slide is under way already.")
        missing = Shard.objects.filter(job=job).exclude(state=State.SUCCEEDED)
        missing.update(state=State.PENDING, claim=None, lease_until=None, attempt=0, windows_done=0)
        for shard in missing:
            send_after_commit(shard)
    job.refresh_from_db()
    return job


def jobs_watch() -> int:
    """Bring back what would otherwise wait for ever; returns how many messages were sent."""
    now = timezone.now()
    lost = Shard.objects.filter(state=State.RUNNING, lease_until__lt=now, job__state__in=OPEN)
    for shard in lost.filter(attempt__gte=MAX_ATTEMPTS):
        shard_fail(
            shard=shard, error=f"The worker died {MAX_ATTEMPTS} times at this; the administrator can see its log."
        )
    for shard in lost.filter(attempt__lt=MAX_ATTEMPTS):
        _log.warning("%s: the lease of %s has ended, sending it again", shard, shard.worker)
    unsent = Q(sent_at=None) | Q(sent_at__lt=now - RESEND_AFTER)
    waiting = Shard.objects.filter(unsent, state=State.PENDING, job__state__in=OPEN)
    complete = Job.objects.filter(state=State.RUNNING).exclude(shards__state__in=[*OPEN, State.FAILED, State.CANCELLED])
    merges = Shard.objects.filter(unsent, job__in=complete, index=0)
    resend = (lost.filter(unsent) | waiting | merges).select_related("job").order_by("job__created_at", "index")
    shards = list(resend)
    for shard in shards:
        send(shard)
    return len(shards)


def jobs_forget_messages() -> None:
    """For a start at which broker and workers begin anew: every message is lost, no lease is held by anybody."""
    Shard.objects.filter(state=State.RUNNING).update(lease_until=timezone.now() - timedelta(seconds=1))
    Shard.objects.filter(job__state__in=OPEN).update(sent_at=None)


def _jobs(*states: State) -> Any:
    """Jobs in some states, for the condition of an update. Not written as job__state: a join would make Django select
    the rows first and update them by key, and of two workers that selected at once both would win."""
    return Job.objects.filter(state__in=states).values("pk")


def _held(shard: Shard) -> Any:
    return Shard.objects.filter(pk=shard.pk, claim=shard.claim, state=State.RUNNING)


def _end(job_pk: uuid.UUID, state: State, **fields: str) -> bool:
    ended = Job.objects.filter(pk=job_pk, state__in=sources(state))
    return bool(ended.update(state=state, ended_at=timezone.now(), **fields))


def _lease() -> Any:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
