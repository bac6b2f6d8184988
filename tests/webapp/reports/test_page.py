"""What is printed: names of any script, every figure, every slide of a case."""

from __future__ import annotations

import pytest

from tests.webapp.reports.conftest import CANDIDATES
from tests.webapp.reports.test_reports import sign, text_of
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.reports import pictures
from webapp.reports.fonts import printable
from webapp.reports.models import Report
from webapp.reports.page import _plain
from webapp.results.rules import Rule


def test_no_text_of_anybody_stops_the_signing(client_of, alice, slide, settings, model):
    settings.SCORE_RULES = {
        **settings.SCORE_RULES,
        "ours🔬": Rule("ours🔬", 1, "ours", "🔬", area_mm2=2.0, counts=(2, 4)),
    }
    type(model).objects.filter(pk=model.pk).update(name="a🔬")
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/reports/", {"rule": "ours🔬"}, format="json")
    text = text_of(client_of(alice).get(answer.json()["pdf"]).content)
    assert "Rule ours[U+1F52C]" in text and "Model a[U+1F52C]" in text


@pytest.mark.parametrize("name", ["علی\u200cرضا", "ශ්\u200dරී", "ଓଡ଼ିଆ", "བོད", "ދިވެހި", "𠮷", "ᏣᎳᎩ", "ᲜᲘᲜᲝ"])  # noqa: RUF001
def test_names_of_many_scripts_are_printed(name):
    assert printable(name) == name
    assert printable("辻\U000e0100") == "辻"


def test_numbers_of_parameters_are_short_wherever_they_stand():
    assert _plain([0.30000000000000004, 1 / 3]) == "0.3 x 0.3333"
    assert _plain({"x": 0.30000000000000004}) == "x 0.3"


def test_every_counted_figure_is_named_where_there_are_too_many_for_pictures(client_of, alice, slide, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_CROPS", 3)
    text = " ".join(text_of(client_of(alice).get(sign(client_of(alice), slide).json()["pdf"]).content).split())
    assert "pictures of 3, then the places of the others" in text
    assert "(640, 500) 0.92 not reviewed; (720, 500) 0.91" in text


def test_the_other_slides_of_a_case_are_asked_about_and_named_where_they_cannot_be_in(
    client_of, alice, slide, make_slide, make_run
):
    for x, y, _ in CANDIDATES:
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=x, y=y)
    open_one, without, bare = (make_slide(name, mpp=2.0, case=slide.case) for name in ("b", "c", "d"))
    make_run(open_one, [(50, 50, 0.9)])
    type(bare).objects.filter(pk=bare.pk).update(mpp_x=None, mpp_y=None)
    address = f"/slides/{slide.pk}/report/"
    page = client_of(alice).post(address, {"whole_case": "on"}).content.decode()
    assert f"The hotspot of {open_one.name} is not reviewed" in page and not Report.objects.exists()
    assert f"{without.name}, on which nothing has been detected yet" in page
    client_of(alice).post(address, {"whole_case": "on", "unreviewed": "yes"})
    report = Report.objects.get()
    text = " ".join(text_of(bytes(report.pdf)).split())
    assert f"Not in this report: slide {bare.name}, of which um/px are not known." in text
    assert len(report.facts["others"]) == 1 and len(report.facts["left_out"]) == 2
