"""Files that nobody has looked at yet are read in a process of its own, which confines itself to their folder."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

from detector.errors import DetectorError
from worker.shard import ClaimedShard

_log = logging.getLogger(__name__)
TIME_LIMIT = 1800  # seconds that reading may take


class NotRead(DetectorError):
    """The reader crashed, or took too long: the file is not what it says it is. The message is for the user."""


def read_apart(shard: ClaimedShard, module: str, *arguments: str | Path, what: str) -> str:
    """The last line that `python -m module` prints, as the claim of the shard is renewed. what: "this file".

    Raises NotRead, and DetectorError with what the process said where it failed otherwise.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    # Without our environment: it holds secrets, and whoever takes a decoder over could read them.
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + TIME_LIMIT
    try:
        while True:
            try:
                out, err = process.communicate(timeout=min(10, settings.LEASE_SECONDS / 3))
                break
            except subprocess.TimeoutExpired:
                shard.progress()
                if time.monotonic() > deadline:
                    raise NotRead(f"Reading {what} took longer than {TIME_LIMIT // 60} minutes.") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode < 0:
        raise NotRead(f"Reading {what} crashed the reader; it is damaged or not what it says it is.")
    if process.returncode != 0:
        _log.error("the reader of %s failed:\n%s", what, err[-4000:])
        raise DetectorError(f"{what.capitalize()} could not be read, by a fault of the reader; the log says which.")
    return out.splitlines()[-1]
