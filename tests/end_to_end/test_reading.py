"""A pathologist's way through a slide, in keys and seconds; and the page beside the truth."""

from __future__ import annotations

import json
import time

import pytest
from django.core.management import call_command

from tests.browser import SHOTS, saved, shoot
from tests.known_slides import MPP, known_slide
from webapp.reports.models import Report

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


def test_from_opening_a_slide_to_a_signed_report_with_the_hotspot_reviewed(slide, make_run, make_slide, open_as, alice):
    slide.mpp_x = slide.mpp_y = 1.5  # 3 x 3 mm
    slide.save()
    near = [(700.0 + 90 * (i % 7), 700.0 + 90 * (i // 7), 0.95 - i / 1000) for i in range(42)]
    far = [(60.0 + 25 * i, 1980.0 - 9 * (i % 5), 0.8 - i / 1000) for i in range(78)]
    make_run(slide, [*near, *far])
    following = make_slide("next.tif")
    make_run(following, [(100, 100, 0.9)])
    page = open_as(alice, f"/slides/{slide.pk}/")
    began, keys = time.monotonic(), 0

    def press(key):
        nonlocal keys
        keys += 1
        page.keyboard.press(key)

    page.wait_for_selector("body[data-candidates='120']")
    page.wait_for_selector("#review-state:has-text('in the hotspot')")
    press("v")
    page.wait_for_selector("#card[data-empty='false']")
    judged = 0
    while page.get_attribute("#review-state", "data-state") != "reviewed":
        if "not judged" in page.inner_text("#card [data-say]"):
            press("m" if judged % 8 else "n")
            judged += 1
        else:  # what was rejected may have moved the hotspot: the server is asked
            saved(page)
            page.wait_for_timeout(500)
            if page.get_attribute("#review-state", "data-state") == "partly reviewed":
                press("v")
        assert judged <= 120 and keys < 300
    saved(page)
    shoot(page, "reading-reviewed")
    press("s")
    page.wait_for_selector("button:has-text('Sign as alice')")
    press("Enter")
    page.wait_for_selector("text=Version 1 is signed.")
    took = time.monotonic() - began
    press("Enter")
    page.wait_for_url(f"**/slides/{following.pk}/**")
    assert Report.objects.get().facts["count"]["review"]["state"] == "reviewed"
    assert 30 < judged < 120 and keys < judged + 20
    (SHOTS / "reading.json").write_text(json.dumps({"judged": judged, "keys": keys, "seconds": round(took, 1)}))


@pytest.mark.parametrize("name", ["grey glass 229", "needle biopsies"])
def test_the_page_says_what_is_true_of_a_known_slide(name, transactional_db, make_slide, make_run, open_as, alice):
    known = known_slide(name)
    slide = make_slide(f"{name}.tif", mpp=MPP, image=known.pixels)
    call_command("measure_tissue", verbosity=0)
    make_run(slide, known.candidates)
    page = open_as(alice, f"/slides/{slide.pk}/")
    page.wait_for_selector("#density:has-text('mm² evaluable')")
    assert page.get_attribute("#count", "data-count") == str(len(known.counted))
    assert page.inner_text("[data-number='ai-count']") == str(len(known.counted))
    assert float(page.inner_text("#density").split()[0]) == pytest.approx(known.mm2, rel=0.05)
    assert float(page.inner_text("[data-number='ai-density']")) == pytest.approx(
        len(known.counted) / known.mm2, rel=0.06
    )
