"""Two slides beside each other move together, by um, from where they lie; each with its candidates."""

from __future__ import annotations

import pytest

from tests.browser import offences, shoot, too_wide

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then

_PLACES = """() => [...document.querySelectorAll(".besides-viewer")].map((element) => {
  const viewer = OpenSeadragon.getViewer(element), item = viewer.world.getItemAt(0), view = viewer.viewport;
  const {x, y} = item.viewportToImageCoordinates(view.getCenter(true));
  return [x, y, view.viewportToImageZoom(view.getZoom(true)), view.getRotation(true)]; })"""
_MOVE = """([side, x, y, zoom, turn]) => {
  const viewer = OpenSeadragon.getViewer(document.querySelectorAll(".besides-viewer")[side]), view = viewer.viewport;
  const item = viewer.world.getItemAt(0);
  view.setRotation(turn, true);
  view.zoomTo(view.imageToViewportZoom(zoom), null, true);
  view.panTo(item.imageToViewportCoordinates(x, y), true); }"""


@pytest.fixture
def page(run, make_slide, make_run, drawn, open_as, alice):
    other = make_slide(name="B-18.tif", image=drawn, mpp=0.5, case=run.slide.case)
    make_run(other, [(300.0, 300.0, 0.9)])
    page = open_as(alice, f"/cases/{run.slide.case_id}/")
    page.click("a:has-text('B-17.tif')[href*='beside'], a[href*='/beside/']")
    page.wait_for_selector("body[data-ready]")
    return page


def moved(page, side, x, y, zoom=0.5, turn=0):
    """Where both look after one has been moved there, level-0 px; and their zooms, screen px per level-0 px."""
    page.evaluate(_MOVE, [side, x, y, zoom, turn])
    page.wait_for_timeout(400)
    return page.evaluate(_PLACES)


def test_both_move_by_the_same_um_until_they_are_let_go(page):
    um = [0.25 if "B-17" in words else 0.5 for words in page.locator(".beside .chip a").all_inner_texts()]
    before = moved(page, 0, 600, 600)
    after = moved(page, 0, 700, 640, zoom=1.0, turn=90)
    for axis, way in enumerate((100, 40)):
        assert (after[1][axis] - before[1][axis]) * um[1] == pytest.approx(way * um[0], abs=1)
    assert after[1][2] / before[1][2] == pytest.approx(2, rel=0.01) and after[1][3] == 90
    page.uncheck("#linked")
    alone = moved(page, 1, 500, 500)
    assert alone[0] == pytest.approx(after[0])
    page.check("#linked")
    together = moved(page, 1, 520, 500)
    assert (together[0][0] - alone[0][0]) * um[0] == pytest.approx(20 * um[1], abs=1)
    shoot(page, "beside")


def test_it_is_accessible_and_fits(page):
    page.fill("#from", "0.95")
    assert page.inner_text("#shown-from") == "0.95"
    assert offences(page) == []
    assert too_wide(page) == []
