"""How much memory this process has taken, and how much it may take."""

from __future__ import annotations

import resource


def peak_memory_mb() -> int:
    """The most that was resident so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
