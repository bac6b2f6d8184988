"""Twenty slides with known truth: tissue, count, density, hotspot and score, the same by every way out."""

from __future__ import annotations

import csv
import io
import json
from urllib.response import addinfourl

import pytest
from django.core.management import call_command
from pypdf import PdfReader

from static.mitoscope import Mitoscope
from tests.known_slides import GRADIENTS, KNOWN_SLIDES, MPP, known_slide


@pytest.fixture
def slide_of(make_slide, make_run):
    def make(known):
        slide = make_slide(f"{known.name}.tif", mpp=MPP, image=known.pixels)
        call_command("measure_tissue", verbosity=0)
        make_run(slide, known.candidates)
        return slide

    return make


@pytest.fixture
def downloaded(client_of, alice, monkeypatch):
    """The client that people download; what it calls is answered here."""
    client = client_of(alice)

    def answer(request, timeout):
        got = client.generic(request.method, request.full_url.removeprefix("http://here"))
        assert got.status_code == 200
        return addinfourl(io.BytesIO(got.content), got.headers, request.full_url)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    return Mitoscope("http://here", "token")


@pytest.mark.parametrize("name", KNOWN_SLIDES)
def test_tissue_count_density_hotspot_and_score_are_right_and_the_same_everywhere(
    name, slide_of, client_of, alice, downloaded
):
    known = known_slide(name)
    slide, client = slide_of(known), client_of(alice)
    rest = client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()

    assert rest["tissue_mm2"] == pytest.approx(known.mm2, rel=0.1 if name in GRADIENTS else 0.05)
    assert rest["count"] == len(known.counted)
    assert rest["count_per_mm2"] == pytest.approx(len(known.counted) / known.mm2, rel=0.1)
    hotspot = rest["hotspot"]
    if known.mm2 >= 2.1:
        assert hotspot["evaluable_mm2"] == pytest.approx(2.0, rel=0.02) and not rest["score"]["small_sample"]
        inside, held = known.near(hotspot["x"], hotspot["y"], hotspot["reach_mm"])
        assert inside == hotspot["count"]
        assert held == pytest.approx(2.0, rel=0.1 if name in GRADIENTS else 0.06)
    else:
        assert (hotspot["count"], hotspot["reach_mm"]) == (len(known.counted), None) and rest["score"]["small_sample"]
    score = 1 + sum(hotspot["count"] >= cut for cut in (7, 16))
    assert rest["score"]["value"] == score

    count = downloaded.slide(str(slide.pk)).count()
    assert (count.count, count.tissue_mm2, count.count_per_mm2) == tuple(
        rest[name] for name in ("count", "tissue_mm2", "count_per_mm2")
    )
    assert (count.hotspot.count, count.hotspot.evaluable_mm2) == (hotspot["count"], hotspot["evaluable_mm2"])
    assert count.score.value == score

    row = next(csv.DictReader(io.StringIO(client.get(export(slide, "summary")).content.decode())))
    said = (int(row["count"]), float(row["tissue_mm2"]), float(row["count_per_mm2"]), int(row["hotspot_count"]))
    assert said == (rest["count"], rest["tissue_mm2"], rest["count_per_mm2"], hotspot["count"])
    assert (int(row["score"]), float(row["hotspot_evaluable_mm2"])) == (score, hotspot["evaluable_mm2"])
    marks = list(csv.DictReader(io.StringIO(client.get(export(slide, "csv")).content.decode())))
    assert sum(mark["counted"] == "yes" for mark in marks) == rest["count"]
    assert sum(mark["hotspot"] == "1" for mark in marks) == hotspot["count"]
    geojson = json.loads(client.get(export(slide, "geojson")).content)
    metadata = [one["properties"]["metadata"] for one in geojson["features"] if one["geometry"]["type"] == "Point"]
    assert sum(one["counted"] == "yes" for one in metadata) == rest["count"] == geojson["mitoscope"]["count"]

    report = client.post(f"/api/v1/slides/{slide.pk}/reports/", {}, format="json").json()
    pages = PdfReader(io.BytesIO(client.get(report["pdf"]).content)).pages
    text = " ".join(" ".join(page.extract_text().split()) for page in pages)
    assert f"AI alone {rest['count']} {rest['count_per_mm2']:.2f} {hotspot['count']} {score}" in text
    assert f"outside exclusions) {rest['tissue_mm2']:.2f} mm²" in text
    page = client.get(f"/slides/{slide.pk}/report/").content.decode()
    assert f'id="count">{rest["count"]}<' in page and f'id="hotspot-count">{hotspot["count"]}<' in page


def export(slide, form):
    return f"/api/v1/slides/{slide.pk}/export/?format={form}"


def test_a_slide_without_tissue_has_no_density_and_says_why(slide_of, client_of, alice):
    known = known_slide("no tissue")
    body = client_of(alice).get(f"/api/v1/slides/{slide_of(known).pk}/mitosis-count/").json()
    assert (body["count"], body["score"], body["hotspot"]) == (0, None, None)
    assert "no tissue" in body["reason"]
