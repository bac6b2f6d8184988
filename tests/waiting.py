"""The one way in which tests, benchmarks and resilience runs wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], *, seconds: float, what: str, every: float = 0.1) -> Found:
    """Ask until the answer is true, and return it; AssertionError names `what` where that takes longer than `seconds`.

    every: seconds between two questions.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)
    return found
