"""How many calls a person, or an address that has not signed in, may make in a minute; counted in Redis for all
processes. Without Redis nobody is held up: calls matter more than their number."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from django.conf import settings
from redis import Redis, RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

_WINDOW = 60  # seconds
_PATIENCE = 0.2  # seconds that a call waits for Redis
_PAUSE = 5.0  # seconds without asking Redis after it did not answer


class PerMinute(BaseThrottle):
    """Windows of a minute by the clock; the answer 429 says when the next begins."""

    _quiet_until = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        user = request.user
        known = user is not None and user.is_authenticated
        limit = settings.CALLS_PER_MINUTE if known else settings.CALLS_PER_MINUTE_UNKNOWN
        now = time.time()
        if limit == 0 or now < PerMinute._quiet_until:
            return True
        who = f"user:{user.pk}" if known else f"address:{self.get_ident(request)}"
        self._left = _WINDOW - now % _WINDOW
        name = f"calls:{who}:{int(now // _WINDOW)}"
        try:
            with _redis().pipeline(transaction=False) as pipe:
                pipe.incr(name)
                pipe.expire(name, _WINDOW)
                count = pipe.execute()[0]
        except RedisError:
            PerMinute._quiet_until = now + _PAUSE
            return True
        return bool(count <= limit)

    def wait(self) -> float:
        return self._left


@cache
def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE)
