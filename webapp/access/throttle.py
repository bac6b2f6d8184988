"""How many calls a person, or an address that has not signed in, may make in a minute; counted for all processes.

Where Redis is away nobody is held up: calls matter more than their number.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from redis import Redis
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from webapp.shared_memory import ask_redis

_WINDOW = 60  # seconds


class PerMinute(BaseThrottle):
    """Windows of a minute by the clock; the answer 429 says when the next begins."""

    def allow_request(self, request: Request, view: Any) -> bool:
        user = request.user
        known = user is not None and user.is_authenticated
        limit = settings.CALLS_PER_MINUTE if known else settings.CALLS_PER_MINUTE_UNKNOWN
        if limit == 0:
            return True
        who = f"user:{user.pk}" if known else f"address:{self.get_ident(request)}"
        now = time.time()
        self._left = _WINDOW - now % _WINDOW
        name = f"calls:{who}:{int(now // _WINDOW)}"

        def count(redis: Redis) -> int:
            pipe = redis.pipeline(transaction=False)
            pipe.incr(name)
            pipe.expire(name, _WINDOW)
            return int(pipe.execute()[0])

        counted = ask_redis(count)
        return counted is None or counted <= limit

    def wait(self) -> float:
        return self._left
