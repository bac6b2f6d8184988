"""Counts kept by everything that they follow from: in the process, and in Redis for all processes."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock, RLock
from typing import TypeVar

from webapp.core.redis import ask_redis
from webapp.core.typed_json import from_json, to_json
from webapp.results.types import Count, Value, Values

T = TypeVar("T", Value, Values)

_REMEMBERED = 5000  # counts kept by each process
_KEPT_SECONDS = 7 * 86400  # by Redis, for all processes
_CALCULATION = 6  # to be raised when the same key comes to have another count: hotspot, ROI or rules in code


@dataclass(frozen=True)
class CountAnswer:
    """The count of a run with everything that it rests on. It is remembered."""

    count: Count

    @cached_property
    def body(self) -> bytes:
        """As JSON."""
        return to_json(self.count).encode()

    @cached_property
    def tag(self) -> str:
        """Names these bytes and no others, in every process (an ETag)."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


class Remembered:
    """The last results of this process by everything that they follow from, so that none can be out of date."""

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, CountAnswer] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], CountAnswer]) -> CountAnswer:
        """The result of this key, made where it is not there."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        result = make()
        with self._lock:
            self._results[key] = result
            while len(self._results) > _REMEMBERED:
                self._results.popitem(last=False)
        return result


def shared(kind: type[T], key: Hashable, make: Callable[[], T]) -> T:
    """The same among all processes, so that a hotspot is searched once; made anew where Redis is away."""
    name = f"count:{_CALCULATION}:{kind.__name__}:{hashlib.sha256(repr(key).encode()).hexdigest()}"
    if kept := ask_redis(lambda redis: redis.get(name)):
        return from_json(kind, json.loads(kept))
    waited = not _calculating.acquire(blocking=False) and _calculating.acquire()
    try:
        if waited and (kept := ask_redis(lambda redis: redis.get(name))):  # another thread was first
            return from_json(kind, json.loads(kept))
        result = make()
    finally:
        _calculating.release()
    ask_redis(lambda redis: redis.set(name, to_json(result), ex=_KEPT_SECONDS))
    return result


_calculating = RLock()  # of a process: threads that calculate at once only wait for each other, between every two steps
remembered = Remembered()
