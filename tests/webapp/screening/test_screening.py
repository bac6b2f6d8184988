"""What a reader has seen of a slide: exactly the cells that were shown, kept until tomorrow, and each reader's own."""

from __future__ import annotations

import threading
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from django.db import connection

from webapp.annotations.models import Figure, Label
from webapp.annotations.services import figure_judge, region_draw
from webapp.audit.models import Action, Entry
from webapp.reports.facts import ReportScreening, report_part
from webapp.reports.page import _screened
from webapp.reports.services import report_sign
from webapp.results.findings import findings
from webapp.results.question import question
from webapp.screening.grid import CELL_UM, unpacked
from webapp.screening.models import Screening
from webapp.slides.models import Membership
from webapp.slides.services import slide_set_mpp

TUMOUR = [[0.0, 0.0], [512.0, 0.0], [512.0, 1024.0], [0.0, 1024.0]]


@pytest.fixture
def slide(make_slide):
    """1,024 x 1,024 px of 0.25 um, all of it tissue: 8 x 8 cells."""
    return make_slide(width=1024, height=1024, tissue_fraction=1.0)


@pytest.fixture
def address(slide):
    return f"/api/v1/slides/{slide.pk}/screening/"


def cells_of(answer, name="cells"):
    """The cells [rows, columns] of an answer."""
    return unpacked(b64decode(answer[name]), answer["columns"], answer["rows"])


def test_a_reader_who_skips_a_tenth_has_exactly_that_tenth_not_seen(make_slide, alice, client_of):
    slide = make_slide(width=5120, height=2560, tissue_fraction=1.0)
    client, address = client_of(alice), f"/api/v1/slides/{slide.pk}/screening/"
    laid = client.get(address).json()
    assert (laid["columns"], laid["rows"], laid["seen"]) == (40, 20, 0) and CELL_UM == 32
    fields = [(top, left) for top in range(0, 20, 4) for left in range(0, 40, 4)]
    skipped = fields[7::10]
    for top, left in fields:
        if (top, left) not in skipped:
            runs = [[row, left, left + 4] for row in range(top, top + 4)]
            assert client.post(address, {"cells": runs}, format="json").status_code == 200
    answer = client.get(address).json()
    expected = np.ones((20, 40), bool)
    for top, left in skipped:
        expected[top : top + 4, left : left + 4] = False
    assert answer["seen"] == pytest.approx(0.9)
    assert (cells_of(answer) == expected).all() and cells_of(answer, "evaluable").all()


def test_it_goes_on_tomorrow_where_it_stopped_and_each_reader_has_an_own(slide, address, alice, bob, client_of):
    Membership.objects.create(study=slide.case.study, user=bob)
    client = client_of(alice)
    sent = {"cells": [[0, 0, 8], [1, 2, 4]], "x": 300.5, "y": 90.0}
    first = client.post(address, sent, format="json").json()
    again = client.post(address, {"cells": sent["cells"]}, format="json").json()
    assert first["seen"] == again["seen"] == 10 / 64
    assert (again["x"], again["y"]) == (300.5, 90.0)
    assert client_of(bob).get(address).json()["seen"] == 0
    assert client.delete(address).status_code == 204
    assert client.get(address).json()["seen"] == 0
    said = Entry.objects.filter(action=Action.SCREENING, object_id=str(slide.pk)).values_list("after", flat=True)
    assert sorted(said) == ['{"begun": false}', '{"begun": true}']


def test_only_what_is_evaluable_is_to_be_seen(slide, address, alice, client_of):
    client = client_of(alice)
    client.post(address, {"cells": [[row, 0, 4] for row in range(8)]}, format="json")
    assert client.get(address).json()["seen"] == 0.5
    region_draw(slide=slide, by=alice, kind="tumour", polygon=TUMOUR)
    answer = client.get(address).json()
    assert answer["tumour"] and answer["seen"] == 1
    assert cells_of(answer, "evaluable").sum() == 32


def test_sensitivity_is_what_was_found_of_all_that_was_seen(slide, address, alice, make_run, client_of):
    run = make_run(slide, [(100.0, 100.0, 0.9), (200.0, 100.0, 0.6), (300.0, 100.0, 0.3), (100.0, 900.0, 0.9)])
    for x, y in ((100, 100), (200, 100), (300, 100), (400, 100), (100, 900), (500, 900)):
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=x, y=y)
    client = client_of(alice)
    answer = client.post(address, {"cells": [[0, 0, 8]]}, format="json").json()
    assert answer["sensitivity"] == {
        "min_score": 0.5,
        "found": 2,
        "missed": 2,
        "open": 0,
        "share": 0.5,
        "interval": pytest.approx([0.1500, 0.8500], abs=1e-3),  # Wilson, by hand
    }
    lower = client.get(address, {"min_score": 0.2, "run": run.pk}).json()["sensitivity"]
    assert (lower["found"], lower["missed"]) == (3, 1)
    client.delete(address)
    none = client.get(address).json()["sensitivity"]
    assert (none["found"], none["share"], none["interval"]) == (0, None, None)


def test_while_candidates_are_open_no_sensitivity_is_told(slide, address, alice, make_run, client_of):
    make_run(slide, [(100.0, 100.0, 0.9), (300.0, 100.0, 0.8), (500.0, 100.0, 0.3), (100.0, 900.0, 0.9)])
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=700, y=100)
    client = client_of(alice)
    told = client.post(address, {"cells": [[0, 0, 8]]}, format="json").json()["sensitivity"]
    assert (told["open"], told["found"], told["missed"], told["share"]) == (2, 0, 1, None)
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=300, y=100)
    told = client.get(address).json()["sensitivity"]
    assert (told["open"], told["found"], told["missed"], told["share"]) == (0, 1, 1, 0.5)


def test_what_was_seen_at_other_um_per_px_is_not_seen(slide, address, alice, root, client_of):
    client = client_of(alice)
    client.post(address, {"cells": [[0, 0, 8]]}, format="json")
    slide.mpp_source = "entered"
    slide.save()
    slide_set_mpp(slide=slide, mpp=0.5, user=root)  # it was shown half as fine as it seemed
    answer = client.get(address).json()
    assert (answer["columns"], answer["seen"]) == (16, 0)
    assert client.post(address, {"cells": [[0, 0, 16]]}, format="json").json()["seen"] == 1 / 16
    assert Screening.objects.count() == 1


def test_a_figure_that_is_added_in_screening_says_so(slide, alice, make_run, client_of):
    make_run(slide, [(100.0, 100.0, 0.9)])
    client, figures = client_of(alice), f"/api/v1/slides/{slide.pk}/figures/"
    added = {"label": "mitotic", "x": 700, "y": 700, "screened": True}
    assert client.post(figures, added, format="json").json()["screened"]
    assert not client.post(figures, {**added, "x": 100, "y": 100}, format="json").json()["screened"]  # the detector's
    assert not client.post(figures, {"label": "mitotic", "x": 300, "y": 700}, format="json").json()["screened"]
    later = {"label": "unsure", "x": 300, "y": 700, "expected": 1, "screened": True}
    assert not client.post(figures, later, format="json").json()["screened"]  # it was there before
    assert Figure.objects.filter(screened=True).count() == 1


@pytest.mark.parametrize(
    "sent",
    [
        *({}, {"cells": [[0, 0, 9]]}, {"cells": [[8, 0, 1]]}, {"cells": [[0, 3, 3]]}, {"cells": [[0, -1, 3]]}),
        *({"cells": 3}, {"cells": [], "x": 5}, {"cells": [], "x": 5, "y": 5000}),
    ],
)
def test_what_is_no_cell_is_refused_and_nothing_is_kept(slide, address, alice, client_of, sent):
    client = client_of(alice)
    refused = client.post(address, sent, format="json")
    assert refused.status_code == 400 and refused.json()["detail"]
    assert not Screening.objects.exists()


def test_without_um_per_px_nothing_is_screened(make_slide, alice, client_of):
    slide = make_slide(mpp=None)
    client, address = client_of(alice), f"/api/v1/slides/{slide.pk}/screening/"
    for answer in (client.get(address), client.post(address, {"cells": []}, format="json")):
        assert answer.status_code == 409 and "um/px" in answer.json()["detail"]


@pytest.mark.django_db(transaction=True)
def test_two_tabs_of_one_reader_lose_nothing(slide, address, alice, client_of):
    def see(row):
        client_of(alice).post(address, {"cells": [[row, 0, 8]]}, format="json")
        connection.close()

    tabs = [threading.Thread(target=see, args=(row,)) for row in range(8)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert client_of(alice).get(address).json()["seen"] == 1


def test_a_report_says_what_its_reader_has_screened(make_slide, alice, make_run, client_of):
    slide = make_slide()  # 560 x 420 px: 4 x 3 cells
    address = f"/api/v1/slides/{slide.pk}/screening/"
    run = make_run(slide, [(100.0, 100.0, 0.9)])
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=400, y=100)
    before = report_sign(slide=slide, run=run, asked=question(), by=alice)
    assert before.facts["screening"] is None
    client_of(alice).post(address, {"cells": [[0, 0, 4]]}, format="json")
    facts = report_sign(slide=slide, run=run, asked=question(), by=alice).facts["screening"]
    assert (facts["seen"], facts["found"], facts["missed"], facts["share"]) == (pytest.approx(1 / 3), 1, 1, 0.5)
    assert facts["hotspot"] == pytest.approx(1 / 3)  # all there is


@pytest.mark.parametrize(
    ("screened", "words"),
    [
        ((0.996, 0.5, 300, 1, 0, 300 / 301, (0.98, 0.9994)), "more than 99 % of the evaluable area, 50 % of that in"),
        ((0.004, None, 0, 1, 0, 0.0, (0.0, 0.79)), "less than 1 % of the evaluable area. Of 1 mitotic figure there"),
        ((1.0, 1.0, 3, 1, 2, None, None), "2 of the candidates there at confidence 0.5 or more have no verdict."),
        ((1.0, 1.0, 0, 0, 0, None, None), "100 % of that in the hotspot. There was no mitotic figure."),
    ],
)
def test_the_report_rounds_nothing_to_all_or_none(screened, words, make_slide, make_run, alice):
    run = make_run(make_slide(), [(100.0, 100.0, 0.9)])
    part = report_part(findings(slide=run.slide, run=run, asked=question()), alice)
    (said,) = _screened(replace(part, screening=ReportScreening(*screened)))
    assert words in said and "100 %)" not in said
