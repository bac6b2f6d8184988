"""`make bench-tiles`: tiles a second and their latency, Mitoscope beside other tile servers on the same slide.

Clients walk the slide as a person does: from the overview down into it, along it at full size, up again and elsewhere.
Each asks for the tiles that come into its view, one after the other, and never twice for the same on one visit. All
servers run at once, as gunicorn with the same workers and threads; rounds alternate between them, so that what else the
machine does hits all of them. Ours checks session and permission for every tile; the others check nothing.

Before that, what one tile costs in one process, in processor time: rounds alternate, no tile is asked for twice.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import tifffile

from tests.ports import free_port, listening
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
VIEW = (1280, 800)  # px of the screen
GUNICORN = [
    "--worker-class",
    "gthread",
    "--workers",
    "2",
    "--threads",
    "4",
    "--no-control-socket",
    "--log-level",
    "error",
]


@dataclass
class Server:
    """A tile server. address: (level below full size, column, row) -> path."""

    name: str
    port: int
    tile: int
    address: Callable[[int, int, int], str]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Measured:
    """What one server answered to so many clients. seconds: of each tile."""

    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    bytes: int = 0


def walk(size: tuple[int, int], tile: int, rng: random.Random) -> Iterator[tuple[int, int, int]]:
    """Tiles (halvings, column, row) that come into view, for ever."""
    deepest = max((max(size) - 1).bit_length() - 9, 0)
    while True:
        seen: set[tuple[int, int, int]] = set()
        x, y = rng.uniform(0.2, 0.8) * size[0], rng.uniform(0.2, 0.8) * size[1]
        steps = [(halvings, 0.0, 0.0) for halvings in range(deepest, -1, -1)]
        heading = rng.choice([(0.6, 0.0), (-0.6, 0.0), (0.0, 0.6), (0.0, -0.6)])
        steps += [(0, *heading)] * 8 + [(1, 0.0, 0.0), (2, 0.0, 0.0)]
        for halvings, dx, dy in steps:
            x = min(max(x + dx * VIEW[0], 0), size[0] - 1)
            y = min(max(y + dy * VIEW[1], 0), size[1] - 1)
            for address in _visible(size, tile, halvings, x, y):
                if address not in seen:
                    seen.add(address)
                    yield address


def _visible(size: tuple[int, int], tile: int, halvings: int, x: float, y: float) -> Iterator[tuple[int, int, int]]:
    spans = []
    for centre, view, side in ((x, VIEW[0], size[0]), (y, VIEW[1], size[1])):
        level_side = -(-side >> halvings) or 1
        middle = centre / 2**halvings
        first = max(int(middle - view / 2), 0) // tile
        last = (min(int(middle + view / 2), level_side - 1)) // tile
        spans.append(range(first, max(last, first) + 1))
    for row in spans[1]:
        for column in spans[0]:
            yield (halvings, column, row)


def measure(server: Server, size: tuple[int, int], clients: int, seconds: float, seed: int, into: Measured) -> None:
    """Let clients walk for so long."""
    lock = threading.Lock()
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        took, received = [], 0
        for address in walk(size, server.tile, random.Random(seed * 1000 + number)):
            began = time.perf_counter()
            if began >= end:
                break
            connection.request("GET", server.address(*address), headers=server.headers)
            answer = connection.getresponse()
            received += len(answer.read())
            if answer.status != 200:
                raise SystemExit(f"{server.name}: {answer.status} for {server.address(*address)}")
            took.append(time.perf_counter() - began)
        connection.close()
        with lock:
            into.seconds += took
            into.bytes += received

    before, began = len(into.seconds), time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    into.rates.append((len(into.seconds) - before) / (time.perf_counter() - began))


def mitoscope(slide: Path) -> tuple[str, str, tuple[int, int]]:
    """Put the slide into a database of its own; returns its id, a signed-in session and its size."""
    import django
    from django.core.management import call_command

    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    from detector.slide.prepare import prepare
    from webapp.slides.services import slide_create, slide_prepared
    from webapp.slides.storage import local_path
    from webapp.slides.studies import study_create

    reader = User.objects.create_user("reader")
    study = study_create(name="Bench", manager=reader)
    copy = Path(os.environ["DATA_DIR"]) / slide.name
    shutil.copyfile(slide, copy)
    made = slide_create(study=study, case_identifier="", name=slide.name, file=copy, user=reader)
    made = slide_prepared(slide=made, facts=prepare(local_path(made), made.folder))
    session = SessionStore()
    session[SESSION_KEY] = str(reader.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = reader.get_session_auth_hash()
    session.create()
    assert made.width
    assert made.height
    return str(made.pk), str(session.session_key), (made.width, made.height)


def servers(
    slide: Path, large_image: str | None, started: list[subprocess.Popen[bytes]]
) -> tuple[list[Server], tuple[int, int]]:
    """Start them all."""
    pk, session, size = mitoscope(slide)
    from detector.slide.tiles import TileSource

    source = TileSource(slide)
    top = source.levels - 1
    levels_256 = max(-(-side // 256) for side in size)
    large_top = max(levels_256 - 1, 0).bit_length()
    tiles = f"/api/v1/slides/{pk}/tiles_files"
    signed_in = {"Cookie": f"sessionid={session}"}
    found = [
        Server(
            "mitoscope", free_port(), source.tile_size, lambda h, c, r: f"{tiles}/{top - h}/{c}_{r}.jpeg", signed_in
        ),
        Server("OpenSlide DeepZoom", free_port(), 254, lambda h, c, r: f"/{top - h}/{c}/{r}"),
    ]
    applications = [(sys.executable, "webapp.wsgi"), (sys.executable, "tests.bench.tile_peers:deepzoom_app")]
    if large_image:
        found.append(Server("large_image", free_port(), 256, lambda h, c, r: f"/{large_top - h}/{c}/{r}"))
        applications.append((large_image, "tests.bench.tile_peers:large_image_app"))
    environment = {**os.environ, "BENCH_SLIDE": str(slide)}
    for server, (python, application) in zip(found, applications, strict=True):
        command = [python, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{server.port}", *GUNICORN]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment))
    for server in found:
        wait_for(partial(listening, server.port), seconds=60, what=server.name)
    return found, size


def in_process(slide: Path, folder: Path, large_image: str | None, rounds: int, tiles: int = 40) -> None:
    """What a tile costs: sent as it is, decoded and encoded, and of a level that the file does not have."""
    from openslide import OpenSlide
    from openslide.deepzoom import DeepZoomGenerator

    from detector.slide.tiles import TileSource

    fours = folder / "fours.tif"
    write_fours(slide, fours)
    native, sparse = TileSource(slide), TileSource(fours)
    side, top = native.tile_size - native.overlap, native.levels - 1
    peer = DeepZoomGenerator(OpenSlide(str(slide)), side, 0)
    sparse_peer = DeepZoomGenerator(OpenSlide(str(fours)), sparse.tile_size, 0)

    def deepzoom(generator: DeepZoomGenerator, level: int) -> Callable[[int, int], object]:
        return lambda column, row: generator.get_tile(level, (column, row)).save(io.BytesIO(), "JPEG", quality=85)

    def cost(ask: Callable[[int, int], object], where: list[tuple[int, int]]) -> float:
        began = time.process_time()
        for column, row in where:
            ask(column, row)
        return (time.process_time() - began) / len(where)

    def grid(generator: DeepZoomGenerator, level: int, seed: int) -> list[tuple[int, int]]:
        columns, rows = generator.level_tiles[level]
        inside = [(column, row) for column in range(columns - 1) for row in range(rows - 1)]
        return random.Random(seed).sample(inside, min((rounds + 1) * tiles, len(inside)))

    full, half = grid(peer, top, 1), grid(sparse_peer, sparse.levels - 2, 2)
    took: dict[str, list[float]] = {}
    for number in range(rounds):
        here, there = full[number :: rounds + 1][:tiles], half[number :: rounds + 1][:tiles]
        for name, seconds in (
            ("passed", cost(lambda c, r: native.tile(top, c, r), here)),
            ("made", cost(lambda c, r: native._made(1, c, r), here)),
            ("deepzoom", cost(deepzoom(peer, top), here)),
            ("half", cost(lambda c, r: sparse.tile(sparse.levels - 2, c, r), there)),
            ("deepzoom half", cost(deepzoom(sparse_peer, sparse.levels - 2), there)),
        ):
            took.setdefault(name, []).append(seconds)
        if large_image and side == 256:
            level = max(max(-(-length // 256) for length in native._slide.size) - 1, 0).bit_length()
            command = [large_image, "-m", "tests.bench.tile_peers", str(slide), str(level)]
            asked = "".join(f"{column} {row}\n" for column, row in [*here, full[-1]])
            done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, cwd=ROOT)
            took.setdefault("large_image", []).append(float(done.stdout))
    print("in one process, processor time of a tile     ms      times as fast as")
    for what, ours, other, target in (
        ("sent as it is in the file", "passed", "deepzoom", 100),
        ("sent as it is in the file", "passed", "large_image", 30),
        ("decoded and encoded", "made", "deepzoom", 3),
        ("of a level that the file does not have", "half", "deepzoom half", 6),
    ):
        if other not in took or (ours == "passed" and native.overlap):
            continue
        ratio = statistics.median(b / a for a, b in zip(took[ours], took[other], strict=True))
        peer_name = f"{other.split()[0]} ({1000 * statistics.median(took[other]):.2f} ms)"
        print(f"{what:40} {1000 * statistics.median(took[ours]):8.4f} {ratio:10.1f}  {peer_name}, target {target}")


def write_fours(slide: Path, path: Path) -> None:
    """The same picture with every second level alone, so that Deep Zoom has to make the others."""
    from openslide import OpenSlide

    with OpenSlide(str(slide)) as file:
        width, height = (min(side, 12_000) for side in file.dimensions)
        image = np.asarray(file.read_region((0, 0), 0, (width, height)).convert("RGB"))
    with tifffile.TiffWriter(path) as tiff:
        for level in range(3):
            tiff.write(
                image, tile=(256, 256), photometric="rgb", compression="jpeg", compressionargs={"level": 88},
                subfiletype=1 if level else 0, metadata=None,
            )  # fmt: skip
            image = cv2.resize(image, (image.shape[1] // 4, image.shape[0] // 4), interpolation=cv2.INTER_AREA)


def report(results: dict[tuple[str, int], Measured], names: list[str], clients: list[int]) -> None:
    """One table; ratios are medians over the rounds."""
    print("clients  server               tiles/s  p50 ms  p95 ms  p99 ms  kB/tile  times ours")
    for count in clients:
        ours = results["mitoscope", count].rates
        for name in names:
            measured = results[name, count]
            cuts = statistics.quantiles(measured.seconds, n=100)
            ratio = statistics.median(a / b for a, b in zip(ours, measured.rates, strict=True))
            kb = measured.bytes / len(measured.seconds) / 1000
            p50, p95, p99 = (cuts[at] * 1000 for at in (49, 94, 98))
            row = f"{count:7}  {name:19} {statistics.median(measured.rates):8.0f}  {p50:6.1f}  {p95:6.1f}  {p99:6.1f}"
            print(f"{row}  {kb:7.1f}  {ratio:10.2f}")


def main() -> None:
    """Start, walk, print, stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", nargs="?", type=Path, help="a slide; drawn where none is given")
    parser.add_argument(
        "--large-image", metavar="PYTHON", help="a Python in which large_image and gunicorn are installed"
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    clients = [1, 8, 32]
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="bench-tiles-") as folder:
        os.environ["DATA_DIR"] = folder
        slide = options.slide
        if slide is None:
            from detector.slide.drawn import draw_slide

            slide = Path(folder) / "drawn.tif"
            draw_slide(slide, size=8192, figures=50)
        in_process(slide.resolve(), Path(folder), options.large_image, options.rounds + 2)
        try:
            found, size = servers(slide.resolve(), options.large_image, started)
            results = {(server.name, count): Measured() for server in found for count in clients}
            for number in range(-1, options.rounds):
                for count in clients:
                    for server in found:
                        if number < 0:
                            measure(server, size, count, 1, 0, Measured())  # warm
                        else:
                            measure(server, size, count, options.seconds, number, results[server.name, count])
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()
    report(results, [server.name for server in found], clients)


if __name__ == "__main__":
    main()
