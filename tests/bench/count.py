"""`make bench-count`: the mitotic count at 200 requests a second over 1,000 slides and 2 million candidates.

Starts PostgreSQL, Redis and the web server as `make run` does, on sockets and a loopback port of its own; asks as an
open loop (a request is due every 5 ms, whether or not the one before has been answered), so that waiting counts. Prints
the figures and the plans of the queries. Not a test: what it measures depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, cast
from unittest import mock
from uuid import UUID

import psutil

import tests.services  # PostgreSQL and Redis of its own
from tests.ports import listening
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"

CANDIDATES = """
INSERT INTO annotations_candidate (run_id, x, y, score)
  SELECT r.id, random() * 80000, random() * 60000, 0.2 + 0.8 * random()
  FROM annotations_run r, generate_series(1, %s)
  ORDER BY r.id -- those of a run beside each other, as they are written
"""
_FIGURES = 20  # judged, on each slide


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slides", type=int, default=1000)
    arguments.add_argument("--each", type=int, default=2000, help="candidates a slide")
    arguments.add_argument("--rate", type=float, default=200, help="requests a second")
    arguments.add_argument("--seconds", type=float, default=20)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--port", type=int, default=8690)
    given = arguments.parse_args()

    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    began = time.monotonic()
    token, slides = fill(given.slides, given.each)
    print(f"{given.slides} slides with {given.each} candidates each, filled in {time.monotonic() - began:.0f} s")
    count_as_workers_do()
    show_plans(slides[0])
    show_hotspots()
    server = start(given.port)
    client = Client(given.port, token)
    gets = [client.question(f"/api/v1/slides/{pk}/mitosis-count/") for pk in slides]
    try:
        began, before = time.monotonic(), used_so_far(server)
        client.drive(gets, rate=1e6, connections=4)
        print(f"every slide for the first time: {len(gets) / (time.monotonic() - began):.1f} a second", flush=True)
        tell_used(server, before, len(gets))
        cold = mixed(client, slides, gets, min(len(gets), 500), 0, 1)
        began, before = time.monotonic(), used_so_far(server)
        client.drive(cold, rate=1e6, connections=4)
        print(f"each at a threshold of its own: {len(cold) / (time.monotonic() - began):.1f} a second", flush=True)
        tell_used(server, before, len(cold))

        def measure(name: str, writes: float = 0, fresh: float = 0) -> None:
            questions = mixed(client, slides, gets, int(given.rate * given.seconds), writes / given.rate, fresh)
            before = used_so_far(server)
            report(f"{given.rate:g} a second, {name}", client.drive(questions, given.rate))
            tell_used(server, before, len(questions))

        for number in range(given.rounds):
            measure("any slide, " + ("in Redis, half in each process" if number == 0 else "in memory"))
        measure("any slide, 5 verdicts a second besides", writes=5)
        measure("any slide, 1 % with a threshold that nobody has asked for", fresh=0.01)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def mixed(
    client: Client, slides: list[str], gets: list[bytes], number: int, writes: float, fresh: float
) -> list[bytes]:
    """Questions of a round. writes: the share that are verdicts; fresh: the share with a threshold of their own."""
    questions = []
    for _ in range(number):
        slide = f"/api/v1/slides/{random.choice(slides)}"
        if random.random() < writes:
            place = {"label": "mitotic", "x": random.uniform(0, 80_000), "y": random.uniform(0, 60_000)}
            questions.append(client.question(f"{slide}/figures/", place))
        elif random.random() < fresh:
            questions.append(client.question(f"{slide}/mitosis-count/?min_score={random.uniform(0.4, 0.9):.6f}"))
        else:
            questions.append(random.choice(gets))
    return questions


def used_so_far(server: subprocess.Popen[bytes]) -> tuple[float, float, float]:
    """CPU seconds of web server, client and PostgreSQL."""
    postgres = int((tests.services.folder / "postgres" / "postmaster.pid").read_text().split()[0])
    return cpu_seconds(server.pid), time.process_time(), cpu_seconds(postgres)


def tell_used(server: subprocess.Popen[bytes], before: tuple[float, float, float], questions: int) -> None:
    """Print the CPU that each question took since."""
    parts = zip(("web server", "client", "PostgreSQL"), before, used_so_far(server), strict=True)
    used = ", ".join(f"{part} {1000 * (end - begin) / questions:.2f}" for part, begin, end in parts)
    print(f"    CPU for each, in ms: {used}", flush=True)


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


def count_as_workers_do() -> None:
    """The count of each run, as a worker makes it when the detection is done."""
    from webapp.annotations.models import Run
    from webapp.results.count import count_ahead

    began, runs = time.monotonic(), Run.objects.all()
    for run in runs:
        count_ahead(run=run)
    print(
        f"counted after the detection, by one worker: {len(runs) / (time.monotonic() - began):.1f} a second", flush=True
    )


def show_plans(slide: str) -> None:
    """The plan of every query of one request, as PostgreSQL carried it out."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from webapp.results.count import mitosis_count_seen

    reader = User.objects.get()
    # With the values in the SQL, so that each can be explained by itself.
    with mock.patch("webapp.core.cached_sql._cursor", connection.cursor), CaptureQueriesContext(connection) as queries:
        mitosis_count_seen(user=reader, slide=UUID(slide), run=None)
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF) " + query["sql"])
            print(query["sql"][:150] + " ...", *(f"    {row[0]}" for row in cursor.fetchall()), sep="\n")
    connection.close()


def show_hotspots() -> None:
    """Processor time of the three best places of 20,000 figures on a slide of 20 x 15 mm."""
    import numpy as np

    from webapp.results.hotspot import Held, hotspots
    from webapp.results.reaches import Reaches, grid_of

    rng = np.random.default_rng(0)
    even = rng.uniform(0, (20, 15), (20_000, 2))
    clusters = rng.uniform(1, (19, 14), (40, 2))[rng.integers(0, 40, 20_000)] + rng.normal(0, 0.8, (20_000, 2))
    lattice = np.stack(np.meshgrid(np.linspace(0.05, 19.95, 160), np.linspace(0.05, 14.95, 125)), -1).reshape(-1, 2)
    for name, xy in (("even", even), ("40 clusters", np.clip(clusters, 0, (20, 15))), ("a lattice", lattice)):
        for shape in ("circle", "square"):
            columns, rows = grid_of(20, 15, shape, 2.0)
            began = time.process_time()
            reaches = Reaches(np.ones((rows, columns), np.float32), (20 / columns, 15 / rows), shape, 2.0)
            counts = [place.count for place in hotspots(Held(xy, reaches))]
            took = time.process_time() - began
            print(f"three hotspots of 20,000 figures, {name}, {shape}: {took:.2f} s {counts}")


def start(port: int) -> subprocess.Popen[bytes]:
    """The web server as the launcher starts it, all its processes ready."""
    command = f"-m gunicorn webapp.wsgi --bind 127.0.0.1:{port} --workers 2 --threads 4"
    kind = ["--worker-class", "webapp.ops.web_worker.WebWorker", "--no-control-socket"]
    server = subprocess.Popen([sys.executable, *command.split(), *kind], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(lambda: listening(port), seconds=30, what=f"the web server on port {port}")

    def idle() -> bool:
        before = cpu_seconds(server.pid)
        time.sleep(1)
        return cpu_seconds(server.pid) - before < 0.05

    wait_for(idle, seconds=60, what="the processes of the web server")
    return server


class Client:
    """Connections that are kept open, and what is sent on them: in one thread, which takes little of the machine."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Token {token}\r\n"
        self._ready: deque[socket.socket] = deque()
        self._waiting = selectors.DefaultSelector()

    def question(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The bytes of a request; a POST where there is a body."""
        if body is None:
            return f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode()
        data = json.dumps(body)
        kind = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        return f"POST {path} HTTP/1.1\r\n{self._head}{kind}\r\n{data}".encode()

    def drive(self, questions: list[bytes], rate: float, connections: int = 32) -> list[float]:
        """Ask, one every 1 / rate s, on as many connections; returns how long each took from when it was due, in s."""
        took: list[float] = []
        began, sent = time.monotonic(), 0
        while len(took) < len(questions):
            now = time.monotonic()
            while sent < len(questions) and began + sent / rate <= now and len(self._waiting.get_map()) < connections:
                self._send(questions[sent], began + sent / rate)
                sent += 1
            full = sent == len(questions) or len(self._waiting.get_map()) == connections
            until = None if full else max(began + sent / rate - time.monotonic(), 0)
            for key, _ in self._waiting.select(until):
                if self._received(key):
                    took.append(time.monotonic() - key.data[1])
        return took

    def _send(self, question: bytes, due: float) -> None:
        link = self._ready.popleft() if self._ready else self._opened()
        try:
            link.sendall(question)
        except OSError:  # the server closes connections that were idle for 2 s
            link = self._opened()
            link.sendall(question)
        self._waiting.register(link, selectors.EVENT_READ, (question, due, bytearray()))

    def _opened(self) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", self._port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def _received(self, key: selectors.SelectorKey) -> bool:
        """Whether the answer is whole."""
        link, (question, due, answer) = cast(socket.socket, key.fileobj), key.data
        piece = link.recv(1 << 16)
        answer += piece
        head, found, body = bytes(answer).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        whole = bool(found) and length is not None and len(body) >= int(length[1])
        if piece and not whole:
            return False
        self._waiting.unregister(link)
        if not whole:
            link.close()
            if answer:
                raise SystemExit(f"half an answer: {bytes(answer)[:300]!r}")
            self._send(question, due)  # the connection had ended before
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {bytes(answer)[:400]!r}")
        if b"connection: close" in head.lower():
            link.close()
        else:
            self._ready.append(link)
        return True


def cpu_seconds(pid: int) -> float:
    """What a process and those that it started have used so far."""
    own = psutil.Process(pid)
    total = own.cpu_times().children_user + own.cpu_times().children_system  # those that have ended
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


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
