"""The experiment of Table 1 on drawn frames: nothing leaks between its parts, and its table says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.__main__ import main
from detector.errors import PlanError
from detector.experiments.semi_supervised import (
    Split,
    count_matches,
    make_splits,
    parse_split,
    run_experiment,
    write_tiled,
)
from detector.frames import cases_of
from detector.mine import MinedSample
from detector.model.checkpoint import save_weights
from detector.model.network import ResNet12
from detector.slide import open_slide
from detector.training.train import WEIGHTS
from tests.detector.training.test_train import PLAN
from tests.drawing import draw_hpf

NAMES = ["A00", "A01", "A02"]
BESIDE = cases_of([replace(draw_hpf("B00_0", seed=7), source="another")])
CASES = cases_of([draw_hpf(f"{name}_{i}", seed=10 * i + int(name[1:])) for name in NAMES for i in range(2)])


@given(st.sets(st.text("abc", min_size=1), min_size=3, max_size=9))
def test_no_case_is_on_two_sides_and_none_is_left_out(names):
    for split in make_splits(sorted(names), sorted(names)):
        parts = [*split.labelled, *split.unlabelled, split.test]
        assert sorted(parts) == sorted(names)
        assert 0 <= len(split.labelled) - len(split.unlabelled) <= 1


def test_a_test_case_that_is_not_there_and_too_few_cases_are_refused():
    with pytest.raises(ValueError, match="no case is called B"):
        make_splits(NAMES, ["B"])
    with pytest.raises(ValueError, match="three cases"):
        make_splits(NAMES[:2], ["A00"])


def test_a_split_is_written_out_or_refused():
    assert parse_split("A00:A01:A02", NAMES) == Split(("A00",), ("A01",), "A02")
    for text, why in [
        ("A00:A01", "is written as"), ("A00:A01:A02,A01", "is written as"), ("A00:B:A02", "no case is called B"),
        ("A00,A01:A01:A02", "A01 cannot be on two sides"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=why):
            parse_split(text, NAMES)


def test_a_tiled_slide_has_every_mitosis_where_it_says(tmp_path):
    case = CASES[0]
    truths = write_tiled(tmp_path / "a.tif", case)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx((0.25, 0.25))
        whole = slide.read(0, 0, 0, *slide.size)
    assert len(truths) == sum(len(hpf.mitoses) for hpf in case.frames)
    labelled = [(hpf, at) for hpf in case.frames for at in hpf.mitoses]
    for (x, y), (frame, at) in zip(truths, labelled, strict=True):
        there = whole[int(y) - 30 : int(y) + 30, int(x) - 30 : int(x) + 30]
        assert (there == frame.image[int(at[1]) - 30 : int(at[1]) + 30, int(at[0]) - 30 : int(at[0]) + 30]).all()


def test_each_hidden_label_makes_one_sample_right():
    truths = np.array([(100.0, 100.0), (500.0, 500.0)])
    samples = [MinedSample(x, y, (0.9,) * 8) for x, y in [(110, 100), (90, 100), (500, 529), (300, 300)]]
    assert count_matches(samples, truths, 0.25) == 2
    assert count_matches(samples, truths, 0.5) == 1
    assert count_matches([], truths, 0.25) == 0


def test_the_experiment_writes_a_table_and_goes_on_where_it_stopped(tmp_path):
    small = [replace(case, frames=case.frames[:1]) for case in CASES]
    plan = replace(PLAN, iterations=3, learning_rate=1e-3, milestones=(), hard_negatives_at=(2,))
    splits = make_splits(NAMES, ["A02"])
    heard = []
    course = {"tta_consensus": 0.01, "beside": BESIDE, "device": "cpu", "precision": "fp32", "resume": True}
    rows = run_experiment(small, splits, plan, tmp_path, say=heard.append, **course)
    assert rows[0]["labelled"] == ("A00",)
    assert rows[0]["unlabelled"] == ("A01",)
    assert rows[0]["mined"]["hidden"] == sum(len(hpf.mitoses) for hpf in small[1].frames)
    assert rows[0]["T"]["mitoses"] == sum(len(hpf.mitoses) for hpf in small[2].frames)
    cards = [json.loads((tmp_path / part / "weights.json").read_text()) for part in ("T A00", "A02/T+U")]
    assert [[source["case_names"] for source in card["data"]] for card in cards] == [[["B00"], ["A00"]]] * 2
    assert cards[1]["fg_wsi"] == rows[0]["mined"]["mined"]
    said = (tmp_path / "table.md").read_text()
    assert "| A02 | A00 | A01 |" in said
    assert "all test cases together: cannot tell. There are 1 locked cases" in said
    better = rows[0]["T+U"]["max_f1"] > rows[0]["T"]["max_f1"]
    assert rows[0]["promoted"] == ("T+U" if better else "T")
    new = json.loads((tmp_path / "A02" / "detections.json").read_text())
    assert new["model"] == cards[better]["sha256"]
    assert len(new["detections"]) == rows[0]["detections"]
    before = (tmp_path / "T A00" / WEIGHTS).stat().st_mtime_ns
    again = run_experiment(small, splits, plan, tmp_path, say=heard.append, **course)
    assert (tmp_path / "T A00" / WEIGHTS).stat().st_mtime_ns == before
    assert json.dumps(again) == json.dumps(rows)
    with pytest.raises(PlanError, match="at another agreement"):
        run_experiment(small, splits, plan, tmp_path, say=heard.append, **course | {"tta_consensus": 0.02})
    with pytest.raises(PlanError, match="another plan"):
        run_experiment(small, splits, replace(plan, seed=9), tmp_path, say=heard.append, **course)


def test_a_parent_that_knows_a_case_is_refused(tmp_path):
    save_weights(ResNet12(PLAN.widths), tmp_path / "p.safetensors", {"data": [{"source": "s", "case_names": ["A01"]}]})
    course = {"tta_consensus": 0.5, "parent": tmp_path / "p.safetensors"}
    with pytest.raises(ValueError, match="has learnt from A01"):
        run_experiment(CASES, make_splits(NAMES, ["A02"]), PLAN, tmp_path, say=print, **course)


def test_a_case_that_both_learn_from_is_not_judged_on(tmp_path):
    with pytest.raises(ValueError, match="A01 cannot be hidden or judged on"):
        run_experiment(
            CASES, make_splits(NAMES, ["A02"]), PLAN, tmp_path, tta_consensus=0.5, say=print, beside=CASES[1:2]
        )


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["reproduce", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds no data set" in capsys.readouterr().err
