"""Who is there: workers and the watch say so in Redis every few seconds; what is not said any more is forgotten."""

from __future__ import annotations

import json
import time
from typing import Any

from django.conf import settings
from redis import Redis, RedisError

SAY_SECONDS = 5
FORGOTTEN_SECONDS = 30
WATCH = "watch"  # the name of the process that brings back lost work
_PREFIX = "mitoscope:here:"


def say_here(*, name: str, facts: dict[str, Any]) -> None:
    """Say that a process is there, and what it is at. A broker that is away is no reason to stop."""
    try:
        with _redis() as redis:
            redis.set(_PREFIX + name, json.dumps({**facts, "at": time.time()}), ex=FORGOTTEN_SECONDS)
    except RedisError:
        pass


def who_is_here() -> dict[str, dict[str, Any]] | None:
    """What each process said last, by its name; None where the broker is away."""
    try:
        with _redis() as redis:
            keys = list(redis.scan_iter(match=f"{_PREFIX}*", count=1000))
            said = redis.mget(keys) if keys else []
    except RedisError:
        return None
    pairs = zip(keys, said, strict=True)  # one that is forgotten between the two calls said None
    return {key.decode().removeprefix(_PREFIX): json.loads(value) for key, value in sorted(pairs) if value}


def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2)
