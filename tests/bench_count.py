"""`make bench-count`: the mitotic count at 200 requests a second over 1,000 slides and 2 million candidates.

Starts PostgreSQL, Redis and the web server as `make run` does, on sockets and a loopback port of its own; asks as an
open loop (a request is due every 5 ms, whether or not the one before has been answered), so that waiting counts. Prints
the figures and the plans of the queries. Not a test: what it measures depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import http.client
import os
import queue
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

import psutil

import tests.services  # noqa: F401  # PostgreSQL and Redis of its own

ROOT = Path(__file__).resolve().parents[1]
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"

CANDIDATES = """
INSERT INTO annotations_candidate (run_id, x, y, score)
  SELECT r.id, random() * 80000, random() * 60000, 0.2 + 0.8 * random()
  FROM annotations_run r, generate_series(1, %s)
"""
_FIGURES = 20  # judged, on each slide


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slides", type=int, default=1000)
    arguments.add_argument("--each", type=int, default=2000, help="candidates a slide")
    arguments.add_argument("--rate", type=float, default=200, help="requests a second")
    arguments.add_argument("--seconds", type=float, default=20)
    arguments.add_argument("--asked", type=int, default=1000, help="slides that are asked for")
    arguments.add_argument("--port", type=int, default=8690)
    given = arguments.parse_args()

    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    began = time.monotonic()
    token, slides = fill(given.slides, given.each)
    print(f"{given.slides} slides with {given.each} candidates each, filled in {time.monotonic() - began:.0f} s")
    show_plans(slides[0])
    show_hotspots()
    server = start(given.port)
    try:
        addresses = [f"/api/v1/slides/{pk}/mitosis-count/" for pk in slides[: given.asked]]
        began = time.monotonic()
        drive(given.port, token, addresses, rate=1e6, seconds=1)
        print(f"every slide for the first time: {len(addresses) / (time.monotonic() - began):.1f} a second")
        drive(given.port, token, addresses * 2, rate=1e6, seconds=1)  # until both processes know all
        for _ in range(3):
            asked = random.choices(addresses, k=int(given.rate * given.seconds))
            before = cpu_seconds(server.pid)
            took = drive(given.port, token, asked, given.rate, given.seconds)
            used = 1000 * (cpu_seconds(server.pid) - before) / len(took)
            report(f"{given.rate:g} a second, any slide", took)
            print(f"    CPU of the web server for each: {used:.1f} ms", flush=True)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def fill(slides: int, each: int) -> tuple[str, list[str]]:
    """A study with everything in it, and a reader's token."""
    from django.contrib.auth.models import User
    from django.db import connection

    from webapp.access.services import token_make
    from webapp.annotations.models import Figure, Run
    from webapp.registry.models import ModelVersion
    from webapp.slides.models import Case, Membership, Slide, Study

    reader = User.objects.create_user("reader")
    study = Study.objects.create(name="Load")
    Membership.objects.create(study=study, user=reader)
    model = ModelVersion.objects.create(name="m", state="active", path="m", sha256="0" * 64, card={})
    cases = Case.objects.bulk_create(Case(study=study, identifier=f"case-{i}") for i in range(slides))
    size = {"width": 80_000, "height": 60_000, "mpp_x": 0.25, "mpp_y": 0.25, "tissue_fraction": 0.5}
    made = Slide.objects.bulk_create(Slide(case=case, name=f"{case}.svs", state="ready", **size) for case in cases)
    stamp = {
        "model_sha256": model.sha256,
        "parameters": {"floor": 0.2},
        "mpp_x": 0.25,
        "mpp_y": 0.25,
        "precision": "fp32",
    }
    stamp |= {
        "code_version": "bench",
        "device": "cpu",
        "windows_total": 1,
        "windows_skipped": 0,
        "candidate_count": each,
    }
    Run.objects.bulk_create(Run(slide=slide, model=model, **stamp) for slide in made)
    Figure.objects.bulk_create(
        Figure(
            slide=slide,
            x=random.uniform(0, 80_000),
            y=random.uniform(0, 60_000),
            added=True,
            label="mitotic",
            version=1,
        )
        for slide in made
        for _ in range(_FIGURES)
    )
    with connection.cursor() as cursor:
        cursor.execute(CANDIDATES, [each])
        cursor.execute("ANALYZE")
    return token_make(user=reader), [str(slide.pk) for slide in made]


def show_plans(slide: str) -> None:
    """The plan of every query of one request, as PostgreSQL carried it out."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from webapp.results.selectors import mitosis_count_seen, question

    reader = User.objects.get()
    with CaptureQueriesContext(connection) as queries:
        mitosis_count_seen(user=reader, slide=UUID(slide), run=None, asked=question())
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF) " + query["sql"])
            print(query["sql"][:150] + " ...", *(f"    {row[0]}" for row in cursor.fetchall()), sep="\n")
    connection.close()


def show_hotspots() -> None:
    """Processor time of the three best places of 20,000 figures on a slide of 20 x 15 mm."""
    import numpy as np
    import shapely

    from webapp.results.hotspot import Circle, Square, hotspots

    rng = np.random.default_rng(0)
    even = rng.uniform(0, (20, 15), (20_000, 2))
    clusters = rng.uniform(1, (19, 14), (40, 2))[rng.integers(0, 40, 20_000)] + rng.normal(0, 0.8, (20_000, 2))
    for name, xy in (("even", even), ("in 40 clusters", np.clip(clusters, 0, (20, 15)))):
        for shape in (Circle(2.0), Square(2.0)):
            began = time.process_time()
            places = hotspots(xy[:, 0], xy[:, 1], shape, shapely.box(0, 0, 20, 15))
            took, counts = time.process_time() - began, [place.count for place in places]
            print(f"three hotspots of 20,000 figures, {name}, {type(shape).__name__}: {took:.2f} s {counts}")


def start(port: int) -> subprocess.Popen[bytes]:
    """The web server as the launcher starts it."""
    command = f"-m gunicorn webapp.wsgi --bind 127.0.0.1:{port} --workers 2 --threads 4 --worker-class gthread"
    server = subprocess.Popen(
        [sys.executable, *command.split(), "--no-control-socket"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.1)
    raise SystemExit("the server does not start")


def drive(port: int, token: str, addresses: list[str], rate: float, seconds: float) -> list[float]:
    """Ask for the addresses, one every 1 / rate s; returns how long each took from when it was due, in s."""
    due: queue.Queue[tuple[float, str] | None] = queue.Queue()
    took: list[float] = []
    failed: list[str] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (job := due.get()) is not None:
            try:
                connection.request("GET", job[1], headers={"Authorization": f"Token {token}"})
                answer = connection.getresponse()
            except http.client.RemoteDisconnected:  # the server closes connections that were idle for 2 s
                connection.close()
                connection.request("GET", job[1], headers={"Authorization": f"Token {token}"})
                answer = connection.getresponse()
            body = answer.read()
            took.append(time.monotonic() - job[0])
            if answer.status != 200:
                failed.append(f"{answer.status} {body[:200]!r}")
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(16)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    for number, address in enumerate(addresses[: int(rate * seconds)]):
        at = began + number / rate
        time.sleep(max(at - time.monotonic(), 0))
        due.put((at, address))
    for _ in workers:
        due.put(None)
    for worker in workers:
        worker.join()
    if failed:
        raise SystemExit(f"{len(failed)} of {len(took)} failed: {failed[0]}")
    return took


def cpu_seconds(web: int) -> float:
    """What the web server has used so far."""
    processes = [psutil.Process(web), *psutil.Process(web).children(recursive=True)]
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)


def report(name: str, took: list[float]) -> None:
    """One line."""
    cut = statistics.quantiles(took, n=100)
    p50, p95, p99 = (1000 * cut[i - 1] for i in (50, 95, 99))
    load = os.getloadavg()[0]
    print(
        f"{name}: {len(took)} answered, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms (load average {load:.1f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
