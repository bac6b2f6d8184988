from __future__ import annotations

import pytest

from detector.bench.result import BenchmarkResult


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (BenchmarkResult(3.2, at_least=3), True),
        (BenchmarkResult(2.9, at_least=3), False),
        (BenchmarkResult(1.1, at_most=1.1), True),
        (BenchmarkResult(1.2, at_most=1.1), False),
        (BenchmarkResult(5.0), None),
        (BenchmarkResult("fp32"), None),
    ],
)
def test_a_figure_says_whether_its_target_is_reached(figure, reached):
    assert figure.reached is reached
    assert ("missed" in figure.line("f")) == (reached is False)
