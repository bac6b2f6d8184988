"""The range of stain trained on, and what lies outside of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detector import paper
from detector.frames import LabStatistics, cases_of
from detector.model.stains import stain_outside, stain_range, united
from tests.drawing import draw_hpf


def frames(source, means, **fields):
    stains = [LabStatistics((mean, 150.0, 120.0), (30.0, 9.0, 6.0)) for mean in means]
    return [
        replace(draw_hpf(f"{source}{i}_00"), source=source, stain=stain, **fields) for i, stain in enumerate(stains)
    ]


def test_the_range_is_that_of_each_source_whatever_its_size():
    cases = cases_of([*frames("few", [100.0, 110.0]), *frames("many", [200.0] * 300)])
    found = stain_range(cases)
    assert found["mean"][0] == [pytest.approx(100.1), 200.0] and found["mean"][1] == [150.0, 150.0]
    assert found["frames"] == 302 and found["deviation"] == [[30.0, 30.0], [9.0, 9.0], [6.0, 6.0]]
    assert stain_range([]) is None


def test_a_frame_that_went_wrong_does_not_widen_the_range_of_its_source():
    found = stain_range(cases_of(frames("one", [150.0] * 400 + [20.0])))
    assert found["mean"][0] == [150.0, 150.0]


def test_two_ranges_become_one_that_holds_both():
    first, second = (stain_range(cases_of(frames("s", means))) for means in ([100.0, 100.0], [140.0, 140.0]))
    assert united(first, second)["mean"][0] == [100.0, 140.0] and united(first, second)["frames"] == 4
    assert united(first, None) == united(None, first) == first


@pytest.mark.parametrize(
    ("mean", "deviation", "outside"),
    [
        ((100, 150, 120), (30, 9, 6), []),
        ((100 - paper.STAIN_MARGIN, 150 + paper.STAIN_MARGIN, 120), (30, 9, 6), []),
        ((100 - paper.STAIN_MARGIN - 0.1, 150, 120), (30, 9, 6), ["mean L"]),
        ((140, 150, 120), (30, 9, 6), ["mean L"]),
        ((100, 150, 120), (30, 9, 15), ["deviation B"]),
        ((100, 120, 140), (30, 9, 6), ["mean A", "mean B"]),
    ],
)
def test_a_stain_lies_outside_where_a_channel_leaves_the_range_by_more_than_the_margin(mean, deviation, outside):
    known = stain_range(cases_of(frames("s", [100.0, 100.0])))
    assert stain_outside(LabStatistics(mean, deviation), known) == outside
