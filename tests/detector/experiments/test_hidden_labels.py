"""Mining frames: what is stored, what is asked of it afterwards, and how it is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.errors import PlanError
from detector.experiments.hidden_labels import (
    BORDER,
    MinedFrames,
    consensus_row,
    count_matches,
    hide_labels,
    mine_frames,
)
from detector.frames import cases_of
from detector.mine import MinedSample
from tests.drawing import DarkScorer, draw_hpf

CASES = cases_of([draw_hpf("A00_0", mitoses=[(100, 90), (220, 200), (20, 150)]), draw_hpf("A01_0", seed=1)])


def test_each_hidden_label_makes_one_sample_right():
    truths = np.array([(100.0, 100.0), (500.0, 500.0)])
    samples = [MinedSample(x, y, (0.9,) * 8) for x, y in [(110, 100), (90, 100), (500, 529), (300, 300)]]
    assert count_matches(samples, truths, 0.25) == 2
    assert count_matches(samples, truths, 0.5) == 1
    assert count_matches([], truths, 0.25) == 0


def test_samples_are_those_of_the_frames_but_for_their_borders(tmp_path):
    mined = mine_frames(DarkScorer(), "sha", hide_labels(CASES), tmp_path / "mined")
    assert [frame.split("-")[1] for frame in mined.frames] == ["A00", "A00", "A01", "A01"]
    labels = [at for case in CASES for frame in case.frames for at in frame.mitoses if min(at) >= BORDER]
    for sample in mined.samples:
        assert min(np.hypot(x - sample.x, y - sample.y) for x, y in labels) < 8
    assert consensus_row(mined, CASES, 0.5) == {
        "tta_consensus": 0.5, "mined": 4, "judged": 4, "right": 4, "hidden": 5,
    }  # fmt: skip
    assert len(mined.patches) == len({patch.name for patch in mined.patches}) == 4
    assert all(patch.source == "FG-WSI" and not patch.exhaustive for patch in mined.patches)


def test_a_higher_agreement_is_asked_of_the_stored_scores():
    samples = [MinedSample(100, 100, (0.99, 0.7)), MinedSample(160, 150, (0.9, 0.9)), MinedSample(9, 9, (0.5, 0.99))]
    patches = [draw_hpf(str(n)) for n in range(3)]
    mined = MinedFrames(samples, ["drawn-A00-A00_0"] * 2 + ["other-u-u"], patches)
    assert [frame.name for frame in mined.at_least(0.7)] == ["0", "1"]
    assert [frame.name for frame in mined.at_least(0.9)] == ["1"]
    rows = {level: consensus_row(mined, CASES[:1], level) for level in (0.5, 0.7, 0.95)}
    assert [(row["mined"], row["judged"], row["right"]) for row in rows.values()] == [(3, 2, 1), (2, 2, 1), (0, 0, 0)]
    assert {row["hidden"] for row in rows.values()} == {3}


def test_what_was_mined_is_read_again_and_not_by_others(tmp_path):
    hidden = hide_labels(CASES)
    first = mine_frames(DarkScorer(), "sha", hidden, tmp_path / "mined")
    again = mine_frames(None, "sha", hidden, tmp_path / "mined")
    assert [min(one.scores) for one in again.samples] == [min(one.scores) for one in first.samples]
    with pytest.raises(PlanError, match="by other weights or in other frames"):
        mine_frames(None, "another", hidden, tmp_path / "mined")
    with pytest.raises(PlanError, match="by other weights or in other frames"):
        mine_frames(None, "sha", hidden[:1], tmp_path / "mined")


def test_half_of_a_mining_is_done_again(tmp_path):
    class Killed(DarkScorer):
        def logits(self, image):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine_frames(Killed(), "sha", hide_labels(CASES), tmp_path / "mined")
    (tmp_path / "mined.partial/patches").mkdir(parents=True)
    assert len(mine_frames(DarkScorer(), "sha", hide_labels(CASES), tmp_path / "mined").samples) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["mined"]


def test_two_frames_of_one_name_are_refused(tmp_path):
    (frame,) = CASES[1].frames
    with pytest.raises(ValueError, match="one source, case and name"):
        mine_frames(DarkScorer(), "sha", cases_of([frame, replace(frame)]), tmp_path / "mined")
