from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.frames import Case
from detector.split import rotated_cases, split_by_case, validation_cases
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


@given(st.sets(st.text("abc", min_size=1), min_size=2, max_size=12))
def test_over_five_seeds_every_case_is_held_out_once_and_never_all_of_them(names):
    folds = [rotated_cases(names, seed) for seed in range(1, min(5, len(names)) + 1)]
    assert sorted(name for fold in folds for name in fold) == sorted(names)
    assert all(0 < len(fold) < len(names) for fold in folds)
    assert rotated_cases(names, len(folds) + 1) == folds[0]


def test_one_case_alone_cannot_be_held_out():
    with pytest.raises(ValueError, match="two cases are needed"):
        rotated_cases(["A00"], 1)
