from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import paper
from detector.datasets import read_dataset
from detector.detection.cascade import _alike, _grown, _size, rescore_regions
from detector.detection.cascade_recall import measure_recall, score_frames
from detector.detection.detect import find_peaks, scan
from detector.detection.scorer import Scorer, load_scorer, logit
from detector.detection.windows import plan_windows
from detector.model.checkpoint import SHIPPED_WEIGHTS, load_coarse, load_weights, save_weights
from detector.slide import ArrayFrame
from detector.slide.folder import sha256_of
from tests.drawing import DarkScorer, draw_tissue

FLOOR = logit(paper.STORED_SCORE_FLOOR)
REACH = 4  # cells of 8 px that lie within the 30 px of suppression, rounded up


def score(stack):
    return np.stack([DarkScorer().logits(image) for image in stack])


def neighbourhood(cells):
    """Cells within `REACH` of the given ones, the slow way."""
    wide = np.zeros_like(cells)
    for row, column in np.argwhere(cells):
        wide[max(row - REACH, 0) : row + REACH + 1, max(column - REACH, 0) : column + REACH + 1] = True
    return wide


@given(seed=st.integers(0, 10_000), width=st.integers(128, 700), height=st.integers(128, 700))
@settings(max_examples=25)
def test_what_is_found_is_looked_at_as_far_as_suppression_reaches(seed, width, height):
    rng = np.random.default_rng(seed)
    image = draw_tissue(width, height, mitoses=rng.uniform(0, (width, height), (rng.integers(0, 9), 2)), seed=seed)
    every = DarkScorer().logits(image)
    promising = (every >= FLOOR) & (rng.random(every.shape) < 0.3) | (rng.random(every.shape) < 0.001)
    some = rescore_regions(image, promising, FLOOR, score)
    looked = np.isfinite(some)
    assert np.array_equal(some[looked], every[looked])
    assert looked[promising | neighbourhood(looked & (every >= FLOOR))].all()


def test_nothing_promising_costs_nothing():
    def never(_):
        raise AssertionError("looked closer for nothing")

    assert not np.isfinite(rescore_regions(draw_tissue(300, 300), np.zeros((22, 22), bool), FLOOR, never)).any()


def test_where_everything_is_promising_the_image_is_scored_once():
    image, sizes = draw_tissue(400, 300), []

    def watched(stack):
        sizes.append(stack.shape)
        return score(stack)

    promising = np.zeros((22, 35), bool)
    promising[::3, ::3] = True
    assert np.isfinite(rescore_regions(image, promising, FLOOR, watched)).all()
    assert sizes == [(1, 296, 400, 3)]  # all that lies under the 22 x 35 cells


@pytest.fixture
def pair(make_network):
    """A fine network that finds something at one cell in a thousand, and a coarse one that points at one in 500."""
    fine, coarse = make_network(), make_network((2,) * 6, seed=3)
    for network, share in ((fine, 0.001), (coarse, 0.002)):
        logits = Scorer(network, device="cpu", precision="fp32").logits(draw_tissue(600, 600, seed=2))
        network.classifier.bias.data[1] -= float(np.quantile(logits, 1 - share))
    return fine, coarse


def test_the_cascade_scores_as_the_fine_network_where_it_looks(pair):
    fine, coarse = pair
    image = draw_tissue(600, 600, seed=2)
    scorer = Scorer(fine, coarse=coarse, device="cpu", precision="fp32")
    every, some = scorer.logits(image), scorer.cascade_logits(image, 0.5)
    looked = np.isfinite(some)
    assert 0 < looked.mean() < 1
    np.testing.assert_allclose(some[looked], every[looked], atol=1e-4)
    assert scorer.uses_cascade(0.1) and not scorer.uses_cascade(0.09)
    assert np.array_equal(scorer.cascade_logits(image, 0.09), every)


def test_both_networks_travel_in_one_file(pair, tmp_path):
    fine, coarse = pair
    path, alone = tmp_path / "both.safetensors", tmp_path / "alone.safetensors"
    save_weights(fine, path, {"name": "both"}, coarse=coarse)
    save_weights(fine, alone, {"name": "alone"})
    again = load_coarse(path)
    assert again is not None and again.widths == coarse.widths and load_coarse(alone) is None
    assert sha256_of(path) != sha256_of(alone)
    image = draw_tissue(500, 400)
    for one, other in ((again, coarse), (load_weights(path)[0], fine)):
        logits = [Scorer(network, device="cpu", precision="fp32").logits(image) for network in (one, other)]
        assert np.array_equal(*logits)
    assert load_scorer(path, device="cpu")[0].uses_cascade(0.5)
    assert not load_scorer(path, device="cpu", cascade=False)[0].uses_cascade(0.5)
    assert not load_scorer(alone, device="cpu")[0].uses_cascade(0.5)


def test_a_scan_below_the_least_peak_leaves_nothing_out(pair):
    fine, coarse = pair
    frame = ArrayFrame(draw_tissue(500, 400))
    with_it = find_peaks(Scorer(fine, coarse=coarse, device="cpu", precision="fp32"), frame, min_score=0.01)
    without = find_peaks(Scorer(fine, device="cpu", precision="fp32"), frame, min_score=0.01)
    assert np.array_equal(with_it.xy, without.xy) and np.array_equal(with_it.scores, without.scores)


def test_side_by_side_the_same_is_found_as_one_after_another(pair, monkeypatch):
    monkeypatch.setattr(paper, "RECTANGLE_WINDOWS", 1)
    fine, coarse = pair
    frame = ArrayFrame(draw_tissue(1700, 1200, seed=4))
    scorer = Scorer(fine, coarse=coarse, device="cpu", precision="fp32")
    torch.set_num_threads(2)
    try:
        assert scorer.concurrency(0.1) == 2
        assert scorer.concurrency(0.09) == 1  # every cell is scored below the least peak
        both = scan(scorer, frame, plan_windows(frame), figures=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert scorer.concurrency(0.2) == 1
    one = scan(scorer, frame, plan_windows(frame), figures=False)
    assert len(one.m_xy) > 10
    assert np.array_equal(one.m_xy, both.m_xy)
    np.testing.assert_allclose(one.logits, both.logits, atol=1e-5)


@pytest.mark.skipif(not os.environ.get("MITOSCOPE_DATA"), reason="MITOSCOPE_DATA does not name the folder of real data")
def test_on_real_frames_the_shipped_cascade_detects_what_its_fine_network_detects():
    cases = read_dataset(Path(os.environ["MITOSCOPE_DATA"]) / "mitos12")
    held_out = [replace(case, frames=case.frames[1:4]) for case in cases if case.name == "A04"]
    fine = load_weights(SHIPPED_WEIGHTS)[0]
    scorer = Scorer(fine, coarse=load_coarse(SHIPPED_WEIGHTS), device="cpu", precision="fp32")
    result = measure_recall(scorer, score_frames(fine, held_out))
    assert result.frames == 3 and result.at_half > 10
    assert (result.lost_at_half, result.added) == (0, 0)
    assert result.looked_at < 0.25


@given(st.integers(1, 300), st.data())
def test_boxes_grow_to_few_sizes_and_stay_on_the_map(most, data):
    start = data.draw(st.integers(0, most - 1))
    cells = slice(start, data.draw(st.integers(start + 1, most)))
    grown = _grown(cells, most)
    assert 0 <= grown.start <= cells.start and cells.stop <= grown.stop <= most
    size, wanted = grown.stop - grown.start, cells.stop - cells.start
    assert size == most or size in {factor << power for factor in (1, 3) for power in range(9)}
    assert size <= 1.5 * wanted


@given(st.lists(st.sampled_from([1, 2, 3, 40]), max_size=60))
def test_boxes_of_one_size_come_in_powers_of_two(sizes):
    boxes = [(slice(i, i + size), slice(0, size)) for i, size in enumerate(sizes)]
    groups = list(_alike(boxes))
    assert sorted(box[0].start for group in groups for box in group) == list(range(len(boxes)))
    for group in groups:
        assert len(set(map(_size, group))) == 1
        assert len(group) & (len(group) - 1) == 0
