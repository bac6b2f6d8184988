"""The life of a job. Every move is one conditional update, so that two workers cannot both make it.

1. `job_create` gives the job its place in the queue, writes it with its shards and sends a message for each, after
   commit. A message says that there is work of a kind; which shard is done is the database's to say.
2. `shard_claim_next` takes the shard whose turn it is: pending, or running with an expired lease. A second delivery
   takes the next free shard of its kind, or finds none.
3. `shard_progress` renews the lease and is how a worker learns that its job was cancelled or its claim taken over.
4. `shard_finish` keeps the shard's result; when it was the last, whoever asks `job_is_complete` may merge.
5. `job_succeed` is called in the transaction that writes the merged rows; of two merges one gets False and rolls back.
6. `jobs_watch` sends as many messages as there is work without one: shards of dead workers, messages of a broker that
   died, merges not made.

Turns. A person's first waiting job has the round that the queue is in, the second the next round, and so on; within a
round the older is first. So one person's thousand slides and another's three take turns. A person's first
`READER_JOBS` waiting jobs go before everybody's others: who asks for a slide or two waits for them, who asks for a
hundred does not.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from detector.version import code_version
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, TooMany
from webapp.core.logs import log_about
from webapp.jobs.dispatch import MESSAGES_PER_QUEUE, messages_waiting, send, send_after_commit
from webapp.jobs.models import Job, Shard
from webapp.jobs.states import OPEN, State, sources
from webapp.jobs.stored import Parameters, ShardFacts
from webapp.notices.models import Kind
from webapp.notices.services import tell
from webapp.slides.models import Slide

MAX_ATTEMPTS = 5  # of one shard; more deaths of workers than that are no accident
READER_JOBS = 5  # waiting jobs of one person and kind that go before bulk

_log = logging.getLogger(__name__)


class JobStopped(Exception):
    """The job was cancelled, or this worker's claim was taken over: stop, and write nothing."""


def job_create(
    *,
    kind: Job.Kind,
    slide: Slide | None = None,
    by: User | None,
    parameters: Parameters | None = None,
    shards: int = 1,
) -> Job:
    """Ask for work, on a slide or on what the parameters name.

    Where the very same work on the slide waits in a bulk run, it is moved before the others and no second job is made;
    any other work of the kind that is under way on the slide refuses this one.
    """
    stored = parameters.to_json() if parameters else {}
    with transaction.atomic():
        if slide is not None:
            lock_row(Slide, slide.pk)
            if under_way := Job.objects.filter(kind=kind, slide=slide, state__in=OPEN).first():
                if by is not None and under_way.parameters == stored and _prefer(under_way):
                    return under_way
                raise DomainError(f"The {kind.label} of this slide is under way already.")
        priority, turn = _place(kind, by)
        job = Job.objects.create(
            kind=kind, slide=slide, requested_by=by, parameters=stored, priority=priority, turn=turn,
            asked_with=code_version(),
        )  # fmt: skip
        if by is not None:
            record(Action.JOB_ASKED, job, who=by, after=stored or None)
        for index in range(shards):
            send_after_commit(Shard.objects.create(job=job, index=index))
    with log_about(job=job.pk):
        _log.info("%s requested, %d shards, priority %s, turn %d", kind.label, shards, priority.label, turn)
    return job


def shard_claim_next(*, kind: Job.Kind, worker: str, not_of: Sequence[str] = ()) -> Shard | None:
    """Take the shard of a kind whose turn it is, or None where no work of the kind is left.

    not_of: versions of the code whose jobs the worker does not understand.
    """
    while (pk := _next_in_turn(kind, not_of)) is not None:
        if (shard := shard_claim(shard_pk=pk, worker=worker)) is not None:
            return shard  # else another worker was faster
    return None


def shard_claim(*, shard_pk: int, worker: str) -> Shard | None:
    """Take the shard, or None where somebody has it, it is done, or its job was stopped."""
    now = timezone.now()
    claim = uuid.uuid4()
    with transaction.atomic():
        taken = Shard.objects.filter(_free(now), pk=shard_pk, job__in=_jobs(*OPEN)).update(
            state=State.RUNNING,
            claim=claim,
            lease_until=_lease(),
            attempt=F("attempt") + 1,
            worker=worker,
            started_at=now,
            progressed_at=now,
            units_done=0,
            units_skipped=0,
            facts={},
        )
        if not taken:
            return None
        shard = Shard.objects.select_related("job", "job__slide").get(pk=shard_pk)
        Job.objects.filter(pk=shard.job_id, state=State.PENDING).update(
            state=State.RUNNING, started_at=Coalesce("started_at", now)
        )
    shard.job.refresh_from_db()
    return shard


def shard_begin(*, shard: Shard, facts: ShardFacts) -> None:
    """Say what the shard is computed on (device, precision). Raises JobStopped."""
    if not _held(shard).filter(job__in=_jobs(State.RUNNING)).update(facts=facts.to_json(), lease_until=_lease()):
        raise JobStopped(f"{shard} is no longer ours")


def shard_progress(*, shard: Shard, done: int = 0, total: int = 0, skipped: int = 0) -> None:
    """Say how far the shard is, in units of its job, and renew its lease. Raises JobStopped."""
    renewed = (
        _held(shard)
        .filter(job__in=_jobs(State.RUNNING))
        .update(
            units_done=done,
            units_total=total,
            units_skipped=skipped,
            progressed_at=timezone.now(),
            lease_until=_lease(),
        )
    )
    if not renewed:
        raise JobStopped(f"{shard} is no longer ours")


def shard_renew(*, shard: Shard) -> bool:
    """Renew the lease alone, for a worker that is alive but has no progress to tell; False where it is not its own."""
    return bool(_held(shard).update(lease_until=_lease()))


def shard_finish(*, shard: Shard, result: bytes | None = None, facts: ShardFacts | None = None) -> None:
    """Keep the shard's result. Raises JobStopped where the job was stopped or the claim taken over.

    The lease goes on: until it ends, a job whose last shard this was has somebody to merge it.
    """
    done = (
        _held(shard)
        .filter(job__in=_jobs(State.RUNNING))
        .update(state=State.SUCCEEDED, result=result, facts=facts.to_json() if facts else {}, lease_until=_lease())
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
    Shard.objects.filter(job=job).update(result=None, lease_until=None)
    return bool(won)


def shard_fail(*, shard: Shard, error: str, traceback: str = "") -> None:
    """End the job with one sentence for the user and the traceback for the admin. Finished shards are kept."""
    with transaction.atomic():
        if _held(shard).update(state=State.FAILED, lease_until=None):
            _end(shard.job_id, State.FAILED, error=error, traceback=traceback)


def merge_fail(*, shard_pk: int, error: str, traceback: str) -> None:
    """End a job whose shards are all done but could not be merged; the retry tries the merge again."""
    with transaction.atomic():
        job_pk = Shard.objects.filter(pk=shard_pk).values_list("job_id", flat=True).first()
        if job_pk is not None and job_is_complete(job_pk=job_pk):
            _end(job_pk, State.FAILED, error=error, traceback=traceback)


def job_cancel(*, job: Job) -> Job:
    """Stop a job; a worker that is at it sees so between two rectangles of windows."""
    with transaction.atomic():
        if not _end(job.pk, State.CANCELLED):
            raise DomainError(f"This job has ended already ({job.get_state_display()}); there is nothing to cancel.")
        Shard.objects.filter(job=job, state__in=OPEN).update(state=State.CANCELLED, lease_until=None)
        record(Action.JOB_CANCELLED, job)
    job.refresh_from_db()
    return job


def job_retry(*, job: Job) -> Job:
    """Do again what is missing of a failed or cancelled job."""
    with transaction.atomic():
        again = Job.objects.filter(pk=job.pk, state__in=[State.FAILED, State.CANCELLED])
        fresh = {"error": "", "traceback": "", "started_at": None, "ended_at": None, "asked_with": code_version()}
        if not again.update(state=State.PENDING, **fresh):
            raise DomainError(
                f"Only a failed or cancelled job can be tried again; this one is {job.get_state_display()}."
            )
        others = Job.objects.filter(kind=job.kind, slide=job.slide_id, state__in=OPEN).exclude(pk=job.pk)
        if job.slide_id is not None and others.exists():
            raise DomainError("The same work on this slide is under way already.")
        missing = Shard.objects.filter(job=job).exclude(state=State.SUCCEEDED)
        missing.update(state=State.PENDING, claim=None, lease_until=None, attempt=0, units_done=0, facts={})
        for shard in missing.defer("result"):
            send_after_commit(shard)
        record(Action.JOB_RETRIED, job)
    job.refresh_from_db()
    return job


def jobs_watch() -> int:
    """Bring back what would otherwise wait for ever; returns how many messages were sent."""
    now = timezone.now()
    # No lease is so long: the clock was set back, and if its worker is dead nobody would notice for as long.
    too_long = now + timedelta(seconds=2 * settings.LEASE_SECONDS)
    Shard.objects.filter(job__in=_jobs(*OPEN), lease_until__gt=too_long).update(lease_until=_lease())
    lost = Shard.objects.filter(state=State.RUNNING, lease_until__lt=now, job__in=_jobs(*OPEN)).defer("result")
    for shard in lost.filter(attempt__gte=MAX_ATTEMPTS):
        shard_fail(
            shard=shard, error=f"The worker died {MAX_ATTEMPTS} times at this; the administrator can see its log."
        )
    for shard in lost.filter(attempt__lt=MAX_ATTEMPTS):
        _log.warning("%s: the lease of %s has ended, another worker may take it", shard, shard.worker)
    return sum(_send_missing(kind, now) for kind in Job.Kind)


def jobs_forget_messages() -> None:
    """For a start at which broker and workers begin anew: no lease is held by anybody."""
    Shard.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=1))


def shards_in_turn(*, kind: Job.Kind) -> QuerySet[Shard]:
    """Shards of a kind that wait for a worker, the next one first."""
    free = Shard.objects.filter(_free(timezone.now()), job__kind=kind, job__state__in=OPEN)
    return free.order_by(*_TURN).defer("result").select_related("job")


def _send_missing(kind: Job.Kind, now: Any) -> int:
    """Send messages until there is one for each piece of work of a kind."""
    there = messages_waiting(kind)
    if there is None:
        return 0  # the broker is away
    work = list(shards_in_turn(kind=kind)[:MESSAGES_PER_QUEUE])
    sent = [shard for shard in work[there:] if send(shard)]
    # A job is not merged where all of its shards are done and the leases of all of them, so of the merger, have ended.
    unfinished = [State.PENDING, State.RUNNING, State.FAILED, State.CANCELLED]
    complete = Job.objects.filter(kind=kind, state=State.RUNNING).exclude(
        Q(shards__state__in=unfinished) | Q(shards__lease_until__gte=now)
    )
    for shard in Shard.objects.filter(job__in=complete, index=0).defer("result").select_related("job"):
        if send(shard):
            Shard.objects.filter(pk=shard.pk).update(lease_until=_lease())
            sent.append(shard)
    return len(sent)


def _place(kind: Job.Kind, by: User | None) -> tuple[Job.Priority, int]:
    """Priority and turn of one more job of a person. TooMany where the person has as many as are allowed.

    What has been uploaded is always prepared.
    """
    waiting = Job.objects.filter(kind=kind, state=State.PENDING)
    own = waiting.filter(requested_by=by)
    count = own.count()
    if by is not None and kind != Job.Kind.INGEST and count >= settings.JOBS_PER_USER:
        raise TooMany(
            f"You have {count} jobs of this kind waiting, which is as many as one person may; "
            "ask again when some of them are done."
        )
    priority = Job.Priority.READER if by is not None and count < READER_JOBS else Job.Priority.BULK
    round_now = waiting.filter(priority=priority).aggregate(first=Min("turn"))["first"] or 0
    last = own.filter(priority=priority).aggregate(last=Max("turn"))["last"]
    return priority, round_now if last is None else max(round_now, last + 1)


def _prefer(job: Job) -> bool:
    """Move a job that waits in a bulk run to those that a person waits for; False where it is not such a job."""
    turn = Job.objects.filter(kind=job.kind, state=State.PENDING, priority=Job.Priority.READER).aggregate(
        last=Max("turn")
    )["last"]
    moved = Job.objects.filter(pk=job.pk, state=State.PENDING, priority=Job.Priority.BULK).update(
        priority=Job.Priority.READER, turn=turn or 0
    )
    if moved:
        job.refresh_from_db()
    return bool(moved)


_TURN = ("job__priority", "job__turn", "job__created_at", "index")


def versions_waiting(*, kind: Job.Kind) -> list[str]:
    """The versions of the code by which the open jobs of a kind were asked for."""
    return list(
        Job.objects.filter(kind=kind, state__in=OPEN).order_by().values_list("asked_with", flat=True).distinct()
    )


def _next_in_turn(kind: Job.Kind, not_of: Sequence[str]) -> int | None:
    """Of the free shards the first. Begun and waiting jobs are asked apart, so that each query walks its index."""
    free = Shard.objects.filter(_free(timezone.now()), job__kind=kind)
    if not_of:
        free = free.exclude(job__asked_with__in=not_of)
    rows = [free.filter(job__state=state).order_by(*_TURN).values_list(*_TURN, "pk").first() for state in OPEN]
    return min((row for row in rows if row is not None), default=(None,))[-1]


def _free(now: Any) -> Q:
    """Shards that nobody works at."""
    return Q(state=State.PENDING) | Q(state=State.RUNNING, lease_until__lt=now)


def _jobs(*states: State) -> Any:
    """Jobs in some states, for the condition of an update. Not written as job__state: a join would make Django select
    the rows first and update them by key, and of two workers that selected at once both would win."""
    return Job.objects.filter(state__in=states).values("pk")


def _held(shard: Shard) -> Any:
    return Shard.objects.filter(pk=shard.pk, claim=shard.claim, state=State.RUNNING)


def _end(job_pk: uuid.UUID, state: State, **fields: str) -> bool:
    ended = Job.objects.filter(pk=job_pk, state__in=sources(state))
    won = bool(ended.update(state=state, ended_at=timezone.now(), **fields))
    if won and state == State.FAILED:
        job = Job.objects.select_related("slide__case", "requested_by").get(pk=job_pk)
        what = job.get_kind_display()
        tell(Kind.JOB_FAILED, slide=job.slide, person=job.requested_by, reference=job.pk, what=what)
    return won


def _lease() -> Any:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
