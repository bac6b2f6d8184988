"""Atypical mitotic figures: said by readers where the study asks for it, counted, reported, and kept in the history."""

from __future__ import annotations

import pytest

from webapp.annotations.models import Candidate, Figure, Label, Verdict
from webapp.annotations.services import candidates_write, figure_judge
from webapp.core.errors import DomainError, InvalidInput
from webapp.reports.facts import report_part
from webapp.reports.page import _area
from webapp.results.count import mitosis_count
from webapp.results.findings import findings
from webapp.results.question import question
from webapp.slides.models import Study


@pytest.fixture
def asked(study):
    Study.objects.update(atypical=True)
    return study


@pytest.fixture
def slide(make_slide, make_run):
    slide = make_slide(mpp=1.0)
    make_run(slide, [(100.0, 100.0, 0.9), (200.0, 100.0, 0.8), (300.0, 100.0, 0.7)])
    return slide


def judge(client, slide, x, label, **more):
    body = {"label": label, "x": x, "y": 100, **more}
    return client.post(f"/api/v1/slides/{slide.pk}/figures/", body, format="json")


def test_a_reader_says_it_with_the_verdict_and_it_is_counted_and_reported(asked, slide, alice, client_of):
    client = client_of(alice)
    first = judge(client, slide, 100, "mitotic", atypical=True).json()
    assert (
        first["atypical"] is True and judge(client, slide, 200, "mitotic", atypical=False).json()["atypical"] is False
    )
    assert judge(client, slide, 300, "non_mitotic").json()["atypical"] is None
    count = mitosis_count(run=slide.runs.get(), asked=question())
    assert (count.judged.mitotic, count.judged.atypical) == (2, 1)
    part = report_part(findings(slide=slide, run=slide.runs.get(), asked=question()), alice)
    assert "Of the mitotic figures 1 are atypical." in _area(part)
    judge(client, slide, 100, "mitotic", expected=1, atypical=False)
    history = client.get(f"/api/v1/slides/{slide.pk}/figures/{first['id']}/").json()
    assert [one["atypical"] for one in history] == [True, False]
    assert mitosis_count(run=slide.runs.get(), asked=question()).judged.atypical == 0
    judge(client, slide, 100, "", expected=2)
    assert Figure.objects.get(pk=first["id"]).atypical is None, "taken back with the verdict"


def test_a_study_that_does_not_ask_takes_no_answer_and_says_none(slide, alice, client_of):
    refused = judge(client_of(alice), slide, 100, "mitotic", atypical=True)
    assert refused.status_code == 409 and "does not tell atypical figures" in refused.json()["detail"]
    assert not Verdict.objects.exists()
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    count = mitosis_count(run=slide.runs.get(), asked=question())
    assert count.judged.atypical is None
    assert "atypical" not in _area(report_part(findings(slide=slide, run=slide.runs.get(), asked=question()), alice))


def test_what_is_no_mitotic_figure_is_not_atypical(asked, slide, alice):
    with pytest.raises(InvalidInput, match="Only a mitotic figure"):
        figure_judge(slide=slide, by=alice, label=Label.UNSURE, x=100, y=100, atypical=False)
    Study.objects.update(atypical=False)
    with pytest.raises(DomainError):
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100, atypical=True)
    figure = figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100, atypical=False)
    assert figure.atypical is None, "of a page that was opened before it was turned off"


def test_how_likely_candidates_are_is_told_by_their_keys(slide, make_run, model, alice, client_of):
    address = f"/api/v1/slides/{slide.pk}/atypical/"
    assert client_of(alice).get(address).json()["candidates"] == []
    run = slide.runs.get()
    Candidate.objects.all().delete()
    run.packed.delete()
    candidates_write(run=run, rows=[(1.0, 1.0, 0.9), (2.0, 2.0, 0.8), (3.0, 3.0, 0.3)], atypical=[0.75, 0.1])
    told = client_of(alice).get(address).json()
    keys = [Candidate.objects.get(x=x).pk for x in (1.0, 2.0)]
    assert (told["run"], told["candidates"], told["probabilities"]) == (str(run.pk), keys, [0.75, 0.1])
