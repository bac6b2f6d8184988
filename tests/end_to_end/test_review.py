"""A reader at work: verdicts by keyboard, missed figures, regions, undo, two readers, a server that is away."""

from __future__ import annotations

import csv
import time
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.browser import at_rest, offences, saved, shoot
from webapp.annotations.models import Figure, Region, Verdict
from webapp.slides.models import Study

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


def number(page, name):
    return page.inner_text(f"[data-number='{name}']")


def middle(page):
    box = page.locator("#viewer").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_thirty_verdicts_by_keyboard_in_less_than_a_minute_and_the_numbers_follow(run, open_slide, alice):
    page = open_slide(alice)
    page.fill("#score", "0.38")  # 31 candidates
    page.wait_for_selector("[data-number='ai-count']:has-text('31')")
    page.keyboard.press("j")
    page.wait_for_selector("#gallery li[aria-current]")
    began = time.monotonic()
    for i in range(30):
        page.wait_for_selector(f"#card [data-say]:has-text('· {i + 1} of 31')")
        page.keyboard.press("mnu"[i % 3])
    assert time.monotonic() - began < 60
    saved(page)
    page.wait_for_selector("#judged:has-text('30 judged: 10 mitotic, 10 not, 10 unsure')")
    page.wait_for_selector("[data-number='reviewed-count']:has-text('11')")
    assert number(page, "ai-count") == "31"
    assert Verdict.objects.filter(by=alice).count() == 30
    assert run.candidates.count() == 40  # the run is as it was
    shoot(page, "review-thirty-verdicts")
    page.reload()
    page.wait_for_selector("#judged:has-text('30 judged')", timeout=20_000)
    assert page.locator("#gallery li[data-label='non_mitotic']").count() > 0


def test_one_key_says_that_a_mitotic_figure_is_atypical(run, open_slide, alice):
    Study.objects.update(atypical=True)
    best = run.candidates.order_by("-score")
    run.candidates.filter(pk=best[0].pk).update(atypical=0.83)
    page = open_slide(alice)
    page.keyboard.press("j")
    page.wait_for_selector("#card [data-say]:has-text('atypical 0.83 · not judged')")
    for key in "yym":
        page.keyboard.press(key)
    saved(page)
    page.wait_for_selector("#judged:has-text('3 judged: 3 mitotic (2 atypical), 0 not')")
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.wait_for_selector("#card [data-say]:has-text('atypical mitotic figure')")
    assert page.locator("#card [aria-pressed=true]").inner_text().startswith("Atypical mitosis")
    shoot(page, "review-atypical")
    page.keyboard.press("z")
    saved(page)
    page.wait_for_selector("#judged:has-text('2 judged: 2 mitotic (2 atypical)')")
    assert list(Figure.objects.exclude(label="").values_list("atypical", flat=True)) == [True, True]
    assert offences(page) == []


def test_z_takes_back_verdicts_one_after_the_other(open_slide, alice):
    page = open_slide(alice)
    page.keyboard.press("j")
    page.keyboard.press("n")
    page.keyboard.press("n")
    saved(page)
    page.wait_for_selector("[data-number='reviewed-count']:has-text('23')")
    page.keyboard.press("z")
    page.wait_for_selector("[data-number='reviewed-count']:has-text('24')")
    page.click("#undo")
    page.wait_for_selector("#judged:has-text('nobody has judged')")
    assert not number(page, "reviewed-count").isdigit()
    saved(page)
    assert set(Figure.objects.values_list("label", flat=True)) == {""}
    assert Verdict.objects.count() == 4  # history is kept
    page.keyboard.press("z")
    page.wait_for_selector("#toast:has-text('nothing to take back')")


def test_the_gallery_is_sorted_and_filtered_and_context_is_one_key_away(open_slide, alice):
    page = open_slide(alice)
    page.select_option("#order", "threshold")
    assert page.inner_text("#gallery li:first-child .score") == "0.50"
    page.select_option("#order", "score")
    assert page.inner_text("#gallery li:first-child .score") == "0.98"
    page.select_option("#order", "place")  # all lie in one band of 0.5 mm, which is read from the left
    page.keyboard.press("j")
    for _ in range(8):
        page.keyboard.press("j")
    page.wait_for_selector("#card [data-say]:has-text('Confidence 0.78')")
    page.select_option("#order", "score")
    page.click("#gallery li:first-child")
    picture = page.locator("#card img")
    page.wait_for_function(  # the crops of the next ones are here before they are asked for
        """() => [...document.querySelectorAll("#gallery li")].slice(1, 5).every((item) =>
          performance.getEntriesByName(item.querySelector("img").src).length)"""
    )
    assert "size=128" in picture.get_attribute("src")
    page.keyboard.press("c")
    assert "size=512" in picture.get_attribute("src")
    page.wait_for_function(
        """() => { const img = document.querySelector("#card img"); return img.complete && img.naturalWidth > 0; }"""
    )
    shoot(page, "review-context")
    page.keyboard.press("c")
    page.keyboard.press("m")
    page.select_option("#filter", "mitotic")
    page.wait_for_selector("#gallery li")  # it is made anew at the next picture
    assert page.locator("#gallery li").count() == 1
    page.select_option("#filter", "open")
    page.wait_for_selector("#showing:has-text('Showing 24')")


def test_a_missed_figure_is_added_with_one_key_or_one_click_and_can_be_taken_back(open_slide, alice):
    page = open_slide(alice)
    x, y = middle(page)
    page.mouse.move(x + 31, y + 44)
    page.keyboard.press("a")
    saved(page)
    page.wait_for_selector("[data-number='reviewed-count']:has-text('26')")
    page.click("#tool-add")
    page.mouse.click(x + 20, y - 30)
    page.wait_for_selector("[data-number='reviewed-count']:has-text('27')")
    saved(page)
    shoot(page, "review-added")
    assert Figure.objects.filter(added=True, label="mitotic").count() == 2
    page.keyboard.press("z")
    page.wait_for_selector("[data-number='reviewed-count']:has-text('26')")
    saved(page)
    assert Figure.objects.filter(added=True, label="mitotic").count() == 1
    page.select_option("#filter", "added")
    page.wait_for_selector("#gallery li")  # it is made anew at the next picture
    assert page.locator("#gallery li").count() == 1


def test_regions_are_drawn_changed_removed_and_taken_back_and_the_count_follows(open_slide, alice):
    page = open_slide(alice)
    box = page.locator("#viewer").bounding_box()
    x0, y0 = box["x"] + 90, box["y"] + 60

    def corners(*places):  # none within 20 px of the one before: that would be a double click
        for x, y in places:
            page.mouse.click(x0 + x, y0 + y)

    page.keyboard.press("p")
    corners((20, 5), (650, 5), (650, 130), (20, 130))
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-number='ai-count']:has-text('8')")  # the first row of candidates
    region = Region.objects.current().get()
    assert region.kind == "tumour"
    assert len(region.polygon) == 4
    page.click("#tab-areas")
    page.wait_for_selector("#regions li:has-text('tumour, 0.0')")
    shoot(page, "review-region")

    page.mouse.move(x0 + 650, y0 + 130)  # drag a corner down to the second row
    page.mouse.down()
    page.mouse.move(x0 + 660, y0 + 200, steps=3)
    page.mouse.move(x0 + 650, y0 + 280, steps=3)
    page.mouse.up()
    page.wait_for_selector("#toast:has-text('The change is saved')")
    assert Region.objects.current().get().replaces == region
    page.keyboard.press("z")
    page.wait_for_selector("#toast:has-text('Taken back')")
    page.wait_for_selector("[data-number='ai-count']:has-text('8')")

    page.keyboard.press("x")
    corners((20, 5), (330, 5), (330, 130), (60, 250))
    page.keyboard.press("Backspace")
    corners((20, 130))
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-number='ai-count']:has-text('4')")
    page.locator("#regions li:has-text('exclusion') button[data-do=remove]").click()
    page.wait_for_selector("[data-number='ai-count']:has-text('8')")
    page.keyboard.press("z")
    page.wait_for_selector("[data-number='ai-count']:has-text('4')")
    shoot(page, "review-exclusion")
    assert Region.objects.count() == 5  # every step is kept


def test_a_region_is_drawn_without_a_pointer(open_slide, alice):
    page = open_slide(alice)
    page.keyboard.press("p")
    for way in ("ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(way)
        at_rest(page)
        page.keyboard.press("Space")
    shoot(page, "review-region-by-keys")
    page.keyboard.press("Enter")
    page.wait_for_selector("#regions li:has-text('tumour')", state="attached")
    assert len(Region.objects.current().get().polygon) == 3


def test_two_readers_do_not_overwrite_each_other_and_see_each_other(open_slide, alice, root):
    first, second = open_slide(alice, allow=("409",)), open_slide(root, allow=("409",))
    first.keyboard.press("j")
    second.keyboard.press("j")
    # The second page has not looked since: on a busy machine its next look could come before its verdict.
    looks = "**/figures/?run=*"
    second.route(looks, lambda route: route.fulfill(status=304) if route.request.method == "GET" else route.continue_())
    first.keyboard.press("m")
    saved(first)
    second.keyboard.press("n")
    second.wait_for_selector(
        "#toast[data-kind='warn']:has-text('alice has judged this figure in the meantime: mitotic figure')"
    )
    second.unroute(looks)
    second.wait_for_selector("#card [data-history]:has-text('by alice')")
    shoot(second, "review-conflict")
    assert Figure.objects.get().label == "mitotic"
    second.keyboard.press("z")  # there is nothing of hers to take back
    second.wait_for_selector("#toast:has-text('nothing to take back')")
    second.keyboard.press("n")  # seen, and still of another opinion
    saved(second)
    assert Figure.objects.get().label == "non_mitotic"
    first.wait_for_selector("[data-number='reviewed-count']:has-text('24')", timeout=10_000)


def test_verdicts_given_while_the_server_is_away_are_kept_said_and_sent_later(open_slide, alice):
    page = open_slide(alice, allow=("ERR_INTERNET_DISCONNECTED", "Tile %s failed"))
    page.keyboard.press("j")
    page.context.set_offline(True)
    page.keyboard.press("m")
    page.keyboard.press("n")
    page.wait_for_selector("#saved[data-state='away']:has-text('2 verdicts wait in this browser')")
    shoot(page, "review-offline")
    assert Verdict.objects.count() == 0
    assert number(page, "reviewed-count") == "24"
    page.context.set_offline(False)
    saved(page)
    assert sorted(Figure.objects.values_list("label", flat=True)) == ["mitotic", "non_mitotic"]


def test_verdicts_outlive_a_server_that_restarts_and_a_tab_that_is_closed(run, open_slide, alice):
    page = open_slide(alice, allow=("ERR_FAILED", "503"))
    page.route("**/figures/**", lambda route: route.fulfill(status=503, body="restarting"))
    page.keyboard.press("j")
    page.keyboard.press("u")
    page.wait_for_selector("#saved[data-state='away']:has-text('1 verdict waits in this browser')")
    page.unroute("**/figures/**")
    page.route("**/figures/**", lambda route: route.abort())
    page.keyboard.press("m")
    page.wait_for_selector("#saved[data-state='away']:has-text('2 verdicts wait in this browser')")
    context, address = page.context, page.url
    page.close()
    assert Verdict.objects.count() == 0
    again = context.new_page()
    again.goto(address)
    again.wait_for_selector("#judged:has-text('2 judged')", timeout=20_000)
    saved(again)
    assert sorted(Figure.objects.values_list("label", flat=True)) == ["mitotic", "unsure"]


def test_area_shape_and_rule_of_the_hotspot_are_chosen_on_the_page(slide, make_run, open_as, alice):
    slide.mpp_x = slide.mpp_y = 2.0  # 4 mm wide
    slide.save()
    near = [(900 + 60 * (i % 4), 900 + 60 * (i // 4), 0.9 - 0.01 * i) for i in range(12)]
    make_run(slide, [*near, (100.0, 1900.0, 0.6)])
    page = open_as(alice, f"/slides/{slide.pk}/")
    page.wait_for_selector("[data-number='ai-hotspot']:has-text('12')")
    page.click(".counting summary")
    page.select_option("#count-area", "0.196")
    page.select_option("#count-shape", "square")
    page.wait_for_selector("#hotspot-area:has-text('0.196 mm²')")
    page.wait_for_selector("#density:has-text('cannot tell a score of 1, 2 and 3')")
    page.select_option("#count-shape", "fields")
    page.wait_for_selector("[data-number='ai-hotspot']:has-text('13')")  # in ten fields, the far one as well
    page.select_option("#count-shape", "square")
    page.select_option("#count-rule", "nottingham-0.50")
    page.wait_for_selector("#density:has-text('The rule nottingham-0.50 is for 1.963 mm²')")
    page.select_option("#count-area", "")
    page.wait_for_selector("#hotspot-area:has-text('1.96 mm²')")
    page.wait_for_selector("[data-number='ai-score']:has-text('2')")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("n")
    page.wait_for_selector("[data-number='reviewed-hotspot']:has-text('11')")
    shoot(page, "review-rule")


def test_findings_are_taken_away_as_the_page_counts_them_and_come_back(run, open_slide, alice, root, tmp_path):
    page = open_slide(alice)
    page.keyboard.press("j")
    page.keyboard.press("n")
    saved(page)
    page.fill("#score", "0.6")
    page.wait_for_selector("[data-number='ai-count']:has-text('20')")
    page.click("#tab-files")
    with page.expect_download() as download:
        page.click("a[data-format='summary']")
    row = next(csv.DictReader(download.value.path().open(encoding="utf-8")))
    assert (row["min_score"], row["ai_count"], row["count"], row["run"]) == ("0.6", "20", "19", str(run.pk))
    with page.expect_download() as download:
        page.click("a[data-format='geojson']")
    findings = tmp_path / "findings.geojson"
    download.value.save_as(findings)

    Figure.objects.all().delete()
    page = open_slide(root, allow=("400", "409"))
    page.click("#tab-files")
    page.set_input_files("#files [type=file]", findings)
    page.wait_for_selector("#files [role=status]:has-text('1 verdict and 0 regions imported.')")
    page.wait_for_selector("#judged:has-text('1 judged: 0 mitotic, 1 not')")
    shoot(page, "review-files")
    other = tmp_path / "other.csv"
    other.write_text(f"slide,x,y,label\n{uuid4()},40,40,mitotic\n", "utf-8")
    asked = []
    for answer, said in (("dismiss", "Nothing was imported."), ("accept", "1 verdict and 0 regions imported.")):
        page.once("dialog", lambda dialog, answer=answer: asked.append(dialog.message) or getattr(dialog, answer)())
        page.set_input_files("#files [type=file]", other)
        page.wait_for_selector(f"#files [role=status]:has-text('{said}')")
        expect(page.locator("#files [role=status]")).to_be_in_viewport()
    assert len(asked) == 2 and "of another slide" in asked[0]
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("a,b\\n", "utf-8")
    page.set_input_files("#files [type=file]", damaged)
    page.wait_for_selector("#files [role=status]:has-text('The CSV has no column')")
    assert offences(page) == []
