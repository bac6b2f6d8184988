from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.detection.nms import suppress

# Few places and few scores, so that duplicates, ties and distances of exactly the radius are common.
some_points = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14), st.integers(-3, 3)), max_size=60)


def kept(points, radius):
    rows = np.array(points, dtype=np.float64).reshape(-1, 3)
    return [tuple(row) for row in rows[suppress(rows[:, :2], rows[:, 2], radius)]]


def greedy(points, radius):
    winners = []
    for x, y, score in sorted(points, key=lambda p: (-p[2], p[1], p[0])):
        if all((x - a) ** 2 + (y - b) ** 2 > radius**2 for a, b, _ in winners):
            winners.append((x, y, score))
    return winners


@given(some_points, st.sampled_from([0, 1, 2, 3, 5, 20]))
def test_is_greedy_suppression_best_first(points, radius):
    assert kept(points, radius) == greedy(points, radius)


@given(some_points.flatmap(lambda points: st.tuples(st.just(points), st.permutations(points))))
def test_the_order_of_the_input_does_not_matter(both):
    points, shuffled = both
    assert kept(points, 4) == kept(shuffled, 4)


@given(some_points)
def test_a_second_pass_drops_nothing(points):
    once = kept(points, 3)
    assert kept(once, 3) == once


def test_a_long_chain_of_neighbours_is_decided_from_its_best():
    chain = [(10 * i, 0, -i) for i in range(1000)]
    assert kept(chain, 10) == chain[::2]


@pytest.mark.parametrize("slope", [0, 1])
def test_what_rounds_do_not_decide_is_walked_to_the_same_end(slope):
    plane = [(x, y, -slope * (40 * y + x)) for y in range(40) for x in range(40)]
    assert kept(plane, 3) == greedy(plane, 3)


@pytest.mark.parametrize(("distance", "survivors"), [(30, 1), (30.001, 2)])
def test_a_point_at_exactly_the_radius_is_dropped(distance, survivors):
    assert len(kept([(0, 0, 1), (distance, 0, 0)], 30)) == survivors


def test_nothing_gives_nothing():
    assert suppress(np.empty((0, 2)), np.empty(0), 30).shape == (0,)
