"""A study at a glance: what is counted, how long it takes, and a warning where the detector drifts."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from webapp.annotations.models import Candidate, Figure, Label, Run
from webapp.annotations.services import figure_judge
from webapp.overview.selectors import overview_of
from webapp.reports.services import report_sign
from webapp.results.question import question
from webapp.slides.models import Slide

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)


def tables(study, user):
    return {table.key: table for table in overview_of(study, user).tables}


@pytest.fixture
def week_of(make_slide, make_run):
    """Slides of a scanner in a week: how many candidates, of what confidence, and how many of them are rejected."""

    def make(week, scanner, many, confidence, rejected, judged):
        slide = make_slide(scanner=scanner)
        run = make_run(slide, [(2.0 + i, 2.0, confidence) for i in range(many)])
        Run.objects.filter(pk=run.pk).update(created_at=MONDAY + timedelta(weeks=week))
        for i, candidate in enumerate(Candidate.objects.filter(run=run)[:judged]):
            label = Label.NON_MITOTIC if i < rejected else Label.MITOTIC
            candidate.figure = Figure.objects.create(slide=slide, x=candidate.x, y=2, label=label, version=1)
            candidate.save()
        return slide

    return make


def test_counts_scores_and_turnaround(study, alice, make_slide, make_run):
    assert [table.bars for table in tables(study, alice).values()] == [
        [],
        [("1", 0), ("2", 0), ("3", 0)],
        [],
        [],
        [],
        [],
    ]
    slide = make_slide()
    run = make_run(slide, [(100.0, 100.0, 0.9), (200.0, 100.0, 0.8), (300.0, 100.0, 0.3)])
    figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=100, y=100)
    Slide.objects.filter(pk=slide.pk).update(uploaded_at=slide.uploaded_at - timedelta(hours=7))
    report_sign(slide=slide, run=run, asked=question(), by=alice)
    found = tables(study, alice)
    ((case, pk, count, density, _, state),) = found["counts"].rows
    assert (case, pk, count) == (slide.case.identifier, str(slide.pk), 1)
    assert density == pytest.approx(1 / (560 * 420 * 0.0625e-6), rel=0.02) and state == "partly reviewed"
    assert sum(height for _, height in found["counts"].bars) == 1
    assert sum(many for _, many in found["scores"].rows) == 1
    ((_, signed, hours),) = found["turnaround"].rows
    assert signed == 1 and hours == pytest.approx(7, abs=0.1)


def test_drift_is_told_by_week_and_scanner_and_warned_of(study, alice, week_of):
    week_of(0, "A", 120, 0.9, 6, 60)
    week_of(0, "B", 120, 0.9, 6, 60)
    week_of(1, "A", 120, 0.7, 30, 60)  # less sure, and half of it is rejected
    week_of(1, "B", 120, 0.85, 8, 60)
    found = overview_of(study, alice)
    assert len(found.warnings) == 2 and all(sentence.startswith("Scanner A") for sentence in found.warnings)
    assert "0.70 in the week of 2026-11-23, 0.90 before" in found.warnings[0]
    assert "50% of what was judged" in found.warnings[1] and "10% before" in found.warnings[1]
    rows = tables(study, alice)["rejected"].rows
    assert rows[0] == ("2026-11-16", "A", 120, 0.9, 60, 6, 0.1) and len(rows) == 4


def test_few_figures_are_no_drift(study, alice, week_of):
    week_of(0, "A", 20, 0.9, 0, 10)
    week_of(1, "A", 20, 0.5, 10, 10)
    assert overview_of(study, alice).warnings == []


def test_each_plot_has_its_table_as_csv(client, study, alice, week_of):
    week_of(0, "A", 3, 0.9, 1, 2)
    client.force_login(alice)
    address = f"/studies/{study.pk}/overview/"
    page = client.get(address).content.decode()
    for key in ("counts", "scores", "turnaround", "agreement", "confidence", "rejected"):
        answer = client.get(address, {"csv": key})
        assert (
            answer["Content-Type"].startswith("text/csv")
            and f"study-{study.pk}-{key}.csv" in answer.headers["Content-Disposition"]
        )
        head, *rows = csv.reader(StringIO(answer.content.decode()))
        assert all(len(row) == len(head) for row in rows)
        assert key in {"turnaround", "agreement"} or f"?csv={key}" in page
    assert client.get(address, {"csv": "nothing"}).status_code == 404
