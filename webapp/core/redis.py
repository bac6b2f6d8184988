"""Redis: one client with one timeout. Best effort: without Redis every call computes anew (circuit breaker, 5 s)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

_TIMEOUT = 1.0  # seconds that a call waits for Redis
_PAUSE = 5.0  # seconds without asking Redis after it did not answer
_T = TypeVar("_T")


class _State:
    quiet_until = 0.0


def ask_redis(question: Callable[[Redis], _T]) -> _T | None:
    """The answer, or None where Redis is away; it is not asked again for 5 s then."""
    if time.monotonic() < _State.quiet_until:
        return None
    try:
        return question(redis_client())
    except RedisError:
        _State.quiet_until = time.monotonic() + _PAUSE
        return None


def ask_again() -> None:
    """Close the circuit breaker."""
    _State.quiet_until = 0.0


def redis_client() -> Redis:
    """The client of this process; safe for threads and after a fork. Its calls raise RedisError."""
    return _client(settings.REDIS_URL)


@cache
def _client(url: str) -> Redis:
    once = Retry(NoBackoff(), 1)  # a pooled connection may have died; redis-py's own ten retries would be ten timeouts
    return Redis.from_url(url, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=once)
