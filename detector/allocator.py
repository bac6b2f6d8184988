"""Keep freed memory in the process: the network frees and asks for the same 100 MB again at every rectangle."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def tune_allocator() -> bool:
    """glibc: no mmap for large blocks, no trimming. 1.2 to 1.5 times as fast on a CPU (docs/performance.md).

    False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 << 20))
    return all(bool(mallopt(key, value)) for key, value in settings)
