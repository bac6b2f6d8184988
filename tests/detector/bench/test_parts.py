from __future__ import annotations

import pytest

from detector.bench.parts import training_over_plain


@pytest.mark.parametrize(("bf16", "reached"), [(True, False), (False, None)])
def test_the_target_of_training_is_for_bf16_and_without_it_the_line_says_so(bf16, reached):
    figure = training_over_plain(1.04, bf16=bf16)
    assert (figure.value, figure.reached) == (1.04, reached)
    assert ("asks for bf16" in figure.line("f")) != bf16
