from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.evaluation.metrics import Counts, Evaluation, MatchedFrame, match
from detector.frames import points

positions = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), max_size=12)
detections = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120), st.integers(1, 9)), max_size=25)
thresholds = st.floats(0, 1)


def judged(found, truths, case="A"):
    scores = np.array([s / 10 for *_, s in found])
    return MatchedFrame(case, scores, match(points(row[:2] for row in found), scores, points(truths)), len(truths))


def matched_by_hand(found, truths, radius=30):
    free, hits = dict(enumerate(truths)), [False] * len(found)
    for index in sorted(range(len(found)), key=lambda i: -found[i][2]):
        within = [(math.dist(found[index][:2], t), n) for n, t in free.items()]
        within = [pair for pair in within if pair[0] <= radius]
        if within:
            del free[min(within)[1]]
            hits[index] = True
    return hits


@given(detections, positions)
def test_each_detection_takes_the_nearest_free_truth_by_falling_score(found, truths):
    assert judged(found, truths).hits.tolist() == matched_by_hand(found, truths)


@given(detections, positions, thresholds)
def test_true_positives_with_misses_are_the_truths_and_with_false_ones_the_detections(found, truths, threshold):
    counts = judged(found, truths).counts(threshold)
    assert counts.true_positives + counts.false_negatives == len(truths)
    assert counts.true_positives + counts.false_positives == sum(s / 10 >= threshold for *_, s in found)
    assert min(counts.true_positives, counts.false_positives, counts.false_negatives) >= 0


@given(detections, positions, st.integers(1, 9))
def test_the_hits_above_a_threshold_are_those_of_the_detections_above_it(found, truths, lowest):
    above = [row for row in found if row[2] >= lowest]
    assert judged(found, truths).counts(lowest / 10) == judged(above, truths).counts(0)


@given(st.lists(st.tuples(detections, positions), max_size=4), thresholds)
def test_no_threshold_has_an_f1_above_the_maximum(frames, threshold):
    evaluation = Evaluation([judged(found, truths) for found, truths in frames])
    best, at = evaluation.max_f1()
    assert best >= evaluation.counts(threshold).f1
    assert best == evaluation.counts(at).f1


@given(st.lists(st.tuples(detections, positions), max_size=4))
def test_the_curve_has_the_counts_at_every_score_that_occurs(frames):
    evaluation = Evaluation([judged(found, truths) for found, truths in frames])
    scores = sorted({s / 10 for found, _ in frames for *_, s in found}, reverse=True)
    assert evaluation.curve() == [(score, evaluation.counts(score)) for score in scores]


@pytest.mark.parametrize(("distance", "hit"), [(30.0, True), (30.01, False)])
def test_the_radius_itself_counts_as_within(distance, hit):
    assert match(points([(distance, 0)]), np.array([0.9]), points([(0, 0)])).tolist() == [hit]


def test_a_second_detection_on_one_truth_is_false():
    assert judged([(50, 50, 6), (51, 50, 9)], [(50, 50)]).hits.tolist() == [False, True]


def test_a_second_truth_in_reach_is_left_for_the_next_detection():
    assert judged([(0, 0, 9), (0, 1, 8), (0, 2, 7)], [(10, 0), (20, 0)]).hits.tolist() == [True, True, False]


def test_f1_of_counts():
    counts = Counts(true_positives=6, false_positives=2, false_negatives=4)
    assert (counts.precision, counts.recall) == (0.75, 0.6)
    assert counts.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert (Counts(0, 0, 0).f1, Counts(0, 3, 0).f1, Counts(0, 0, 3).f1) == (1.0, 0.0, 0.0)


def test_f1_by_case_adds_the_frames_of_a_case():
    frames = [
        judged([(0, 0, 9)], [(0, 0)], "A"),
        judged([(0, 0, 9)], [(99, 99), (0, 99)], "A"),
        judged([], [(0, 0)], "B"),
    ]
    assert Evaluation(frames).f1_by_case() == {"A": Counts(1, 1, 2).f1, "B": 0.0}


def test_an_interval_over_cases_is_that_of_drawing_them_by_hand():
    rng = np.random.default_rng(3)
    frames = [
        MatchedFrame(case, rng.uniform(size=9), rng.uniform(size=9) < share, 8)
        for case, share in zip("AABBCD", (0.2, 0.3, 0.8, 0.7, 0.5, 0.9), strict=True)
    ]
    by_case = [[frame for frame in frames if frame.case == case] for case in "ABCD"]
    draw = np.random.default_rng(0)
    f1, best = [], []
    for _ in range(200):
        drawn = Evaluation([frame for index in draw.integers(4, size=4) for frame in by_case[index]])
        f1.append(drawn.counts().f1)
        best.append(max(counts.f1 for _, counts in drawn.curve()))
    intervals = Evaluation(frames).intervals(draws=200)
    assert intervals["f1"] == pytest.approx(np.percentile(f1, [2.5, 97.5]))
    assert intervals["max_f1"] == pytest.approx(np.percentile(best, [2.5, 97.5]))
    assert intervals["f1"][0] < Evaluation(frames).counts().f1 < intervals["f1"][1]


def test_without_cases_there_is_no_interval():
    assert Evaluation([]).intervals() == {}
