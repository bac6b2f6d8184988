"""Queues, workers, and what is slow or stuck: for the health page, `/api/v1/health/` and `/metrics`."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q
from django.db.utils import Error
from django.utils import timezone
from redis import RedisError

from detector.version import code_version
from webapp.core.redis import redis_client
from webapp.jobs.heartbeat import REAPER, WATCHER, heartbeats
from webapp.jobs.models import Job, Shard
from webapp.jobs.states import OPEN, State
from webapp.jobs.stored import ShardFacts

WAIT_TOO_LONG = timedelta(minutes=10)  # for a person who waits
NO_PROGRESS = timedelta(minutes=5)  # of a shard whose worker lives; a rectangle of windows takes seconds
SPARE_BYTES = 1 << 30  # less room than this on the disk is none
SLOW = 0.5  # of the median of the same device on the day before
_SAMPLE = 200  # finished shards that the median is of


@dataclass(frozen=True)
class Queue:
    """One kind of job. waited: seconds of the oldest waiting job, reader_waited: of the oldest that a person waits for.

    workers: processes that take this kind, None where the broker is away.
    """

    kind: str
    label: str
    waiting: int
    running: int
    failed_today: int
    waited: float
    reader_waited: float
    workers: int | None


@dataclass(frozen=True)
class Worker:
    """A worker process, by its last heartbeat."""

    name: str
    queues: list[str]
    version: str
    device: str
    precision: str
    memory_mb: int
    peak_memory_mb: int
    confined: bool


@dataclass(frozen=True)
class Health:
    """stuck, slow: one sentence each, without names of slides, people or machines. free_workers: not confined ones."""

    queues: list[Queue]
    workers: list[Worker] | None
    stuck: list[str]
    slow: list[str]
    free_workers: list[str]


def health_of_jobs() -> Health:
    """Look at the rows and at what processes say of themselves."""
    here = heartbeats()
    others = {REAPER, WATCHER}
    workers = None if here is None else [_worker(name, said) for name, said in here.items() if name not in others]
    queues = _queues(workers)
    stuck = [
        *(["No reaper of lost jobs is running, so lost work waits; start it: manage.py reap_jobs."] * _no_reaper(here)),
        *(
            f"No worker takes the {_number(queue.waiting, queue.label + ' job')} waiting; "
            f"start one for the queue {queue.kind}."
            for queue in queues
            if queue.waiting and queue.workers == 0
        ),
        *_other_versions(workers or []),
        *_stuck_shards(),
    ]
    slow = [
        f"Somebody has waited {queue.reader_waited / 60:.0f} minutes for a {queue.label}, and "
        f"{_number(queue.waiting, 'job')} in all; more workers for the queue {queue.kind} would help."
        for queue in queues
        if queue.reader_waited > WAIT_TOO_LONG.total_seconds()
    ]
    free = sorted(worker.name for worker in workers or () if not worker.confined)
    return Health(queues, workers, stuck, [*slow, *_slow_shards()], free)


def parts_of_server() -> dict[str, dict[str, Any]]:
    """Database, broker and disk: `ok`, and `say` in words where something is wrong."""
    return {"database": _database(), "broker": _broker(), "disk": _disk()}


def _queues(workers: list[Worker] | None) -> list[Queue]:
    now = timezone.now()
    waiting = Q(state=State.PENDING)
    recent = Job.objects.filter(Q(state__in=OPEN) | Q(state=State.FAILED, ended_at__gte=now - timedelta(days=1)))
    rows = recent.values("kind").annotate(
        waiting=Count("pk", filter=waiting),
        running=Count("pk", filter=Q(state=State.RUNNING)),
        failed=Count("pk", filter=Q(state=State.FAILED)),
        oldest=Min("created_at", filter=waiting),
        oldest_reader=Min("created_at", filter=waiting & Q(priority=Job.Priority.READER)),
    )
    by_kind: dict[str, dict[str, Any]] = {row["kind"]: {**row} for row in rows.order_by()}

    def seconds(row: dict[str, Any], name: str) -> float:
        return (now - row[name]).total_seconds() if row.get(name) else 0.0

    def queue(kind: Job.Kind, row: dict[str, Any]) -> Queue:
        return Queue(
            kind=kind.value,
            label=str(kind.label),
            waiting=row.get("waiting", 0),
            running=row.get("running", 0),
            failed_today=row.get("failed", 0),
            waited=seconds(row, "oldest"),
            reader_waited=seconds(row, "oldest_reader"),
            workers=None if workers is None else sum(kind.value in worker.queues for worker in workers),
        )

    return [queue(kind, by_kind.get(kind.value, {})) for kind in Job.Kind]


def _worker(name: str, said: dict[str, Any]) -> Worker:
    return Worker(
        name=name,
        queues=said["queues"],
        version=said.get("version", ""),
        device=said.get("device", ""),
        precision=said.get("precision", ""),
        memory_mb=said.get("memory_mb", 0),
        peak_memory_mb=said.get("peak_memory_mb", 0),
        confined=said.get("confined", False),
    )


def _other_versions(workers: list[Worker]) -> list[str]:
    """Workers that are known to run another version than this server."""
    own = code_version()
    others = Counter(worker.version for worker in workers if worker.version not in {"", own})
    return [
        f"{_number(count, 'worker')} of version {version}, this server of {own}: update the older of the two."
        for version, count in sorted(others.items())
    ]


def _no_reaper(here: dict[str, dict[str, Any]] | None) -> bool:
    return here is not None and REAPER not in here


def _stuck_shards() -> list[str]:
    now = timezone.now()
    running = Shard.objects.filter(state=State.RUNNING, job__state__in=OPEN)
    quiet = Q(lease_until__gte=now, progressed_at__lt=now - NO_PROGRESS, units_total__gt=0)
    counts = running.aggregate(
        lost=Count("pk", filter=Q(lease_until__lt=now)),
        still=Count("pk", filter=quiet & ~Q(job__kind=Job.Kind.TRAIN)),  # which looks at all its frames in between
        again=Count("pk", filter=Q(attempt__gte=3)),
    )
    sentences = {
        "lost": "whose worker has died; another takes it within seconds where there is one.",
        "still": f"without progress for {NO_PROGRESS.seconds // 60} minutes though its worker lives; "
        "look at its disk and device.",
        "again": "at the third attempt or more; its workers crash on it; see their log.",
    }
    return [f"{_number(counts[name], 'part of a job', 'parts of jobs')} {text}" for name, text in sentences.items()
            if counts[name]]  # fmt: skip


def _slow_shards() -> list[str]:
    now = timezone.now()
    finished = Shard.objects.filter(
        state=State.SUCCEEDED, job__kind=Job.Kind.DETECT, started_at__gte=now - timedelta(days=1)
    ).order_by("-started_at")
    rates: dict[str | None, list[float]] = {}
    for stored, done, skipped in finished.values_list("facts", "units_done", "units_skipped")[:_SAMPLE]:
        facts = ShardFacts.from_json(stored)
        if facts.seconds and done > skipped:
            rates.setdefault(facts.device, []).append((done - skipped) / facts.seconds)
    running = Shard.objects.filter(state=State.RUNNING, job__kind=Job.Kind.DETECT, lease_until__gte=now)
    usual = {device: median(found) for device, found in rates.items()}
    slow = [
        shard
        for shard in running.filter(started_at__lt=now - timedelta(minutes=1)).defer("result")
        if shard.units_per_second < SLOW * usual.get(ShardFacts.from_json(shard.facts).device, 0.0)
    ]
    if not slow:
        return []
    return [f"{_number(len(slow), 'part of a job', 'parts of jobs')} less than half as fast as its device was today."]


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return {"ok": False, "say": "the database does not answer"}
    return {"ok": True, "kind": connection.vendor}


def _broker() -> dict[str, Any]:
    try:
        redis_client().ping()
    except RedisError:
        return {"ok": False, "say": "Redis does not answer; jobs wait until it does"}
    return {"ok": True}


def _disk() -> dict[str, Any]:
    try:
        free = shutil.disk_usage(settings.DATA_DIR).free
    except OSError:
        return {"ok": False, "free_gb": 0.0, "say": "the data folder is away; nothing can be opened or uploaded"}
    room = {"ok": free > SPARE_BYTES, "free_gb": round(free / 1024**3, 1)}
    return room if room["ok"] else {**room, "say": "the disk is full; nothing can be uploaded"}
