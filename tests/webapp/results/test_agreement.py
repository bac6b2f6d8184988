"""Agreement by hand and by slow and obvious references: Cohen, also weighted, Fleiss, Bland and Altman."""

from __future__ import annotations

from itertools import combinations
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.results.agreement import cohen_kappa, fleiss_kappa, limits_of_agreement, weighted_kappa

verdicts = st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=30)


def test_cohen_and_fleiss_on_examples_that_are_published():
    # Two readers on 50 proposals: 20 yes, yes; 5 yes, no; 10 no, yes; 15 no, no.
    table = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert cohen_kappa(table) == pytest.approx(0.4)
    assert cohen_kappa([(True, True)] * 3) is None  # nothing beyond chance can be seen
    # Three raters on four subjects, by the formula: P = 2/3, chance = 0.5.
    assert fleiss_kappa([3, 0, 2, 1], 3) == pytest.approx((2 / 3 - 0.5) / 0.5)


@given(verdicts)
def test_fleiss_against_counting_every_pair_of_raters(said):
    of, raters = len(said), 3
    pairs = [one == other for figure in said for one, other in combinations(figure, 2)]
    share = sum(sum(figure) for figure in said) / (of * raters)
    chance = share**2 + (1 - share) ** 2
    kappa = fleiss_kappa([sum(figure) for figure in said], raters)
    if chance == 1:
        assert kappa is None
    else:
        assert kappa == pytest.approx((mean(pairs) - chance) / (1 - chance))


@given(verdicts)
def test_cohen_against_the_table_of_both(said):
    pairs = [figure[:2] for figure in said]
    cells = {(a, b): pairs.count((a, b)) / len(pairs) for a in (True, False) for b in (True, False)}
    rows = {a: cells[a, True] + cells[a, False] for a in (True, False)}
    columns = {b: cells[True, b] + cells[False, b] for b in (True, False)}
    chance = sum(rows[a] * columns[a] for a in (True, False))
    kappa = cohen_kappa(pairs)
    if chance > 1 - 1e-12:
        assert kappa is None
    else:
        assert kappa == pytest.approx((cells[True, True] + cells[False, False] - chance) / (1 - chance))


def test_bland_and_altman():
    differences = [2, -1, 0, 3, 1]
    assert limits_of_agreement(differences) == pytest.approx(
        (1 - 1.96 * stdev(differences), 1 + 1.96 * stdev(differences))
    )
    assert limits_of_agreement([1]) is None


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=30))
def test_weighted_kappa_against_the_matrices_of_cohen_1968(pairs):
    seen, weights = np.zeros((3, 3)), np.array([[(a - b) ** 2 for b in range(3)] for a in range(3)]) / 4
    for one, other in pairs:
        seen[one - 1, other - 1] += 1 / len(pairs)
    chance = np.outer(seen.sum(axis=1), seen.sum(axis=0))
    kappa = weighted_kappa(pairs)
    if (weights * chance).sum() < 1e-12:
        assert kappa is None
    else:
        assert kappa == pytest.approx(1 - (weights * seen).sum() / (weights * chance).sum())


def test_weighted_kappa_by_hand():
    # Scores of five slides: four alike, one apart by 2. The squares of the distances seen are 4 in all.
    assert weighted_kappa([(1, 1), (2, 2), (3, 3), (1, 3), (2, 2)]) == pytest.approx(1 - 4 * 5 / _by_chance())
    assert weighted_kappa([(2, 2), (2, 2)]) is None and weighted_kappa([]) is None


def _by_chance():
    first, second = (1, 2, 3, 1, 2), (1, 2, 3, 3, 2)
    return sum((one - other) ** 2 for one in first for other in second)
