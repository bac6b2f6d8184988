"""What all processes share for a while: Redis, which may be away. Then everything works, but nobody remembers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.conf import settings
from redis import Redis, RedisError

_PATIENCE = 0.2  # seconds that a call waits for Redis
_PAUSE = 5.0  # seconds without asking Redis after it did not answer
_T = TypeVar("_T")


class _State:
    quiet_until = 0.0


def ask_redis(question: Callable[[Redis], _T]) -> _T | None:
    """What Redis says, or None where it is away."""
    if time.monotonic() < _State.quiet_until:
        return None
    try:
        return question(_client(settings.REDIS_URL))
    except RedisError:
        _State.quiet_until = time.monotonic() + _PAUSE
        return None


def ask_again() -> None:
    """Forget that Redis did not answer."""
    _State.quiet_until = 0.0


@cache
def _client(url: str) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE)
