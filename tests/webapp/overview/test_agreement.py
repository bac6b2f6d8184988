"""Agreement by hand and by slow and obvious references: Cohen, Fleiss, Bland and Altman."""

from __future__ import annotations

from itertools import combinations
from statistics import mean, stdev
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.overview.agreement import (
    cohen_kappa,
    fleiss_kappa,
    fleiss_of,
    limits_of_agreement,
    pairs_of,
    verdicts_of,
)
from webapp.overview.selectors import overview_of
from webapp.slides.models import Membership

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


def test_only_what_both_have_judged_is_compared():
    figures, slides = [uuid4() for _ in range(4)], [uuid4(), uuid4()]
    said = {
        "b": {figures[0]: True, figures[1]: False, figures[2]: True},
        "a": {figures[0]: True, figures[1]: True, figures[3]: False},
        "AI": {figures[2]: False},
    }
    slide_of = dict(zip(figures, (slides[0], slides[1], slides[0], slides[0]), strict=True))
    first, second = pairs_of(said, slide_of)
    assert (first.first, first.second, first.figures, first.agreed, first.slides) == ("a", "b", 2, 0.5, 2)
    assert (first.difference, first.limits) == (0.5, pytest.approx((0.5 - 1.96 * 0.5**0.5, 0.5 + 1.96 * 0.5**0.5)))
    assert (second.first, second.second, second.figures, second.kappa) == ("b", "AI", 1, 0.0)
    assert fleiss_of(said) == (2, 0, None)


@pytest.mark.django_db
def test_each_reader_keeps_an_own_verdict_and_the_ai_is_one_of_them(study, make_slide, make_run, alice, bob, root):
    Membership.objects.create(study=study, user=bob)
    slide = make_slide()
    make_run(slide, [(100.0, 100.0, 0.9), (200.0, 100.0, 0.8), (300.0, 100.0, 0.3)])
    version = {}
    for who, labels in ((alice, "mnm"), (bob, "mmm"), (root, "mnn")):
        for x, label in zip((100, 200, 300), labels, strict=True):
            given = Label.MITOTIC if label == "m" else Label.NON_MITOTIC
            figure = figure_judge(slide=slide, by=who, label=given, x=x, y=100, expected=version.get(x, 0))
            version[x] = figure.version
    said = verdicts_of(study, 0.5)
    assert {name: sorted(own.values()) for name, own in said.items()} == {
        "alice": [False, True, True],
        "bob": [True, True, True],
        "root": [False, False, True],
        "AI": [False, True, True],
    }
    assert fleiss_of(said)[:2] == (3, 3)
    table = next(one for one in overview_of(study).tables if one.key == "agreement")
    assert len(table.rows) == 6 and "All 3 readers together on 3 figures" in table.said
    figure_judge(slide=slide, by=alice, label=Label.OPEN, x=100, y=100, expected=version[100])
    assert len(verdicts_of(study, 0.5)["alice"]) == 2  # taken back
