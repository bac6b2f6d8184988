"""Heartbeats of workers and of the reaper of lost jobs: a key each in Redis, which expires where it is not renewed."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from redis import RedisError

from webapp.core.redis import redis_client

HEARTBEAT_SECONDS = 5
HEARTBEAT_KEPT_SECONDS = 30
REAPER = "reap_jobs"  # the name of the process that brings back lost work
WATCHER = "import_slides"  # that of the process that watches a folder for slides
_PREFIX = "mitoscope:here:"


def heartbeat_send(*, name: str, facts: dict[str, Any], kept: float = HEARTBEAT_KEPT_SECONDS) -> None:
    """Renew the heartbeat of a process, with what it computes on. A broker that is away is no reason to stop.

    kept: seconds after which it is thought to be gone.
    """
    with contextlib.suppress(RedisError):
        redis_client().set(_PREFIX + name, json.dumps({**facts, "at": time.time()}), ex=round(kept))


def heartbeats() -> dict[str, dict[str, Any]] | None:
    """The last facts of each living process, by its name; None where the broker is away."""
    try:
        keys = list(redis_client().scan_iter(match=f"{_PREFIX}*", count=1000))
        values = redis_client().mget(keys) if keys else []
    except RedisError:
        return None
    pairs = zip(keys, values, strict=True)  # None: expired between the two calls
    return {key.decode().removeprefix(_PREFIX): json.loads(value) for key, value in sorted(pairs) if value}
