"""The life of one worker process: its memory bounded, its network warm before the first slide, and heard of."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable

from django.db import connection

from detector.detection.scorer import parse_device
from detector.errors import DetectorError
from detector.version import code_version
from webapp.core.confinement import confine_process
from webapp.core.errors import DomainError
from webapp.jobs.heartbeat import HEARTBEAT_SECONDS, heartbeat_send
from webapp.jobs.models import Job
from webapp.registry.services import version_active
from webapp.slides.storage import sweep_from_now_on
from worker import weights
from worker.memory import limit_memory, memory_mb, peak_memory_mb
from worker.retry_database import AWAY

_log = logging.getLogger(__name__)


def begin(queues: list[str]) -> None:
    """Called in each process before its first message. queues: those that it takes messages from."""
    confined = confine_process(starts_python=Job.Kind.INGEST in queues)  # before it has threads
    facts: dict[str, object] = {"queues": queues, "version": code_version(), "confined": confined}
    if Job.Kind.DETECT in queues:
        if parse_device(weights.DEVICE).type == "cpu":
            limit_memory(weights.MEMORY_GB)
        facts |= _warm()
    sweep_from_now_on()
    threading.Thread(target=_send_heartbeats, args=(facts,), name="heartbeat", daemon=True).start()


def later_versions(versions: Iterable[str]) -> list[str]:
    """Of some versions of the code those later than this one: what they ask for may mean what it does not know."""
    own = _release(code_version())
    return [version for version in versions if _release(version) > own]


def worker_name() -> str:
    """As it stands beside the shards that the process does: host/pid."""
    return f"{socket.gethostname()}/{os.getpid()}"


def _release(version: str) -> tuple[int, ...]:
    """ "0.3.0+abc" as (0, 3, 0); () where it is none."""
    numbers = version.split("+")[0].split(".")
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


def _warm() -> dict[str, object]:
    """Load the active version; without one the first detection does it, or says why not."""
    try:
        scorer = weights.scorer_of(version_active())
    except (DomainError, DetectorError, *AWAY) as error:
        _log.warning("no network is loaded yet: %s", error)
        return {}
    finally:
        connection.close()
    return {"device": scorer.device_name, "precision": scorer.precision}


def _send_heartbeats(facts: dict[str, object]) -> None:
    began = time.time()
    while True:
        memory = {"memory_mb": memory_mb(), "peak_memory_mb": peak_memory_mb()}
        heartbeat_send(name=worker_name(), facts={**facts, **memory, "since": began})
        time.sleep(HEARTBEAT_SECONDS)
