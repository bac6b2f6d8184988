"""Who is compared with whom, and on what."""

from __future__ import annotations

from uuid import uuid4

import pytest

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.overview.agreement import fleiss_of, pairs_of, verdicts_of
from webapp.overview.selectors import overview_of
from webapp.slides.models import Membership, Slide


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
    said = verdicts_of(Slide.objects.visible_to(alice), 0.5)
    assert {name: sorted(own.values()) for name, own in said.items()} == {
        "alice": [False, True, True],
        "bob": [True, True, True],
        "root": [False, False, True],
        "AI": [False, True, True],
    }
    assert fleiss_of(said)[:2] == (3, 3)
    table = next(one for one in overview_of(study, alice).tables if one.key == "agreement")
    assert len(table.rows) == 6 and "All 3 readers together on 3 figures" in table.said
    figure_judge(slide=slide, by=alice, label=Label.OPEN, x=100, y=100, expected=version[100])
    assert len(verdicts_of(Slide.objects.visible_to(alice), 0.5)["alice"]) == 2  # taken back
