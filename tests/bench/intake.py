"""`make bench-intake`: small slides come in through a watched folder, while the watcher is killed again and again.

Starts PostgreSQL, Redis, a watcher and two ingest workers; counts slides that are lost or there twice.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import tests.services  # noqa: F401  PostgreSQL and Redis of its own

ROOT = Path(__file__).resolve().parents[2]
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
_EACH_CASE = 4  # slides


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slides", type=int, default=10_000)
    arguments.add_argument("--kill-every", type=float, default=20, help="seconds")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        share = Path(folder) / "share"
        os.environ["DATA_DIR"] = f"{folder}/data"
        os.environ |= {"WATCH_FOLDER": str(share), "WATCH_SECONDS": "2", "LOG_LEVEL": "ERROR"}
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        _draw(share, given.slides)
        _run(given.slides, given.kill_every)


def _draw(share: Path, number: int) -> None:
    """So many pyramids, all different, in cases of a study."""
    from detector.slide.pyramid import write_pyramid
    from tests.drawing import draw_tissue
    from webapp.slides.models import Study

    study, tissue = Study.objects.create(name="Archive"), draw_tissue(512, 512, seed=1)
    for i in range(number):
        image = np.roll(tissue, (i % 509, i // 509), axis=(0, 1))
        case = share / study.name / f"P-{i // _EACH_CASE}"
        case.mkdir(parents=True, exist_ok=True)

        def rows(top: int, bottom: int, image: Any = image) -> Any:
            return image[top:bottom]

        write_pyramid(case / f"{i}.tif", rows, (512, 512), (0.25, 0.25), compression="jpeg")


def _run(number: int, kill_every: float) -> None:
    from webapp.intake.models import Arrival
    from webapp.slides.models import Case, Slide

    watch = [sys.executable, "manage.py", "import_slides", "--watch"]
    work = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-Q", "ingest", "-c", "2", "-l", "ERROR"]
    reap = [sys.executable, "manage.py", "reap_jobs"]
    others = [subprocess.Popen(command, cwd=ROOT) for command in (work, reap)]
    watcher, kills, began, killed, taken = subprocess.Popen(watch, cwd=ROOT), 0, time.monotonic(), time.monotonic(), 0.0
    try:
        while (ready := Slide.objects.filter(state=Slide.State.READY).count()) < number:
            if not taken and Arrival.objects.filter(state=Arrival.State.TAKEN).count() == number:
                taken = time.monotonic() - began
            if not taken and time.monotonic() - killed > kill_every:
                watcher.kill()
                watcher.wait()
                watcher, killed, kills = subprocess.Popen(watch, cwd=ROOT), time.monotonic(), kills + 1
            if time.monotonic() - began > 60 + 10 * number:
                raise SystemExit(f"only {ready} of {number} slides are ready")
            time.sleep(1)
        seconds = time.monotonic() - began
        time.sleep(10)  # for what would come twice
    finally:
        for process in (watcher, *others):
            process.terminate()
    slides, contents = Slide.objects.count(), Slide.objects.values("sha256").distinct().count()
    print(f"{number} slides, {kills} kills of the watcher: imported in {taken:.0f} s, prepared in {seconds:.0f} s")
    cases = f"cases {Case.objects.count()} of {-(-number // _EACH_CASE)}"
    print(f"lost {number - contents}, twice {slides - contents}, {cases}")
    print(f"the worklist then takes {_worklist_ms():.0f} ms, the median of ten")


def _worklist_ms() -> float:
    from django.contrib.auth.models import User
    from django.test import Client

    client, seconds = Client(SERVER_NAME="localhost"), []
    client.force_login(User.objects.create_superuser("root"))
    for _ in range(11):
        began = time.perf_counter()
        assert client.get("/").status_code == 200
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
