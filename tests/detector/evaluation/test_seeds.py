"""Intervals over seeds and cases, against a slow reference that draws whole frames one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.evaluation.metrics import Evaluation, MatchedFrame, paired_intervals
from detector.evaluation.seeds import paired_intervals_over_seeds


def drawn_evaluation(rng, cases, skill):
    """Two frames a case; each label is found with a chance that is the detector's skill."""
    frames = []
    for case in cases:
        for _ in range(2):
            truths, false = int(rng.integers(1, 6)), int(rng.integers(0, 4))
            found = int((rng.random(truths) < skill).sum())
            hits = np.arange(found + false) < found
            frames.append(MatchedFrame(case, np.round(rng.random(found + false), 2), hits, truths))
    return Evaluation(frames)


def slow_f1(frames):
    """(F1 at 0.5, max F1), every threshold tried."""

    def at(threshold):
        tp = sum(bool(hit) for f in frames for score, hit in zip(f.scores, f.hits, strict=True) if score >= threshold)
        found = sum(bool(score >= threshold) for f in frames for score in f.scores)
        return 2 * tp / (found + sum(f.truths for f in frames))

    return at(0.5), max([0.0, *(at(score) for f in frames for score in f.scores)])


def slow_difference(first, second, seeds, cases_of):
    """Mean over seeds; a case counts as often as it is drawn."""
    values = []
    for seed in seeds:
        sides = [
            slow_f1([frame for case in cases_of(seed) for frame in side[seed].frames if frame.case == case])
            for side in (first, second)
        ]
        values.append([sides[0][0] - sides[1][0], sides[0][1] - sides[1][1]])
    return np.mean(values, axis=0)


def slow_intervals(first, second, draws, seed):
    names = [sorted({frame.case for frame in one.frames}) for one in first]
    rng, values = np.random.default_rng(seed), []
    everything = slow_difference(first, second, range(len(first)), lambda one: names[one])
    shared = all(one == names[0] for one in names)
    groups = [
        [i for i, one in enumerate(names) if one == own]
        for own in dict.fromkeys(map(tuple, names))
        for own in [list(own)]
    ]
    for _ in range(draws):
        if shared:
            cases = [names[0][i] for i in rng.integers(len(names[0]), size=len(names[0]))]
            seeds = rng.integers(len(first), size=len(first)) if len(first) > 1 else [0]
            values.append(slow_difference(first, second, seeds, lambda _, cases=cases: cases))
        else:
            seeds = [one for group in rng.integers(len(groups), size=len(groups)) for one in groups[group]]
            values.append(slow_difference(first, second, seeds, lambda one: names[one]))
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    return {"f1": (everything[0], low[0], high[0]), "max_f1": (everything[1], low[1], high[1])}


def evaluations(number, shared):
    rng = np.random.default_rng(7)
    cases = [[f"c{i}" for i in range(4)] if shared else [f"c{s % 3}", f"d{s % 3}"] for s in range(number)]
    return tuple([drawn_evaluation(rng, own, skill) for own in cases] for skill in (0.8, 0.6))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_the_interval_is_that_of_the_slow_reference(shared, number):
    first, second = evaluations(number, shared)
    fast = paired_intervals_over_seeds(first, second, draws=40, seed=3)
    slow = slow_intervals(first, second, 40, 3)
    for key, values in slow.items():
        assert fast[key] == pytest.approx(values)


def test_of_one_seed_it_is_the_interval_over_cases():
    (first,), (second,) = evaluations(1, shared=True)
    assert paired_intervals_over_seeds([first], [second], draws=100) == paired_intervals(first, second, draws=100)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
@settings(max_examples=10)
def test_a_detector_is_as_good_as_itself(seed, number, shared):
    rng = np.random.default_rng(seed)
    own = [drawn_evaluation(rng, ["a", "b"] if shared else [f"a{i}"], 0.7) for i in range(number)]
    assert set(paired_intervals_over_seeds(own, own, draws=5).values()) == {(0.0, 0.0, 0.0)}


def test_the_spread_of_seeds_is_in_the_interval():
    """Each seed is the same on all of many cases: an interval over cases alone would be a point."""
    found, missed = (MatchedFrame("c", np.array([0.9]), np.array([hit]), 1) for hit in (True, False))
    cases = [f"c{i}" for i in range(9)]
    first = [
        Evaluation([MatchedFrame(c, one.scores, one.hits, 1) for c in cases]) for one in (found, found, missed, missed)
    ]
    second = [Evaluation([MatchedFrame(c, missed.scores, missed.hits, 1) for c in cases])] * 4
    value, low, high = paired_intervals_over_seeds(first, second, draws=200)["f1"]
    assert value == pytest.approx(0.5)
    assert low == pytest.approx(0.0) and high == pytest.approx(1.0)


def test_what_cannot_be_paired_is_refused_and_nothing_is_nothing():
    first, second = evaluations(2, shared=False)
    with pytest.raises(ValueError, match="same seeds on the same cases"):
        paired_intervals_over_seeds(first, second[:1])
    with pytest.raises(ValueError, match="same seeds on the same cases"):
        paired_intervals_over_seeds(first, second[::-1])
    assert paired_intervals_over_seeds([], []) == {"f1": (0, 0, 0), "max_f1": (0, 0, 0)}
