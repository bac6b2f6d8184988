"""Looking at a slide: scale, turning, places, light, fields, heatmap, two runs; each with a picture kept."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser import at_rest, offences, shoot, too_wide

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


@pytest.fixture
def page(run, open_as, alice):
    page = open_as(alice, f"/slides/{run.slide_id}/")
    page.wait_for_selector("body[data-candidates='40']")
    page.wait_for_selector("[data-number='ai-count']:has-text('25')")
    return page


def inked(page, colour=None):
    """How many pixels of the overlay are drawn on, of nearly one colour where one is given."""
    return page.evaluate(
        """(colour) => { const c = document.getElementById('overlay');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 0; i < d.length; i += 4)
          n += d[i + 3] > 128 && (!colour || [0, 1, 2].every((k) => Math.abs(d[i + k] - colour[k]) < 16));
        return n; }""",
        colour,
    )


def on_screen(page, x, y):
    """Where a level-0 pixel is."""
    return page.evaluate(
        """([x, y]) => { const viewer = OpenSeadragon.getViewer("viewer"), item = viewer.world.getItemAt(0);
        const place = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
        const frame = viewer.element.getBoundingClientRect();
        return [place.x + frame.left, place.y + frame.top]; }""",
        [x, y],
    )


def test_scale_magnification_position_and_a_link_to_the_place(page, open_as, alice):
    page.keyboard.press("8")
    page.wait_for_selector("#scalebar:has-text('0.25 µm/px · 40')")
    at_rest(page)
    page.mouse.move(400, 400)
    assert "µm" in page.inner_text("#position")
    assert "scale=0.25" in page.url
    page.keyboard.press("r")
    at_rest(page)
    address = page.url
    assert "r=15" in address
    again = open_as(alice, "/" + address.split("/", 3)[3])
    again.wait_for_selector("#scalebar:has-text('40')")
    at_rest(again)
    assert again.url == address
    page.keyboard.press("0")
    at_rest(page)
    assert "scale=0.25" not in page.url


def test_marks_turn_with_the_slide(page):
    before = inked(page)
    assert before > 500
    page.keyboard.press("6")
    for _ in range(6):
        page.keyboard.press("r")
    at_rest(page)
    # A click in the middle of the stage chooses what is drawn there: the mark is where the tissue is.
    page.keyboard.press("j")
    at_rest(page)
    box = page.locator("#viewer").bounding_box()
    page.keyboard.press("k")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#card [data-say]:has-text('1 of 25')")
    shoot(page, "viewer-turned")


def test_marks_go_along_when_the_slide_is_dragged_and_are_drawn_anew_when_it_rests(page):
    page.keyboard.press("6")
    at_rest(page)
    along = page.evaluate(
        """async () => {
        const viewer = OpenSeadragon.getViewer("viewer"), { viewport } = viewer;
        const canvas = document.getElementById("overlay");
        const item = viewer.world.getItemAt(0), by = new OpenSeadragon.Point(70, -40);
        const mark = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(1040, 950));
        viewport.panBy(viewport.deltaPointsFromPixels(by), true);
        await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
        const place = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(1040, 950));
        const frame = viewer.element.getBoundingClientRect(), box = canvas.getBoundingClientRect();
        const [x, y] = [place.x + frame.left - box.left, place.y + frame.top - box.top];
        const d = canvas.getContext("2d").getImageData(x - 30, y - 30, 60, 60).data;
        let sum = [0, 0, 0];
        for (let i = 0; i < 3600; i++)
          if (d[4 * i + 3] > 128) sum = [sum[0] + 1, sum[1] + i % 60, sum[2] + Math.floor(i / 60)];
        const moved = Math.hypot(place.x - mark.x, place.y - mark.y);
        return {moved, ink: sum[0], x: sum[1] / sum[0], y: sum[2] / sum[0]};
        }"""
    )
    assert along["moved"] > 70
    assert along["ink"] > 20
    assert abs(along["x"] - 30) < 1.5
    assert abs(along["y"] - 30) < 1.5
    at_rest(page)
    assert page.locator("#overlay").evaluate("c => c.style.transform") == "translate(0px, 0px)"


def test_light_is_changed_in_the_view_alone_and_all_keys_are_told(page):
    page.keyboard.press("b")
    page.fill("#brightness", "1.4")
    assert "brightness(1.4)" in page.locator("#viewer canvas").first.evaluate("c => c.style.filter")
    shoot(page, "viewer-light")
    page.click("#light-reset")
    assert page.locator("#viewer canvas").first.evaluate("c => c.style.filter") == ""
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]:has-text('Not a mitotic figure')")
    shoot(page, "viewer-keys")
    assert offences(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement?.id === 'work'")
    page.keyboard.press("f")
    page.wait_for_function("() => !document.fullscreenElement")
    page.keyboard.press("o")
    page.wait_for_selector("#view-note:has-text('hidden')")
    assert inked(page) == 0


def test_a_field_of_known_area_is_moved_over_the_slide_and_counts(page):
    page.keyboard.press("h")
    page.select_option("#hpf-area", "2 circle")
    page.wait_for_selector("#hpf-say:has-text('25 reviewed, 25 by AI in 2 mm²')")
    page.select_option("#hpf-area", "0.237 circle")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowUp")
    page.wait_for_selector("#hpf-say:not(:has-text('25 reviewed'))")
    shoot(page, "viewer-field")
    # By hand, at its lower rim: 0.549 mm are 2,197 px, and its centre went up by four tenths of that.
    x, y = on_screen(page, 1024, 1024 - 0.4 * 2197.2 + 2197.2 / 2)
    before = page.inner_text("#hpf-say")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 130, steps=4)
    page.mouse.up()
    page.wait_for_function("(before) => document.getElementById('hpf-say').textContent !== before", arg=before)
    page.keyboard.press("h")
    assert page.locator("#hpf-box").is_hidden()


def test_two_runs_lie_over_each_other_with_what_only_one_found(run, make_run, open_as, alice):
    newest = [(c.x + 5, c.y, c.score) for c in run.candidates.all()[2:20]] + [(1900.0, 1900.0, 0.7)]
    make_run(run.slide, sorted(newest, key=lambda row: -row[2]))
    page = open_as(alice, f"/slides/{run.slide_id}/")
    page.wait_for_selector("body[data-candidates='19']")
    page.click("#tab-runs")
    page.select_option("#other-run", str(run.pk))
    page.wait_for_selector("#compare:has-text('18 found by both')")
    assert "Only this run (ring): 1" in page.inner_text("#compare")
    assert "Only the other (triangle): 7" in page.inner_text("#compare")
    at_rest(page)
    assert inked(page, [0, 121, 90]) > 50
    shoot(page, "viewer-two-runs")
    page.click("#compare button:has-text('0.70')")
    page.wait_for_selector("#scalebar:has-text('40')")


def test_many_candidates_are_a_heatmap_from_afar_and_points_from_near(slide, make_run, open_as, alice):
    rng = np.random.default_rng(7)
    places = np.column_stack([rng.uniform(0, 2048, (6000, 2)), np.sort(rng.uniform(0.2, 1, 6000))[::-1]])
    make_run(slide, [tuple(map(float, row)) for row in places])
    slide.mpp_x = slide.mpp_y = 2.0  # so that rings are small from afar
    slide.save()
    page = open_as(alice, f"/slides/{slide.pk}/")
    page.wait_for_selector("body[data-candidates='6000']")
    page.fill("#score", "0.2")
    page.wait_for_selector("#view-note:has-text('Density of 6,000 candidates')")
    at_rest(page)
    shoot(page, "viewer-heatmap")
    page.keyboard.press("d")
    page.wait_for_selector("#view-note:has-text('Showing 5,000 of 6,000 candidates in and around the view')")
    page.keyboard.press("d")
    page.keyboard.press("j")
    at_rest(page)
    assert page.inner_text("#view-note") == ""
    assert inked(page) > 500


def test_the_page_is_accessible_and_looks_right_in_each_size_and_light(page):
    for key in "jmnuj":
        page.keyboard.press(key)
    page.wait_for_selector("#saved[data-state='saved']")
    assert too_wide(page) == []
    for width, height in ((1280, 800), (2560, 1440), (768, 1024), (640, 512)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            at_rest(page)
            shoot(page, f"viewer-{width}-{scheme}")
            assert offences(page, contrast_alone=scheme == "dark") == []
    for name in ("#report-link", "a:text-is('Models')", "button[data-verdict=mitotic]", "#tab-files"):
        page.locator(name).click(trial=True)  # all there at 200 %


def test_one_measures_goes_back_and_keeps_the_light(page):
    page.keyboard.press("8")
    at_rest(page)
    there = page.url
    page.keyboard.press("w")
    box = page.locator("#viewer").bounding_box()
    for x, y in ((200, 300), (600, 300), (600, 500)):
        page.mouse.click(box["x"] + x, box["y"] + y)
    page.wait_for_selector("#toast:has-text('150 µm · encloses 0.0025 mm²')")
    shoot(page, "viewer-ruler")
    page.keyboard.press("Escape")
    assert page.get_attribute("#tool-ruler", "aria-pressed") == "false"
    page.keyboard.press("0")
    at_rest(page)
    page.keyboard.press("q")
    at_rest(page)
    assert page.url == there
    page.keyboard.press("b")
    page.fill("#brightness", "1.4")
    page.select_option("#columns", "2")
    page.reload()
    page.wait_for_selector("body[data-candidates='40']")
    assert "brightness(1.4)" in page.locator("#viewer canvas").first.evaluate("c => c.style.filter")
    assert page.input_value("#columns") == "2"


def test_the_hotspot_follows_each_verdict_and_is_one_key_away(slide, make_run, open_as, alice):
    slide.mpp_x = slide.mpp_y = 2.0
    slide.save()
    near = [(900 + 60 * (i % 4), 900 + 60 * (i // 4), 0.9 - 0.01 * i) for i in range(12)]
    make_run(slide, [*near, (100.0, 1900.0, 0.6)])
    page = open_as(alice, f"/slides/{slide.pk}/")
    page.wait_for_selector("body[data-candidates='13']")
    page.wait_for_selector("[data-number='ai-hotspot']:has-text('12')")
    assert page.inner_text("[data-number='ai-score']") == "2"  # 6 per mm2
    assert not page.inner_text("[data-number='reviewed-hotspot']").isdigit()  # nobody has judged
    page.keyboard.press("j")
    page.keyboard.press("n")
    page.wait_for_selector("[data-number='reviewed-hotspot']:has-text('11')")
    assert page.inner_text("[data-number='ai-hotspot']") == "12"
    page.keyboard.press("t")
    at_rest(page)
    assert inked(page, [179, 0, 94]) > 200
    shoot(page, "viewer-hotspot")


def test_a_finger_moves_the_slide_and_chooses_a_candidate(run, open_as, alice):
    page = open_as(alice, f"/slides/{run.slide_id}/", viewport={"width": 820, "height": 1180}, has_touch=True)
    page.wait_for_selector("body[data-candidates='40']")
    at_rest(page)
    box = page.locator("#viewer").bounding_box()
    side = min(box["width"], box["height"])  # the slide is square and fills the lower side
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    page.touchscreen.tap(left + side * 620 / 2048, top + side * 600 / 2048)
    page.wait_for_selector("#card[data-empty='false']")
    shoot(page, "viewer-touch")
