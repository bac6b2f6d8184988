from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.frames import Case
from detector.split import split_by_case, validation_cases
from tests.drawing import draw_hpf


def test_one_case_in_five_is_drawn_to_judge_on():
    names = [f"case {i}" for i in range(73)]
    drawn = validation_cases(names, 1)
    assert len(drawn) == 15 and set(drawn) < set(names)
    assert drawn == validation_cases(reversed(names), 1) != validation_cases(names, 2)
    assert [len(validation_cases(names[:n], 1)) for n in (0, 1, 2, 5)] == [0, 0, 1, 1]


@given(st.sets(st.sampled_from("ABCDEF")))
def test_a_case_is_never_on_both_sides_of_a_split(held_out):
    frame = draw_hpf(width=20, height=20, mitoses=[])
    cases = [Case(name, (frame,)) for name in "ABCDEF"]
    train, validation = split_by_case(cases, sorted(held_out))
    assert {case.name for case in validation} == held_out
    assert {case.name for case in train} == set("ABCDEF") - held_out
    assert len(train) + len(validation) == len(cases)


def test_holding_out_a_case_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no case is called A9; there are A0, A1"):
        split_by_case([Case("A0"), Case("A1")], ["A9"])
