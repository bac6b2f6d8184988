"""How far the hotspot is reviewed, and whether the score can still change: against all verdicts that may be given."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.annotations.evaluable import Evaluable
from webapp.results.count import CountBuilder, Counted, Figures
from webapp.results.deciding import _can_take
from webapp.results.question import Question
from webapp.results.reaches import distance, reaches_on
from webapp.results.rules import Rule
from webapp.results.types import Judged

AREA = 0.5
RULE = Rule("by-hand", 1, "", "", area_mm2=AREA, counts=(2, 4))
OPEN, MITOTIC, NOT = range(3)

coordinate = st.integers(0, 12).map(lambda v: v * 250.0)  # um: a circle of 0.5 mm2 has a radius of 399
some_figures = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=5, unique=True)
verdicts = st.lists(st.sampled_from([OPEN, OPEN, MITOTIC, NOT]), min_size=5, max_size=5)


def evaluable(mm=3.2):
    px = round(mm * 1000)
    return Evaluable(shapely.box(0, 0, px, px), np.ones((128, 128), bool), (px, px), (1.0, 1.0))


SLIDE = evaluable()


def builder(shape="circle", area=SLIDE):
    return CountBuilder(area, Question(0.5, AREA, shape, RULE))


def reviewed(xy, said, shape="circle", area=SLIDE):
    """The reviewed value of candidates with verdicts, and its review."""
    xy, said = np.array(xy, float).reshape(-1, 2), np.array(said[: len(xy)], int)
    build = builder(shape, area)
    counts = said != NOT
    figures = Figures(xy[counts], said[counts] == OPEN)
    judged = Judged(int((said == MITOTIC).sum()), int((said == NOT).sum()), 0, 0, int((said == OPEN).sum()))
    counted = Counted(area, Figures(xy, said == OPEN), figures, judged)
    value = build.value(figures)
    return value, build.review(counted, value, begun=bool((said != OPEN).any()))


def possible_scores(xy, said, shape="circle"):
    """The scores after every verdict that could still be given."""
    still = [i for i, label in enumerate(said[: len(xy)]) if label == OPEN]
    for labels in itertools.product((MITOTIC, NOT), repeat=len(still)):
        given = list(said[: len(xy)])
        for i, label in zip(still, labels, strict=True):
            given[i] = label
        yield reviewed(xy, given, shape)[0].score.value


@settings(max_examples=25, deadline=None)
@given(some_figures, verdicts, st.sampled_from(["circle", "square"]))
def test_none_is_left_just_where_no_verdict_changes_the_score(xy, said, shape):
    _, review = reviewed(xy, said, shape)
    assert (review.left == 0) == (len(set(possible_scores(xy, said, shape))) == 1)


@settings(max_examples=40, deadline=None)
@given(some_figures, verdicts, st.lists(st.sampled_from([MITOTIC, NOT]), min_size=5, max_size=5))
def test_the_score_is_decided_when_those_that_are_left_have_a_verdict(xy, said, then):
    xy, said = np.array(xy, float), np.array(said[: len(xy)])
    counts = said != NOT
    figures = Figures(xy[counts], said[counts] == OPEN)
    build = builder()
    deciding = np.flatnonzero(counts)[build.deciding(figures, build.value(figures).score)]
    assert len(deciding) == reviewed(xy, said)[1].left
    said[deciding] = then[: len(deciding)]
    assert reviewed(xy, said)[1].left == 0


near = st.integers(0, 14).map(lambda v: 600.0 + v * 130.0)  # um: circles that overlap in many ways
many_figures = st.lists(st.tuples(near, near), min_size=4, max_size=11, unique=True)
many_verdicts = st.lists(st.sampled_from([OPEN, OPEN, OPEN, MITOTIC]), min_size=11, max_size=11)


def _with_a_fragment():
    """Tissue that holds the area, and a fragment from where a circle reaches a part of it."""
    tissue = np.zeros((128, 128), bool)
    tissue[20:50, 20:50] = tissue[32:40, 80:88] = True
    return Evaluable(shapely.box(0, 0, 3200, 3200), tissue, (3200, 3200), (1.0, 1.0))


AREAS = {"tissue everywhere": (SLIDE, False), "with a fragment": (_with_a_fragment(), True)}


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(list(AREAS)),
    many_figures,
    many_verdicts,
    st.sampled_from(["circle", "square"]),
    st.sampled_from([(2, 4), (4, 6), (5, 7)]),
)
def test_left_are_exactly_those_that_can_still_change_the_score(name, xy, said, shape, cuts):
    """Against every way in which the open figures can be judged; a rule may count whole places alone."""
    area, withhold = AREAS[name]
    xy, is_open = np.array(xy, float), np.array(said[: len(xy)]) == OPEN
    build = CountBuilder(area, Question(0.5, AREA, shape, replace(RULE, counts=cuts, withhold_small=withhold)))
    figures = Figures(xy, is_open)
    reaches = reaches_on(area, shape, AREA)
    places = reaches.whole if withhold else np.arange(reaches.size)
    apart = distance(xy[None] / 1000 - reaches.xy(places)[:, None], shape)
    holds = apart <= reaches.reach.ravel()[places][:, None] + 1e-9  # [places, figures]
    holds = np.unique(holds[holds.any(axis=1)], axis=0).astype(int)
    still = np.flatnonzero(is_open)
    judged = np.array(list(itertools.product((0, 1), repeat=len(still))))
    mitotic = np.ones((len(judged), len(xy)), int)
    mitotic[:, still] = judged
    scores = 1 + np.searchsorted(cuts, (mitotic @ holds.T).max(axis=1, initial=0), side="right")
    can = {
        one
        for n, one in enumerate(still)
        if (scores[judged[:, n] == 0] != scores[judged[:, n] == 1]).any()  # in the same order of all the others
    }
    assert set(np.flatnonzero(build.deciding(figures, build.value(figures).score))) == can


def test_a_search_that_takes_too_long_ends_with_the_figure_as_one_that_can():
    limits = [(0b11 << n, 1) for n in range(14)]
    assert _can_take(8, (1 << 15) - 1, limits, [10**6]) and not _can_take(9, (1 << 15) - 1, limits, [10**6])
    assert _can_take(9, (1 << 15) - 1, limits, [10])


def test_where_fields_must_touch_all_open_figures_are_left_while_there_are_enough():
    """One more can lead the search to fields that hold fewer."""
    rule = replace(RULE, counts=(3, 5), contiguous=True)
    build = CountBuilder(SLIDE, Question(0.5, AREA, "fields", rule))
    xy = np.array([(600.0 + 200 * n, 600.0) for n in range(4)])
    for number, left in ((4, 3), (2, 0)):
        figures = Figures(xy[:number], np.arange(number) > 0)
        assert build.deciding(figures, build.value(figures).score).sum() == left


def test_reviewed_says_how_many_of_the_hotspot_have_a_verdict():
    xy = [(500.0, 500.0), (600.0, 500.0), (700.0, 500.0), (2500.0, 2500.0)]
    for said, state, judged, of in [
        ([OPEN] * 4, "not reviewed", 0, 3),
        ([OPEN, OPEN, OPEN, NOT], "partly reviewed", 0, 3),
        ([MITOTIC, OPEN, OPEN, OPEN], "partly reviewed", 1, 3),
        ([MITOTIC, NOT, MITOTIC, OPEN], "reviewed", 3, 3),
        ([NOT, NOT, NOT, OPEN], "partly reviewed", 0, 1),  # the hotspot has moved to the last
        ([NOT, NOT, NOT, NOT], "reviewed", 4, 4),  # no figure, so no hotspot: of all
    ]:
        _, review = reviewed(xy, said)
        assert (review.state, review.judged, review.of) == (state, judged, of)


def test_of_a_small_sample_and_of_ten_fields_all_open_figures_are_left():
    xy = [(100.0, 100.0), (200.0, 100.0), (300.0, 100.0)]
    small = evaluable(mm=0.4)
    assert reviewed(xy, [OPEN] * 3, area=small)[1].left == 3
    assert reviewed(xy, [MITOTIC, MITOTIC, OPEN], area=small)[1].left == 0  # 2 is sure, 4 are not there
    assert reviewed(xy, [MITOTIC, OPEN, NOT], "fields")[1].left == 1


def test_without_a_score_nothing_is_said_of_it():
    build = CountBuilder(evaluable(), Question(0.5, 1.0, "circle", RULE))  # the rule is for another area
    figures = Figures(np.array([[100.0, 100.0]]), np.array([True]))
    value = build.value(figures)
    review = build.review(Counted(build.evaluable, figures, figures, Judged(0, 0, 0, 0, 1)), value, begun=False)
    assert value.score is None and review.left is None and (review.judged, review.of) == (0, 1)


def test_without_um_per_px_all_candidates_are_to_review():
    slide = Evaluable(shapely.box(0, 0, 900, 900), np.ones((9, 9), bool), (900, 900), None)
    build = builder(area=slide)
    figures = Figures(np.array([[100.0, 100.0]]), np.array([True]))
    review = build.review(Counted(slide, figures, figures, Judged(0, 0, 0, 0, 1)), build.value(figures), begun=False)
    assert (review.state, review.judged, review.of, review.left) == ("not reviewed", 0, 1, None)


def test_of_ten_fields_nothing_decides_where_the_said_figures_have_the_score_of_all():
    xy = [(250.0 * i, 250.0 * j) for i in range(3) for j in range(2)]
    assert reviewed(xy, [MITOTIC] * 5 + [OPEN], "fields")[1].left == 0  # 3 with or without the sixth
    assert reviewed(xy[:1], [OPEN], "fields")[1].left == 0  # one figure is a score of 1 whatever is said
    assert reviewed(xy, [MITOTIC] + [OPEN] * 5, "fields")[1].left == 5
