from __future__ import annotations

import threading
import time
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector import paper
from detector.detection.scorer import Scorer, score_prefetched, split_in_halves
from detector.errors import SlideError
from tests.drawing import draw_tissue


class CountingScorer:
    """Counts how many images it is given at once."""

    def __init__(self):
        self.now, self.lock = [], threading.Lock()
        self.peak = self.total = 0

    def score(self, image):
        with self.lock:
            self.now.append(image)
            self.total += 1
            self.peak = max(self.peak, len(self.now))
        time.sleep(0.01)
        with self.lock:
            self.now.pop()
        return np.float32(image[0, 0, 0])


@pytest.mark.parametrize(("lanes", "readers"), [(1, 1), (1, 8), (2, 1), (3, 2)])
def test_images_are_scored_in_their_order_and_in_no_more_lanes_than_there_are(lanes, readers):
    scorer, ahead = CountingScorer(), []

    def read(number):
        ahead.append(number)
        return np.full((1, 1, 3), number, dtype=np.uint8)

    done = score_prefetched([partial(read, number) for number in range(20)], scorer.score, lanes=lanes, readers=readers)
    assert next(done) == 0
    assert len(ahead) <= lanes + readers + 1, "no more is read than can be scored soon"
    assert list(done) == list(range(1, 20))
    assert scorer.peak == lanes


def test_where_nobody_asks_for_more_what_has_been_read_is_not_scored():
    scorer = CountingScorer()
    done = score_prefetched([partial(np.ones, (1, 1, 3))] * 20, scorer.score, readers=10)
    next(done)
    done.close()
    assert scorer.total < 12, "twelve were on their way; how many are begun before the word gets through is chance"


def test_what_a_read_raises_is_raised_in_its_turn_and_the_threads_are_given_back():
    def broken():
        raise SlideError("It cannot be read.", None)

    before, done = (
        torch.get_num_threads(),
        score_prefetched([lambda: np.ones((1, 1, 3)), broken], CountingScorer().score, lanes=2),
    )
    assert next(done) == 1
    with pytest.raises(SlideError):
        next(done)
    assert torch.get_num_threads() == before


def test_the_score_is_the_softmax_probability_of_mitosis(network):
    image = draw_tissue(160, 144)
    with torch.no_grad():
        expected = network(torch.from_numpy(image).permute(2, 0, 1)[None].float()).softmax(dim=1)[0, 1]
    logits = Scorer(network, device="cpu", precision="fp32").logits(image)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, atol=1e-5)


def test_scores_in_bf16_are_within_a_twentieth_of_those_in_fp32(network):
    image = draw_tissue(300, 300, mitoses=[(150, 150)])
    fp32, bf16 = (Scorer(network, device="cpu", precision=p).logits(image).astype(float) for p in ("fp32", "bf16"))
    np.testing.assert_allclose(1 / (1 + np.exp(-bf16)), 1 / (1 + np.exp(-fp32)), atol=0.05)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_an_image_that_does_not_fit_the_memory_is_done_in_halves(network, monkeypatch, error):
    scorer = Scorer(network, device="cpu", precision="fp32")
    image = draw_tissue(900, 1300, seed=4)
    whole, forward, sizes = scorer.logits(image), scorer._forward, []

    def small_device(network, part):
        sizes.append(part.shape[1:3])
        if part.shape[1] * part.shape[2] > 400_000:
            raise error("CUDA out of memory")
        return forward(network, part)

    monkeypatch.setattr(scorer, "_forward", small_device)
    assert np.allclose(scorer.logits(image), whole, atol=1e-4)
    assert sizes[0] == (1300, 900)
    assert sum(height * width <= 400_000 for height, width in sizes) == 4

    def no_device(network, part):
        raise error("CUDA out of memory")

    monkeypatch.setattr(scorer, "_forward", no_device)
    with pytest.raises(error):
        scorer.logits(image)


def test_a_fault_that_is_not_of_memory_is_not_tried_again(network, monkeypatch):
    scorer, calls = Scorer(network, device="cpu", precision="fp32"), []

    def broken(network, part):
        calls.append(part)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(scorer, "_forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        scorer.logits(draw_tissue(400, 400))
    assert len(calls) == 1


@given(side=st.integers(136, 900), axis=st.sampled_from([0, 1]))
def test_halves_share_no_cell_and_leave_out_none(side, axis):
    shape = (side, 128, 3) if axis == 0 else (128, side, 3)
    parts = split_in_halves(np.zeros(shape, dtype=np.uint8), axis)
    cells = [(part.shape[axis] - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1 for part in parts]
    assert min(cells) >= 1
    assert sum(cells) == (side - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1
