"""Keep freed memory in the process: the network frees and asks for the same 100 MB again at every rectangle."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_TUNED = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 << 20))
# What glibc's own thresholds have grown to after some large blocks.
_UNTUNED = ((_MMAP_MAX, 65536), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 128 << 10))


def tune_allocator() -> bool:
    """glibc: no mmap for large blocks, no trimming; about twice as fast on a CPU (docs/performance.md).

    False where the C library is not glibc.
    """
    return _set(_TUNED)


@contextmanager
def untuned() -> Iterator[None]:
    """The allocator as a program finds it, with what it has kept given back, for a baseline to measure against."""
    if _set(_UNTUNED):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        yield
    finally:
        tune_allocator()


def _set(options: tuple[tuple[int, int], ...]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(key, value) for key, value in options]
    return all(done)
