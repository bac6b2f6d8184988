"""`make chaos`: kill -9 of workers, web, Redis and PostgreSQL at random moments while slides go through.

Mitoscope runs as `make run` runs it, on a PostgreSQL of its own. Slides are uploaded by tus, detected again and
again and judged while processes die. In the end every upload is a slide, every job has succeeded, every run over a
slide has, once each, the detections of a run that nobody disturbed, every verdict that was answered is there and
recorded, and the audit chain is whole.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
import psutil

from tests.ports import free_port
from tests.postgres import Cluster
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("worker", "web", "redis", "postgres")
_PATIENCE = 600  # seconds until a wait is given up
_PART = 300_000  # bytes of a PATCH


@dataclass
class Report:
    """What one run has shown."""

    kills: Counter[str] = field(default_factory=Counter)
    slides: int = 0
    runs: int = 0
    detections: int = 0
    verdicts: int = 0
    attempts: int = 0
    seconds: float = 0.0


class House:
    """A Mitoscope under its launcher, and the PostgreSQL that it uses, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.postgres = Cluster(folder / "postgres")
        self.postgres.start()
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "DATA_DIR": str(self.data),
            "DATABASE_URL": self.postgres.url,
            "PORT": str(port),
            "DEMO_SLIDE_PIXELS": "0",
            "DETECT_SHARDS": "3",
            "LEASE_SECONDS": "5",
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
        }
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", "webapp.ops.launcher"],
            cwd=ROOT,
            env=self.environment,
            stdout=(folder / "launcher.log").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log = folder / "launcher.log"
        wait_for(lambda: "Ctrl-C stops everything" in log.read_text(), seconds=_PATIENCE, what="Mitoscope to start")
        lines = (self.data / "credentials.txt").read_text().splitlines()
        os.environ.update(self.environment)  # so that rows can be read here
        django.setup()
        self.token = dict(line.split(": ", 1) for line in lines if ": " in line)["token"]

    def kill(self, target: str, rng: random.Random) -> bool:
        """kill -9 of one process of a part; False where none runs at this moment."""
        if target == "postgres":
            self.postgres.kill()
            time.sleep(rng.uniform(0, 3))
            self.postgres.start()
            return True
        found = self.processes(target)
        if not found:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            rng.choice(found).kill()
        return True

    def stop(self) -> None:
        """End everything."""
        self.launcher.send_signal(signal.SIGINT)
        self.launcher.wait(timeout=60)
        self.postgres.kill()

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """(status, headers with JSON body as `body`); status 0 where the server is away."""
        request = urllib.request.Request(
            path if path.startswith("http") else f"{self.address}{path}",
            data=body,
            method=method,
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.headers
        except OSError:
            return 0, {}

    def processes(self, target: str) -> list[psutil.Process]:
        """The living processes of a part."""
        word = {"worker": "celery", "web": "gunicorn", "redis": "redis"}[target]
        found = []
        for process in psutil.Process(self.launcher.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(word in argument for argument in process.cmdline()[:4]):
                    found.append(process)
        return found


def chaos(folder: Path, *, kills: int, slides: int, side: int, seed: int, pause: float = 6.0) -> Report:
    """Run it; AssertionError says what was lost, doubled or different. side: px of the slides that are drawn."""
    rng, began, report = random.Random(seed), time.monotonic(), Report(slides=slides)
    files = [_drawn(folder / f"slide{i}.tif", side, seed + i) for i in range(slides)]
    house, given, settled = House(folder), [], threading.Event()
    reader = threading.Thread(target=_judge, args=(house, random.Random(seed), given, settled))
    reader.start()
    try:
        with contextlib.ExitStack() as stack:
            uploads = [threading.Thread(target=upload_whole, args=(house, file)) for file in files]
            for thread in uploads:
                thread.start()
                stack.callback(thread.join)
            while report.kills.total() < kills:
                time.sleep(rng.uniform(0.2, pause))
                # Each part once in every four, in any order, so that a short run kills all of them too.
                turn = report.kills.total() // len(TARGETS)
                target = rng.choice([name for name in TARGETS if report.kills[name] <= turn])
                report.kills[target] += house.kill(target, rng)
                _ask_again(house)
        _settle()
        settled.set()
        reader.join()
        report.verdicts = _check_verdicts(given)
        reference = _reference(house, slides)
        for name, runs in reference.items():
            assert len({json.dumps(run) for run in runs}) == 1, f"runs over {name} differ: {[len(r) for r in runs]}"
            assert runs[0], f"nothing was found on {name}"
            assert len(set(map(tuple, runs[0]))) == len(runs[0]), f"a detection on {name} is there twice"
            report.runs += len(runs)
            report.detections += len(runs[0])
        report.attempts = _attempts()
    finally:
        settled.set()
        house.stop()
    report.seconds = time.monotonic() - began
    return report


def _drawn(path: Path, side: int, seed: int) -> Path:
    from detector.slide.drawn import draw_slide

    draw_slide(path, size=side, figures=60, seed=seed)
    return path


def upload_whole(house: House, file: Path) -> None:
    """Send a file by tus and go on wherever the server has stopped, as a browser does."""
    data, tus, address, slide = file.read_bytes(), {"Tus-Resumable": "1.0.0"}, "", None
    name = f"filename {base64.b64encode(file.name.encode()).decode()}"

    def step() -> bool:
        nonlocal address, slide
        if not address:
            headers = {**tus, "Upload-Length": str(len(data)), "Upload-Metadata": name}
            status, answer = house.request("POST", "/api/v1/uploads/", **headers)
            address = answer["Location"] if status == 201 else ""
            return False
        status, answer = house.request("HEAD", address, **tus)
        if status != 200:
            return False
        offset = int(answer["Upload-Offset"])
        if offset == len(data):
            return True
        headers = {**tus, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        house.request("PATCH", address, data[offset : offset + _PART], **headers)
        return False

    wait_for(step, seconds=_PATIENCE, what=f"the upload of {file.name}", every=0.3)


def _ask_again(house: House) -> None:
    """Ask for the detection of every slide; one that is under way, or a server that is away, says no."""
    from django.db import connection
    from django.db.utils import Error

    from webapp.slides.models import Slide

    connection.close()  # it may be one to a server that was killed
    with contextlib.suppress(Error):
        for pk in Slide.objects.filter(state=Slide.State.READY).values_list("pk", flat=True):
            house.request("POST", f"/api/v1/slides/{pk}/detections/", b"{}")


def _judge(house: House, rng: random.Random, given: list[str], settled: threading.Event) -> None:
    """Judge a place on every slide, again and again. given: the ids of the verdicts that the server says it has."""
    from django.db import connection
    from django.db.utils import Error

    from webapp.slides.models import Slide

    while not settled.wait(0.5):
        connection.close()
        with contextlib.suppress(Error):
            for slide in Slide.objects.filter(state=Slide.State.READY):
                body = {"x": rng.uniform(1, slide.width - 1), "y": rng.uniform(1, slide.height - 1), "label": "mitotic"}
                verdict = str(uuid4())
                sent = json.dumps({**body, "verdict": verdict}).encode()
                if house.request("POST", f"/api/v1/slides/{slide.pk}/figures/", sent)[0] == 200:
                    given.append(verdict)
    connection.close()


def _check_verdicts(given: list[str]) -> int:
    """That all of them are there and recorded, and the chain is whole."""
    from webapp.annotations.models import Verdict
    from webapp.audit.models import Action, Entry
    from webapp.audit.services import audit_faults, chain_on

    there = Verdict.objects.all()
    assert there.filter(pk__in=given).count() == len(given), "a verdict that was answered is lost"
    assert Entry.objects.filter(action=Action.VERDICT).count() == there.count(), "a verdict is not recorded, or twice"
    chain_on()
    faults = list(audit_faults())
    assert not faults, faults[:3]
    return len(given)


def _settle() -> None:
    from django.db import connection

    from webapp.jobs.models import Job
    from webapp.jobs.states import OPEN, State

    connection.close()
    still_open = Job.objects.filter(state__in=OPEN)
    wait_for(lambda: not still_open.exists(), seconds=_PATIENCE, what="every job to end", every=0.3)
    ended = Counter(Job.objects.values_list("state", flat=True))
    errors = list(Job.objects.exclude(state=State.SUCCEEDED).values_list("kind", "error", "traceback"))
    assert set(ended) == {State.SUCCEEDED}, f"jobs ended as {dict(ended)}: {errors}"


def _reference(house: House, slides: int) -> dict[str, list[list[list[float]]]]:
    """Detect once more, undisturbed; then the detections of all runs over each slide, by name, the last run first."""
    from webapp.jobs.models import Job
    from webapp.slides.models import Slide

    assert Slide.objects.filter(state=Slide.State.READY).count() == slides, "an upload is lost or there twice"
    _ask_again(house)
    _settle()
    found = {}
    for slide in Slide.objects.all():
        jobs = Job.objects.filter(slide=slide, kind=Job.Kind.DETECT).count()
        runs = list(slide.runs.order_by("-created_at"))
        assert len(runs) == jobs, f"{jobs} detections of {slide.name} were asked for and {len(runs)} are there"
        found[slide.name] = [[list(c) for c in run.candidates.values_list("x", "y", "score")] for run in runs]
    return found


def _attempts() -> int:
    from django.db.models import Sum

    from webapp.jobs.models import Shard

    return int(Shard.objects.aggregate(sum=Sum("attempt"))["sum"])


def main() -> int:
    """Exit status 0 where nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--slides", type=int, default=4)
    parser.add_argument("--side", type=int, default=3000, help="px of the slides that are drawn")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pause", type=float, default=6.0, help="seconds at most between two kills")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    with tempfile.TemporaryDirectory(prefix="mitoscope-chaos-", ignore_cleanup_errors=True) as folder:
        try:
            report = chaos(Path(folder), **vars(options))
        except AssertionError as error:
            print(f"seed {options.seed}: {error}", file=sys.stderr)
            return 1
    print(
        f"{report.kills.total()} processes killed ({', '.join(f'{k} {v}' for k, v in report.kills.items())}) in "
        f"{report.seconds:.0f} s, seed {options.seed}: {report.slides} slides, {report.runs} runs, "
        f"{report.detections} detections each once and equal to the undisturbed run; {report.verdicts} verdicts, "
        f"each recorded, and the audit chain whole; {report.attempts} attempts."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
