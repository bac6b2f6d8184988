"""What a day of reading meets: corrections, glass, a network that goes away, and room for the review."""

from __future__ import annotations

import numpy as np
import pytest

from detector.slide.masks import TISSUE_FILE, mask_png
from tests.browser import at_rest, saved, shoot
from webapp.annotations.models import Figure, Region

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


def over_the_slide(page, dx=0, dy=0):
    box = page.locator("#viewer").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + dx, box["y"] + box["height"] / 2 + dy)


def test_added_taken_back_and_added_again_is_one_figure(open_slide, alice):
    page = open_slide(alice)
    over_the_slide(page, 31, 44)
    page.keyboard.press("a")
    saved(page)
    page.wait_for_selector("[data-number='reviewed-count']:has-text('26')")
    page.keyboard.press("z")
    saved(page)
    page.wait_for_selector("#showing:has-text('of 40 figures')")  # nothing is left of it, now or when it is loaded
    page.reload()
    page.wait_for_selector("#showing:has-text('of 40 figures')")
    at_rest(page)
    page.keyboard.press("0")
    at_rest(page)
    over_the_slide(page, 31, 44)
    page.keyboard.press("a")
    saved(page)
    page.wait_for_selector("[data-number='reviewed-count']:has-text('26')")
    page.wait_for_selector("#toast:has-text('added')")
    assert Figure.objects.filter(added=True).count() == 1
    page.wait_for_selector("#showing:has-text('of 41 figures')")


def test_nothing_is_added_outside_of_the_slide(open_slide, alice):
    page = open_slide(alice)
    for _ in range(4):
        page.keyboard.press("-")
    at_rest(page)
    box = page.locator("#viewer").bounding_box()
    page.mouse.move(box["x"] + 70, box["y"] + box["height"] - 80)
    page.keyboard.press("a")
    page.wait_for_selector("#toast[data-kind='warn']:has-text('outside of the slide')")
    assert not Figure.objects.exists()


def test_tiles_that_failed_while_the_network_was_away_come_when_it_is_back(open_slide, alice):
    page = open_slide(alice, allow=("ERR_INTERNET_DISCONNECTED", "Failed to load resource", "failed to load"))
    failed, asked = set(), set()
    page.on("requestfailed", lambda request: failed.add(request.url) if "tiles_files" in request.url else None)
    page.context.set_offline(True)
    for _ in range(3):
        page.keyboard.press("j")
        page.wait_for_timeout(400)
    page.on("request", lambda request: asked.add(request.url) if "tiles_files" in request.url else None)
    page.context.set_offline(False)
    assert failed
    page.wait_for_function("() => OpenSeadragon.getViewer('viewer').world.getItemAt(0).getFullyLoaded()")
    page.wait_for_timeout(500)
    assert failed & asked


def test_what_is_glass_is_shown_and_corrected_and_the_numbers_follow(run, open_slide, alice):
    slide = run.slide
    tissue = np.ones((64, 64), bool)
    tissue[:20] = False  # the first rows of candidates
    slide.folder.mkdir(parents=True, exist_ok=True)
    (slide.folder / TISSUE_FILE).write_bytes(mask_png(tissue))
    type(slide).objects.filter(pk=slide.pk).update(tissue_fraction=tissue.mean())
    page = open_slide(alice, counted=None)
    on_tissue = int(page.evaluate("() => document.querySelector('[data-number=ai-count]').textContent"))
    assert on_tissue < 25
    page.keyboard.press("g")
    at_rest(page)
    shoot(page, "viewer-glass")
    assert page.locator("#gallery li[data-counts='false']").count() > 0
    page.click("#tab-areas")
    assert page.is_checked("#show-glass")
    page.click("#draw-tissue")
    box = page.locator("#viewer").bounding_box()
    side = min(box["width"], box["height"])
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    for x, y in ((0.02, 0.02), (0.86, 0.02), (0.86, 0.4), (0.02, 0.4)):
        page.mouse.click(left + x * side, top + y * side)
    page.keyboard.press("Enter")
    page.wait_for_selector("#regions li:has-text('tissue,')")
    page.wait_for_selector("[data-number='ai-count']:has-text('25')")
    assert Region.objects.current().get().kind == "tissue"
    shoot(page, "viewer-tissue-corrected")
    page.keyboard.press("z")
    page.wait_for_selector(f"[data-number='ai-count']:text-is('{on_tissue}')")


@pytest.mark.parametrize("asked", ["history", "rule"])
def test_the_review_stays_where_it_is(open_slide, alice, asked):
    page = open_slide(alice, viewport={"width": 1280, "height": 800})
    page.keyboard.press("j")
    page.wait_for_selector("#card[data-empty='false']")
    page.wait_for_selector("#density:has-text('evaluable')")
    before = page.locator("#gallery").bounding_box()
    if asked == "rule":
        page.click(".counting summary")
        shoot(page, "viewer-rule-open")
    else:
        for key in "mknk":
            page.keyboard.press(key)
        saved(page)
        page.wait_for_selector("#card [data-history]:has-text('by alice')")
        page.wait_for_selector("#reviewed-name:has-text('Partly reviewed')")
    after = page.locator("#gallery").bounding_box()
    assert (after["y"], after["height"]) == (before["y"], before["height"])
    assert before["y"] + 100 < 800


def test_a_place_is_as_large_as_before_when_um_per_px_is_entered(slide, make_run, open_as, root):
    slide.mpp_x = slide.mpp_y = None
    slide.mpp_source, slide.state = "", "needs_mpp"
    slide.save()
    page = open_as(root, f"/slides/{slide.pk}/")
    page.wait_for_function("() => window.OpenSeadragon?.getViewer('viewer')?.world.getItemCount()")
    at_rest(page)
    page.keyboard.press("+")
    at_rest(page)
    zoom = "() => OpenSeadragon.getViewer('viewer').viewport.getZoom()"
    before = page.evaluate(zoom)
    page.fill("#mpp-form input", "0.25")
    page.click("#mpp-form button")
    page.wait_for_selector("#mpp-form", state="detached")
    page.wait_for_function("() => window.OpenSeadragon?.getViewer('viewer')?.world.getItemCount()")
    at_rest(page)
    assert page.evaluate(zoom) == pytest.approx(before, rel=0.02)


def test_what_is_pressed_before_the_scripts_are_there_is_done_when_they_are(slide, make_run, open_as, root):
    slide.mpp_x = slide.mpp_y = None
    slide.mpp_source, slide.state = "", "needs_mpp"
    slide.save()
    page, held = open_as(root, "/jobs/"), []
    page.route("**/pages/forms.js", lambda route: held.append(route))
    page.goto(page.url.replace("/jobs/", f"/slides/{slide.pk}/"), wait_until="commit")
    page.fill("#mpp-form input", "0,25")
    page.click("#mpp-form button", no_wait_after=True)
    page.wait_for_function("() => document.readyState === 'interactive'")
    assert "mpp=" not in page.url
    held[0].continue_()
    page.unroute("**/pages/forms.js")
    page.wait_for_selector("#mpp-form", state="detached")
    slide.refresh_from_db()
    assert slide.mpp == (0.25, 0.25)
