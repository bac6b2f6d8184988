"""`make load`: fifty readers pan, judge, count and upload for ten minutes, on gunicorn and PostgreSQL.

Mitoscope runs as `make run` runs it. Each reader has a slide in view: bursts of tiles as panning asks for them, now and
then the count, a verdict, the worklist, and a small upload. Prints how many calls of each kind there were, the median
and the 95th percentile of their times, and the memory of the web's processes after the first minute and at the end.
Ends with 1 where a call failed or the memory has grown by more than a tenth.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.resilience.chaos import House, upload_whole
from tests.waiting import wait_for

GROWTH = 1.1  # of memory, after the first minute
_TILES = 6  # of a burst
_IDLE = 1.0  # seconds; the server gives an idle connection up after two
_THINK = 1.5  # seconds between two things that a reader does, on average


@dataclass
class Measured:
    """Seconds of the calls of each kind, what failed, and the memory of the web in MB over time."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


class Reader(threading.Thread):
    """One reader with a connection of their own, until told to stop."""

    def __init__(self, house: House, token: str, slide: str, size: tuple[int, int], seed: int, measured: Measured,
                 over: threading.Event) -> None:  # fmt: skip
        super().__init__(daemon=True)
        self.host = house.address.removeprefix("http://")
        self.headers = {"Authorization": f"Token {token}"}
        self.slide, self.size, self.rng = slide, size, random.Random(seed)
        self.measured, self.over = measured, over
        self.connection, self.used = http.client.HTTPConnection(self.host, timeout=30), 0.0

    def run(self) -> None:
        acts = [(self.pan, 70), (self.count, 12), (self.judge, 12), (self.look, 5), (self.upload, 1)]
        while not self.over.wait(self.rng.expovariate(1 / _THINK)):
            self.rng.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()

    def pan(self) -> None:
        top = max(self.size).bit_length()
        level = self.rng.randint(top - 3, top)
        columns, rows = (max(1, (side >> (top - level)) // 256) for side in self.size)
        for _ in range(_TILES):
            place = f"{level}/{self.rng.randrange(columns)}_{self.rng.randrange(rows)}.jpeg"
            self.call("tile", "GET", f"/api/v1/slides/{self.slide}/tiles_files/{place}")

    def count(self) -> None:
        self.call("count", "GET", f"/api/v1/slides/{self.slide}/mitosis-count/")

    def judge(self) -> None:
        x, y = (self.rng.uniform(1, side - 1) for side in self.size)
        body = json.dumps({"x": x, "y": y, "label": self.rng.choice(["mitotic", "non_mitotic", "unsure"])}).encode()
        self.call("verdict", "POST", f"/api/v1/slides/{self.slide}/figures/", body, allowed={200, 409})

    def look(self) -> None:
        self.call("list", "GET", "/api/v1/slides/?limit=25")

    def upload(self) -> None:
        noise = np.random.default_rng(self.rng.getrandbits(32)).integers(120, 220, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(file := io.BytesIO(), "png")
        data = file.getvalue()
        name = base64.b64encode(b"small.png").decode()
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Offset": "0"}
        tus |= {"Upload-Metadata": f"filename {name},mpp {base64.b64encode(b'0.25').decode()}"}
        tus |= {"Content-Type": "application/offset+octet-stream"}
        self.call("upload", "POST", "/api/v1/uploads/", data, allowed={201}, **tus)

    def call(self, kind: str, method: str, path: str, body: bytes | None = None, *, allowed: set[int] | None = None,
             **headers: str) -> None:  # fmt: skip
        began = time.monotonic()
        if began - self.used > _IDLE:
            self.connection.close()  # the server is about to; a browser sees that it has, and takes another
        try:
            sent = {"Content-Type": "application/json", **self.headers, **headers}
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
            answer.read()
            if answer.status not in (allowed or {200}):
                self.measured.failed.append(f"{method} {path}: {answer.status}")
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.measured.failed.append(f"{method} {path}: {error!r}")
        self.used = time.monotonic()
        self.measured.seconds[kind].append(self.used - began)


def load(folder: Path, *, readers: int, minutes: float, side: int) -> Measured:
    """Run it."""
    house, measured, over = House(folder), Measured(), threading.Event()
    try:
        slide, size = _slide(house, folder, side)
        people = [
            Reader(house, token, slide, size, seed, measured, over) for seed, token in enumerate(_tokens(readers))
        ]
        began = time.monotonic()
        for person in people:
            person.start()
        while time.monotonic() - began < minutes * 60:
            measured.memory.append((time.monotonic() - began, _memory(house)))
            time.sleep(2)
        over.set()
        for person in people:
            person.join(60)
    finally:
        over.set()
        house.stop()
    return measured


def _slide(house: House, folder: Path, side: int) -> tuple[str, tuple[int, int]]:
    """A drawn slide that is detected on."""
    from detector.slide.drawn import draw_slide
    from webapp.slides.models import Slide

    draw_slide(folder / "slide.tif", size=side, figures=60, seed=1)
    upload_whole(house, folder / "slide.tif")

    def detected() -> Slide | None:
        return Slide.objects.filter(runs__isnull=False).first()

    slide = wait_for(detected, seconds=600, what="the slide to be detected on", every=1)
    assert slide.width and slide.height
    return str(slide.pk), (slide.width, slide.height)


def _tokens(readers: int) -> list[str]:
    from django.contrib.auth.models import User

    from webapp.access.services import token_make
    from webapp.slides.models import Membership, Study

    study, tokens = Study.objects.get(name="Laboratory"), []
    for number in range(readers):
        user = User.objects.create_user(f"reader {number}")
        Membership.objects.create(study=study, user=user)
        tokens.append(token_make(user=user))
    return tokens


def _memory(house: House) -> float:
    """Of all processes of the web, in MB."""
    total = 0
    for process in house.processes("web"):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 2**20


def said(measured: Measured) -> str:
    """The figures as a table."""
    lines = ["kind      calls   median    p95"]
    for kind, seconds in sorted(measured.seconds.items()):
        p95 = statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
        lines.append(f"{kind:8} {len(seconds):6} {statistics.median(seconds) * 1e3:6.0f} ms {p95 * 1e3:6.0f} ms")
    first, last = memory_then_and_now(measured)
    lines.append(f"memory of the web {first:.0f} MB after the first minute, {last:.0f} MB at the end")
    lines.append(f"{len(measured.failed)} calls failed" + "".join(f"\n  {one}" for one in measured.failed[:10]))
    return "\n".join(lines)


def memory_then_and_now(measured: Measured) -> tuple[float, float]:
    """Median of the half minute after the first minute (of the first samples, where it is shorter), and of the last."""
    later = [one for at, one in measured.memory if at >= 60] or [one for _, one in measured.memory]
    return statistics.median(later[:15]), statistics.median(later[-15:])


def main() -> int:
    """Exit status 0 where nothing failed and the memory stayed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--side", type=int, default=6000, help="px of the slide that is drawn")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="mitoscope-load-", ignore_cleanup_errors=True) as folder:
        measured = load(Path(folder), **vars(options))
    print(said(measured))
    first, last = memory_then_and_now(measured)
    return int(bool(measured.failed) or last > first * GROWTH)


if __name__ == "__main__":
    sys.exit(main())
