"""Fixed-window limit of calls per minute, by user or address, for all processes.

A call to Redis costs as much as a short answer, so each process reserves 1/1000 of the quota at a time. Nobody gets
more than the limit; with several processes somebody may get one reservation less. Without Redis there is no limit.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Any

from django.conf import settings
from redis import Redis
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from webapp.core.redis import ask_redis

_WINDOW = 60  # seconds
_SHARES = 1000


class PerMinute(BaseThrottle):
    """DRF's throttle over windows of a minute; 429 names the seconds to the next one."""

    def allow_request(self, request: Request, view: Any) -> bool:
        user = request.user
        known = user is not None and user.is_authenticated
        limit = settings.CALLS_PER_MINUTE if known else settings.CALLS_PER_MINUTE_UNKNOWN
        if limit == 0:
            return True
        now = time.time()
        self._left = _WINDOW - now % _WINDOW
        who = f"user:{user.pk}" if known else f"address:{self.get_ident(request)}"
        return _reservations.take(who, limit, int(now // _WINDOW))

    def wait(self) -> float:
        return self._left


class _Reservations:
    """Calls that this process has reserved and not yet used, in one window."""

    def __init__(self) -> None:
        self._window = 0
        self._unused: dict[tuple[str, int], int] = {}
        self._lock = Lock()

    def take(self, who: str, limit: int, window: int) -> bool:
        """Whether there is one more call."""
        with self._lock:
            if window != self._window:
                self._window, self._unused = window, {}
            if unused := self._unused.get((who, limit), 0):
                self._unused[who, limit] = unused - 1
                return True
        reserved = max(limit // _SHARES, 1)
        taken = ask_redis(lambda redis: _counted(redis, f"calls:{who}:{window}", reserved))
        granted = 1 if taken is None else reserved - max(taken - limit, 0)
        if granted > 1:
            with self._lock:
                if window == self._window:
                    self._unused[who, limit] = self._unused.get((who, limit), 0) + granted - 1
        return granted > 0


def _counted(redis: Redis, name: str, reserved: int) -> int:
    pipe = redis.pipeline(transaction=False)
    pipe.incrby(name, reserved)
    pipe.expire(name, _WINDOW)
    return int(pipe.execute()[0])


_reservations = _Reservations()
