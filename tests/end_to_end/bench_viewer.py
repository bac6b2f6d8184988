"""`make bench-viewer`: the slide page with many candidates, beside OpenSeadragon alone and with its own overlays.

Not a test: it prints figures. All of them come from one run, on the same slide and the same points, in this Chromium.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

from webapp.annotations.models import Candidate, Run

SIDE = 100_000  # the candidates lie as on a slide of this many px; the picture behind them is smaller
SECONDS = 3
_PAN = """async (seconds) => {
  const viewer = OpenSeadragon.getViewer("viewer");
  const view = viewer.viewport, steps = [];
  view.zoomTo(view.getHomeZoom() * 3, null, true);
  let last = performance.now(), end = last + seconds * 1000, i = 0;
  while (last < end) {
    view.panBy(new OpenSeadragon.Point(0.004 * (i++ % 60 < 30 ? 1 : -1), 0), true);
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


def _memory(page: Any) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6


def _first_tile(page: Any) -> float:
    return page.evaluate(
        """() => Math.min(...performance.getEntriesByType("resource")
           .filter(e => e.name.includes("tiles_files")).map(e => e.responseEnd))"""
    )


@pytest.mark.parametrize("count", [1_000, 20_000, 200_000])
def test_bench(count, slide, make_run, open_as, alice, capsys):
    rng = np.random.default_rng(5)
    xy = np.clip(rng.normal(rng.uniform(0, SIDE, (40, 1, 2)), SIDE / 20, (40, count // 40, 2)), 0, SIDE - 1)
    xy = xy.reshape(-1, 2) * 2048 / SIDE
    score = np.sort(rng.beta(0.6, 0.8, count) * 0.8 + 0.2)[::-1]
    run: Run = make_run(slide, [])
    slide.mpp_x = slide.mpp_y = 0.25 * SIDE / 2048
    slide.save()
    rows = (Candidate(run=run, x=x, y=y, score=s) for (x, y), s in zip(xy.tolist(), score.tolist(), strict=True))
    Candidate.objects.bulk_create(rows, batch_size=5000)

    path = f"/slides/{slide.pk}/"
    first = open_as(alice, path)  # fills the cache of tiles
    first.wait_for_selector(f"body[data-candidates='{count}']", timeout=60_000)
    first.context.close()
    page = open_as(alice, path)
    page.wait_for_selector(f"body[data-candidates='{count}']", timeout=60_000)
    shown = page.evaluate("() => performance.getEntriesByName('all candidates are drawn')[0].startTime")
    line: dict[str, Any] = {"first tile ms": _first_tile(page), "all points ms": shown}
    page.fill("#score", "0.2")
    began = page.evaluate("() => performance.now()")
    page.evaluate(
        """() => { const s = document.getElementById("score");
        for (let i = 0; i < 20; i++) { s.value = 0.2 + i * 0.03; s.dispatchEvent(new Event("input")); } }"""
    )
    line["recount ms"] = (page.evaluate("() => performance.now()") - began) / 20
    page.fill("#score", "0.2")
    page.wait_for_timeout(1500)
    line |= {f"heatmap {k}": v for k, v in page.evaluate(_PAN, SECONDS).items()}
    page.keyboard.press("d")
    line |= {f"points {k}": v for k, v in page.evaluate(_PAN, SECONDS).items()}
    line["heap MB"] = _memory(page)
    page.context.close()

    run.delete()
    plain = open_as(alice, path)
    plain.wait_for_selector("#viewer canvas")
    plain.wait_for_timeout(1500)
    bare = {f"OSD alone {k}": v for k, v in plain.evaluate(_PAN, SECONDS).items()}
    bare["OSD alone heap MB"] = _memory(plain)
    if count <= 1_000:  # a picture of 1,000 elements takes seconds here; more do not come to an end
        bare["OSD overlays ms"] = plain.evaluate(_OVERLAYS, [xy[:, 0].tolist(), xy[:, 1].tolist()])
        bare |= {f"OSD overlays {k}": v for k, v in plain.evaluate(_PAN, SECONDS).items()}
        bare["OSD overlays heap MB"] = _memory(plain)
    with capsys.disabled():
        figures = {name: round(value, 1) for name, value in (line | bare).items()}
        sys.stdout.write(f"\n{count:,} candidates {json.dumps(figures, indent=1)}\n")
