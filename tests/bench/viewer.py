"""`make bench-viewer`: the slide page with 1,000 to 200,000 candidates, beside OpenSeadragon alone and Annotorious.

Starts PostgreSQL, Redis and the web server as `make run` does, and opens the page in Chromium as a reader would. What
stands beside it (OpenSeadragon's own overlays, Annotorious with the same points) is put onto the same page without a
run, in the same browser, in the same minute. Not a test: what it measures depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

import tests.services  # noqa: F401  # PostgreSQL and Redis, before Django reads its settings
from tests.bench.count import start
from tests.browser import launched

ROOT = Path(__file__).resolve().parents[2]
PORT = 8590
SIDE = 100_000  # the candidates lie as on a slide of this many px; the picture behind them is smaller
PICTURE = 8192  # px
WARM = 3  # s of panning that are not counted: the first frames of a page wait for tiles to be decoded
MOST_OVERLAYS = 1_000  # of OpenSeadragon's own: with more a picture takes seconds
MOST_ANNOTATIONS = 20_000  # of Annotorious: 200,000 were not there after minutes
_PAN = """async (seconds) => {
  const viewer = OpenSeadragon.getViewer("viewer");
  const view = viewer.viewport, steps = [];
  view.zoomTo(view.getHomeZoom() * 3, null, true);
  await new Promise((done) => setTimeout(done, 1500));
  let last = performance.now(), end = last + seconds * 1000, i = 0;
  while (last < end) {
    view.panBy(new OpenSeadragon.Point(0.002 * (i++ % 60 < 30 ? 1 : -1), 0), true);
    const now = await new Promise(requestAnimationFrame);
    steps.push(now - last);
    last = now;
  }
  steps.sort((a, b) => a - b);
  return {fps: 1000 * steps.length / steps.reduce((a, b) => a + b), p95: steps[Math.floor(0.95 * steps.length)]};
}"""
_OVERLAYS = """async ([xs, ys]) => {
  const viewer = OpenSeadragon.getViewer("viewer"), item = viewer.world.getItemAt(0), began = performance.now();
  for (let i = 0; i < xs.length; i++) {
    const element = document.createElement("div");
    element.className = "shape mitotic";
    const location = item.imageToViewportCoordinates(xs[i], ys[i]);
    viewer.addOverlay({element, location, placement: OpenSeadragon.Placement.CENTER});
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
_ANNOTORIOUS = """async ([xs, ys, radius]) => {
  const viewer = OpenSeadragon.getViewer("viewer"), began = performance.now();
  const anno = AnnotoriousOSD.createOSDAnnotator(viewer, {drawingEnabled: false});
  const many = [];
  for (let i = 0; i < xs.length; i++) {
    const [x, y] = [xs[i], ys[i]], id = "a" + i;
    const geometry = {cx: x, cy: y, rx: radius, ry: radius,
      bounds: {minX: x - radius, minY: y - radius, maxX: x + radius, maxY: y + radius}};
    many.push({id, bodies: [], target: {annotation: id, selector: {type: "ELLIPSE", geometry}}});
  }
  anno.setAnnotations(many);
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
_RECOUNT = """() => { const slider = document.getElementById("score"), began = performance.now();
  for (let i = 0; i < 20; i++) { slider.value = 0.2 + i * 0.03; slider.dispatchEvent(new Event("input")); }
  return (performance.now() - began) / 20; }"""


def main() -> None:
    """Print one block of figures for each number of candidates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1_000, 20_000, 200_000])
    parser.add_argument("--seconds", type=float, default=4, help="of panning for each figure")
    parser.add_argument("--alone", action="store_true", help="the slide page alone, nothing beside it")
    parser.add_argument("--annotorious", type=Path, help="annotorious-openseadragon.js of @annotorious/openseadragon")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running

    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    pages = {count: slide_with(count) for count in given.candidates}
    empty = slide_with(0)
    cookie = session()
    server = start(PORT)
    try:
        with launched() as browser:
            for count, (path, points) in pages.items():
                open_page = _Opener(browser, cookie)
                print(f"{count:,} candidates (load average {os.getloadavg()[0]:.1f})", flush=True)
                measured(open_page, path, count, given.seconds)
                if not given.alone:
                    beside(open_page, empty[0], points, given.seconds, given.annotorious)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


class _Opener:
    """Opens pages as the reader, each in a context of its own, so that nothing is in its cache."""

    def __init__(self, browser: Any, cookie: str) -> None:
        self._browser, self._cookie = browser, cookie

    def __call__(self, path: str) -> Any:
        context = self._browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
        context.add_cookies([{"name": "sessionid", "value": self._cookie, "url": f"http://127.0.0.1:{PORT}"}])
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{PORT}{path}")
        return page


def measured(open_page: _Opener, path: str, count: int, seconds: float) -> None:
    """The slide page itself. The first opening fills the server's caches and is not counted."""
    ready = f"body[data-candidates='{count}']"
    first = open_page(path)
    first.wait_for_selector(ready)
    first.wait_for_selector("[data-number='ai-hotspot']:text-matches('[0-9]')")
    first.context.close()
    shown = []
    for _ in range(3):
        page = open_page(path)
        page.wait_for_selector(ready)
        drawn = "() => performance.getEntriesByName('all candidates are drawn')[0].startTime"
        shown.append((page.evaluate(drawn), _first_tile(page)))
        if len(shown) < 3:
            page.context.close()
    all_points, first_tile = sorted(shown)[1]
    say("first tile, ms", first_tile)
    say("all points, ms", all_points)
    page.fill("#score", "0.2")
    say("recount by the slider, ms", page.evaluate(_RECOUNT))
    page.fill("#score", "0.2")
    page.wait_for_load_state("networkidle")  # a count under way would take a core from the browser
    page.evaluate(_PAN, WARM)
    pan("heatmap", page, seconds)
    page.keyboard.press("d")
    pan("points", page, seconds)
    page.keyboard.press("e")
    page.wait_for_selector("#screening-say:has-text('Field ')", state="attached")
    pan("points, screening", page, seconds)
    page.context.close()


def beside(open_page: _Opener, path: str, points: Any, seconds: float, annotorious: Path | None) -> None:
    """OpenSeadragon on the same slide: alone, with its own overlays, and with Annotorious."""
    page = open_page(path)
    page.wait_for_selector("#viewer canvas")
    page.evaluate(_PAN, WARM)
    pan("OpenSeadragon alone", page, seconds)
    if len(points) <= MOST_OVERLAYS:
        say("OpenSeadragon overlays, ms to add", page.evaluate(_OVERLAYS, points.T.tolist()))
        pan("OpenSeadragon overlays", page, seconds)
    page.context.close()
    if annotorious and len(points) <= MOST_ANNOTATIONS:
        page = open_page(path)
        page.wait_for_selector("#viewer canvas")
        page.add_script_tag(path=annotorious)
        say("Annotorious, ms to add", page.evaluate(_ANNOTORIOUS, [*points.T.tolist(), 9 / 0.25 * PICTURE / SIDE]))
        pan("Annotorious", page, seconds)
        page.context.close()


def pan(name: str, page: Any, seconds: float) -> None:
    """Move the slide by a script for a while, at three times the zoom at which it fits."""
    moved = page.evaluate(_PAN, seconds)
    say(f"{name}, panning: frames/s", moved["fps"])
    say(f"{name}, panning: 95 % of frames within, ms", moved["p95"])
    say(f"{name}: memory, MB", _memory())


def say(name: str, value: float) -> None:
    """One figure."""
    print(f"  {name:55}{value:10.1f}", flush=True)


def slide_with(count: int) -> tuple[str, Any]:
    """A drawn slide with a run of so many candidates in forty clusters; its page, and the points [n, 2] level-0 px."""
    import numpy as np

    from detector.slide.drawn import draw_slide
    from webapp.annotations.models import Run
    from webapp.annotations.services import candidates_write
    from webapp.registry.models import ModelVersion
    from webapp.slides.models import Case, Slide, Study
    from webapp.slides.storage import local_path

    study, _ = Study.objects.get_or_create(name="Load")
    case = Case.objects.create(study=study, identifier=f"case-{count}")
    mpp = 0.25 * SIDE / PICTURE
    slide = Slide.objects.create(
        case=case, name=f"{count}.tif", state="ready", path="pyramid.tif", width=PICTURE, height=PICTURE,
        mpp_x=mpp, mpp_y=mpp, mpp_source="file", tissue_fraction=1.0, sha256=f"{count:064x}",
    )  # fmt: skip
    slide.folder.mkdir(parents=True)
    drawn = Path(os.environ["DATA_DIR"]) / "drawn.tif"
    if not drawn.exists():
        draw_slide(drawn, size=PICTURE, figures=60, seed=1)
    local_path(slide).hardlink_to(drawn)
    if not count:
        return f"/slides/{slide.pk}/", np.empty((0, 2))
    rng = np.random.default_rng(5)
    points = rng.normal(rng.uniform(0, PICTURE, (40, 1, 2)), PICTURE / 20, (40, count // 40, 2))
    points = np.clip(points, 0, PICTURE - 1).reshape(-1, 2)
    score = np.sort(rng.beta(0.6, 0.8, count) * 0.8 + 0.2)[::-1]
    model, _ = ModelVersion.objects.get_or_create(name="m", state="active", path="m", sha256="0" * 64, card={})
    run: Run = Run.objects.create(
        slide=slide, model=model, model_sha256=model.sha256, parameters={"floor": 0.2}, mpp_x=mpp, mpp_y=mpp,
        code_version="bench", device="cpu", precision="fp32", windows_total=1, windows_skipped=0,
        candidate_count=count,
    )  # fmt: skip
    candidates_write(run=run, rows=[(x, y, s) for (x, y), s in zip(points.tolist(), score.tolist(), strict=True)])
    return f"/slides/{slide.pk}/", points


def session() -> str:
    """The cookie of a reader who is signed in."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    from webapp.slides.models import Membership, Study

    reader = User.objects.create_user("reader")
    Membership.objects.create(study=Study.objects.get(name="Load"), user=reader)
    client = Client()
    client.force_login(reader)
    connection.close()
    return str(client.cookies["sessionid"].value)


def _memory() -> float:
    """Of the page's process, typed arrays included; what it shares with others left out. MB."""
    import psutil

    pages = [one for one in psutil.Process().children(recursive=True) if "--type=renderer" in one.cmdline()]
    return max(float(one.memory_full_info().uss) for one in pages) / 1e6


def _first_tile(page: Any) -> float:
    entries = """() => Math.min(...performance.getEntriesByType("resource")
        .filter((entry) => entry.name.includes("tiles_files")).map((entry) => entry.responseEnd))"""
    return float(page.evaluate(entries))


if __name__ == "__main__":
    main()
