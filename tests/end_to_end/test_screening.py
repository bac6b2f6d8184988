"""Screening by keys: field by field, seen or not, kept until tomorrow; a missed figure says where it was found."""

from __future__ import annotations

import re

import pytest

from tests.browser import at_rest, offences, shoot
from webapp.annotations.models import Figure
from webapp.screening.grid import unpacked
from webapp.screening.models import Screening

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


@pytest.fixture
def page(run, open_as, alice):
    return opened(open_as, alice, run)


def opened(open_as, who, run, **options):
    """The slide page with its screening tab."""
    page = open_as(who, f"/slides/{run.slide_id}/", **options)
    page.wait_for_selector("body[data-candidates='40']")
    page.click("#tab-screening")
    return page


def field_shown(page):
    """Which field is shown, and of how many."""
    page.wait_for_selector("#screening-say:has-text('Field ')")
    words = page.inner_text("#screening-say").split()
    return int(words[words.index("Field") + 1]), int(words[words.index("of", words.index("Field")) + 1].rstrip("."))


def seen_of(page):
    """The words before "of the tissue"."""
    return page.inner_text("#screening-say").split(" of ")[0]


def test_space_goes_on_and_what_is_skipped_is_not_seen(page, open_as, alice, run):
    page.keyboard.press("e")
    number, fields = field_shown(page)
    assert number == 1 and fields > 2
    for at in range(fields):
        at_rest(page)
        page.wait_for_timeout(100 if at == 1 else 1800)  # the second is passed by
        if at + 1 < fields:
            page.keyboard.press("Space")
            page.wait_for_selector(f"#screening-say:has-text('Field {at + 2} of {fields}')")
    shoot(page, "screening")
    assert offences(page) == []
    page.keyboard.press("Space")  # back to what was passed by
    page.wait_for_selector(f"#screening-say:has-text('Field 2 of {fields}')")
    page.keyboard.press("e")
    page.wait_for_selector("#screening-toggle:has-text('Go on')")
    page.wait_for_timeout(500)
    kept = Screening.objects.get()
    cells = unpacked(bytes(kept.seen), kept.columns, kept.rows)
    assert 0 < cells.sum() < cells.size
    tomorrow = opened(open_as, alice, run)
    tomorrow.keyboard.press("e")
    assert field_shown(tomorrow)[0] == 2
    page.wait_for_timeout(2000)
    tomorrow.wait_for_selector("#screening-say:has-text('100 %')")
    tomorrow.keyboard.press("Space")
    tomorrow.wait_for_selector("#toast:has-text('All of the tissue has been seen')")


def test_what_is_seen_from_afar_is_not_seen(page):
    page.keyboard.press("e")
    field_shown(page)
    page.keyboard.press("6")  # 1 um per px
    at_rest(page)
    page.wait_for_timeout(1500)
    before = seen_of(page)
    page.wait_for_timeout(1500)
    assert seen_of(page) == before
    shoot(page, "screening-from-afar")


def test_a_figure_added_in_screening_says_so_and_counts_as_missed(page):
    page.keyboard.press("e")
    field_shown(page)
    at_rest(page)
    box = page.locator("#viewer").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.31, box["y"] + box["height"] * 0.29)
    page.keyboard.press("a")
    page.wait_for_selector("#saved[data-waiting='0']", state="attached")
    page.wait_for_selector("#screening-sensitivity:has-text('without a verdict')")
    assert Figure.objects.get(screened=True).added


def test_the_network_comes_back_and_nothing_seen_is_lost(run, open_as, alice):
    page = opened(open_as, alice, run, allow=("Failed to load resource",))
    page.route("**/screening/**", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.keyboard.press("e")
    page.wait_for_selector("#screening-say:has-text('Not all of it is saved yet')")
    assert not Screening.objects.exists()
    page.unroute("**/screening/**")
    page.wait_for_function("() => !document.getElementById('screening-say').textContent.includes('Not all')")
    assert Screening.objects.exists()


def test_nothing_is_seen_while_its_tiles_are_away_and_nothing_is_lost_at_a_stop(run, open_as, alice):
    page = opened(open_as, alice, run, allow=("Failed to load resource", "failed to load"))
    finest = re.compile(r"tiles_files/11/")
    page.route(finest, lambda route: route.abort())
    page.keyboard.press("e")
    field_shown(page)
    page.wait_for_timeout(2500)
    assert seen_of(page) == "0 %"
    page.unroute(finest)
    page.wait_for_function("() => !document.getElementById('screening-say').textContent.startsWith('0 %')")
    page.route("**/screening/**", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.wait_for_timeout(500)
    page.keyboard.press("e")
    page.wait_for_selector("#screening-say:has-text('Not all of it is saved yet')")
    page.unroute("**/screening/**")
    page.wait_for_function("() => !document.getElementById('screening-say').textContent.includes('Not all')")
    assert Screening.objects.exists()


def test_keys_of_screening_are_pressed_once_and_belong_to_the_slide(page):
    page.keyboard.down("e")
    page.keyboard.down("e")  # a key that is held
    page.keyboard.up("e")
    field_shown(page)
    page.click("#tab-review")
    page.keyboard.press("j")
    page.click("[data-verdict=mitotic]")
    page.wait_for_selector("#saved[data-waiting='0']", state="attached")
    page.keyboard.press("Space")
    page.wait_for_selector("#screening-chip:has-text('Field 2 of')")
    assert Figure.objects.count() == 1
    page.keyboard.press("r")
    page.keyboard.press("Space")
    at_rest(page)
    assert page.evaluate("OpenSeadragon.getViewer('viewer').viewport.getRotation()") == 0
    page.keyboard.press("e")
    assert page.is_hidden("#screening-chip")


def test_another_window_goes_on_at_the_same_place(page):
    page.keyboard.press("e")
    field_shown(page)
    for number in (2, 3, 4):
        page.keyboard.press("Space")
        page.wait_for_selector(f"#screening-say:has-text('Field {number} of')")
    at_rest(page)
    before = page.evaluate(_CENTRE)
    page.set_viewport_size({"width": 1500, "height": 700})
    page.wait_for_timeout(300)
    page.keyboard.press("Space")
    at_rest(page)
    after = page.evaluate(_CENTRE)
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 800  # of 2,048 px


_CENTRE = """() => { const viewer = OpenSeadragon.getViewer("viewer");
  const {x, y} = viewer.world.getItemAt(0).viewportToImageCoordinates(viewer.viewport.getCenter()); return [x, y]; }"""
