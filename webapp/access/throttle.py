"""How many calls a person, or an address that has not signed in, may make in a minute; counted for all processes.

Asking Redis costs as much as a short answer, so each process takes calls from the minute's stock in handfuls, of a
thousandth of the limit. Nobody gets more than the limit; with several processes somebody may get a handful less.
Where Redis is away nobody is held up: calls matter more than their number.
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
_HANDFULS = 1000


class PerMinute(BaseThrottle):
    """Windows of a minute by the clock; the answer 429 says when the next begins."""

    def allow_request(self, request: Request, view: Any) -> bool:
        user = request.user
        known = user is not None and user.is_authenticated
        limit = settings.CALLS_PER_MINUTE if known else settings.CALLS_PER_MINUTE_UNKNOWN
        if limit == 0:
            return True
        now = time.time()
        self._left = _WINDOW - now % _WINDOW
        who = f"user:{user.pk}" if known else f"address:{self.get_ident(request)}"
        return _stock.take(who, limit, int(now // _WINDOW))

    def wait(self) -> float:
        return self._left


class _Stock:
    """The calls that this process has taken for somebody and that were not made yet, in one window."""

    def __init__(self) -> None:
        self._window = 0
        self._held: dict[tuple[str, int], int] = {}
        self._lock = Lock()

    def take(self, who: str, limit: int, window: int) -> bool:
        """Whether there is one more call."""
        with self._lock:
            if window != self._window:
                self._window, self._held = window, {}
            if held := self._held.get((who, limit), 0):
                self._held[who, limit] = held - 1
                return True
        handful = max(limit // _HANDFULS, 1)
        taken = ask_redis(lambda redis: _counted(redis, f"calls:{who}:{window}", handful))
        granted = 1 if taken is None else handful - max(taken - limit, 0)
        if granted > 1:
            with self._lock:
                if window == self._window:
                    self._held[who, limit] = self._held.get((who, limit), 0) + granted - 1
        return granted > 0


def _counted(redis: Redis, name: str, handful: int) -> int:
    pipe = redis.pipeline(transaction=False)
    pipe.incrby(name, handful)
    pipe.expire(name, _WINDOW)
    return int(pipe.execute()[0])


_stock = _Stock()
