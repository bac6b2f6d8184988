"""How much memory this process has taken, and how much it may take."""

from __future__ import annotations

import re
import resource
from pathlib import Path

_PAGE = resource.getpagesize()


def peak_memory_mb() -> int:
    """The most that was resident so far, in MB.

    Not from getrusage where there is another way: that counts the process that this one was started by as well.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) >> 10
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def memory_mb() -> int:
    """What is resident now, in MB; the peak where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE >> 20
    except OSError:
        return peak_memory_mb()


def limit_memory(gigabytes: float) -> None:
    """Let this process take no more; an allocation beyond fails, and the detector goes on in halves (`Scorer.logits`).

    The limit is on data (RLIMIT_DATA), which is what allocations are counted in; files that are mapped do not count.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(gigabytes * 2**30), hard))
