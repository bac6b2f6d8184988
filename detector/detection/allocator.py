"""Allocator and oneDNN settings of a scoring process: freed memory and prepared primitives are kept."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -2, -3, -4, -8
_TUNED = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 << 20), (_ARENA_MAX, 1))
# What glibc's own thresholds have grown to after some large blocks.
_UNTUNED = (
    (_MMAP_MAX, 65536),
    (_MMAP_THRESHOLD, 32 << 20),
    (_TRIM_THRESHOLD, 64 << 20),
    (_TOP_PAD, 128 << 10),
    (_ARENA_MAX, 0),
)


def tune_process() -> bool:
    """Tune the allocator and oneDNN; before the first image is scored. False where the C library is not glibc.

    The network frees and asks for the same 100 MB at every rectangle: no mmap for large blocks, no trimming, and one
    heap for all threads, so that what one has freed is there for the others. A cascade scores images of a hundred
    sizes: what oneDNN prepares for each in every layer is more than the 1,024 that it keeps by itself, and small. What
    this is worth is in docs/performance.md.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    return _set(_TUNED)


@contextmanager
def untuned() -> Iterator[None]:
    """The allocator as a program finds it, with what it has kept given back, for a baseline to measure against."""
    if _set(_UNTUNED):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        yield
    finally:
        _set(_TUNED)


def _set(options: tuple[tuple[int, int], ...]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(key, value) for key, value in options]
    return all(done)
