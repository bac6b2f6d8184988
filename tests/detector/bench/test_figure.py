from __future__ import annotations

import pytest

from detector.bench.figure import Figure


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (Figure(3.2, at_least=3), True),
        (Figure(2.9, at_least=3), False),
        (Figure(1.1, at_most=1.1), True),
        (Figure(1.2, at_most=1.1), False),
        (Figure(5.0), None),
        (Figure("fp32"), None),
    ],
)
def test_a_figure_says_whether_its_target_is_reached(figure, reached):
    assert figure.reached is reached
    assert ("missed" in figure.line("f")) == (reached is False)
