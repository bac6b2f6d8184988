from __future__ import annotations

import threading
import time
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import paper
from detector.detection.detect import Cancelled, Cells, detect, place, scan
from detector.detection.scorer import Scorer, halves, score_ahead
from detector.detection.windows import plan_windows
from detector.errors import SlideError
from detector.slide import ArrayFrame, WorkingFrame, open_slide
from tests.drawing import ArraySlide, DarkScorer, draw_dot, draw_glass, draw_tissue, write_pyramid

ISLANDS = np.array([(0, 0), (1500, 100), (300, 1300), (2000, 1700)])
ON_ISLAND = np.array([(60, 80), (250.5, 100), (640, 90.25), (130, 300), (420, 330), (80, 520), (350, 510), (610, 540)])
MITOSES = (ISLANDS[:, None] + ON_ISLAND[None]).reshape(-1, 2)


@pytest.fixture(scope="module")
def islands():
    """Islands of tissue on glass, so that a plan has many rectangles, each with mitoses."""
    image = draw_glass(2700, 2300)
    for seed, (x, y) in enumerate(ISLANDS):
        image[y : y + 600, x : x + 700] = draw_tissue(700, 600, mitoses=ON_ISLAND, seed=seed)
    return ArrayFrame(image)


def same_cells(one, other):
    return np.array_equal(one.m_xy, other.m_xy) and np.array_equal(one.logits, other.logits)


def same(one, other):
    return np.array_equal(one.xy, other.xy) and np.array_equal(one.scores, other.scores)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
def test_detections_do_not_depend_on_the_number_of_shards(islands, count):
    plan = plan_windows(islands)
    parts = [scan(DarkScorer(), islands, plan.part(index, count), floor=0.2) for index in range(count)]
    shuffled = [parts[index] for index in np.random.default_rng(count).permutation(count)]
    found = place(Cells.joined(shuffled), islands).at_least(0.5)
    assert len(plan.rectangles) > 3
    assert len(found.xy) > 20
    assert same(found, detect(DarkScorer(), islands))


@given(floor=st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.4]), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_a_lower_floor_neither_moves_nor_removes_detections(floor, seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :50].reshape(2, -1)
    logits = rng.normal(-2, 2, rows.size).astype(np.float32)
    frame = ArrayFrame(np.zeros((320, 400, 3), dtype=np.uint8))
    low = place(Cells(np.stack([columns, rows], axis=1).astype(np.int32), logits), frame)
    high = detect_from(rows, columns, logits, frame, floor)
    assert len(high.xy) > 0 and same(low.at_least(0.5), high)


def detect_from(rows, columns, logits, frame, floor):
    """Detections from 0.5 up, of cells stored down to a floor (at most the storage floor, as in `detect`)."""
    keep = 1 / (1 + np.exp(-logits)) >= min(floor, paper.STORED_SCORE_FLOOR)
    cells = Cells(np.stack([columns[keep], rows[keep]], axis=1).astype(np.int32), logits[keep])
    return place(cells, frame).at_least(0.5)


def test_the_mitoses_of_a_slide_are_found_where_they_are(islands):
    found = detect(DarkScorer(), islands)
    apart = np.hypot(*(MITOSES[:, None] - found.xy[None]).transpose(2, 0, 1))
    assert len(found.xy) == len(MITOSES)
    assert apart.min(axis=1).max() < 3


def test_a_lower_min_score_gives_the_same_detections_and_more(islands):
    all_of_them, half = detect(DarkScorer(), islands, min_score=0.01), detect(DarkScorer(), islands)
    assert len(all_of_them.xy) > len(half.xy) > 20
    assert same(all_of_them.at_least(0.5), half)
    assert half.scores.min() >= 0.5 and (np.diff(half.scores) <= 0).all()


def test_detections_are_the_nms_radius_apart_before_they_are_placed():
    frame = ArrayFrame(draw_tissue(700, 600))
    for radius in (30, 50):
        xy = detect(DarkScorer(), frame, min_score=0.0, nms_radius=radius * 0.25).xy
        apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(xy))
        # A peak may be placed up to the refinement radius away from its cell.
        assert radius - 2 * paper.REFINE_RADIUS < apart.min() < radius + 10
        assert len(xy) > 700 * 600 / (3.5 * radius**2)


@given(st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=10)
def test_tiny_images_are_scored_to_their_edges(network, width, height):
    frame = ArrayFrame(draw_tissue(width, height))
    found = detect(Scorer(network, device="cpu", precision="fp32"), frame, min_score=0.0)
    assert len(found.xy) >= 1
    assert (found.xy >= 0).all() and (found.xy <= (width, height)).all()


def test_a_mitosis_fills_an_image_of_20_x_30_px():
    image = draw_tissue(20, 30, mitoses=[(10, 15)])
    found = detect(DarkScorer(), ArrayFrame(image))
    assert len(found.xy) == 1 and np.hypot(*(found.xy[0] - (10, 15))) < 4


@pytest.mark.parametrize("corner", [(0, 0), (500, 0), (0, 431), (500, 431)])
def test_a_mitosis_in_the_corner_of_the_image_is_found(corner):
    image = draw_tissue(500, 431)
    draw_dot(image, *corner, 14)
    found = detect(DarkScorer(), ArrayFrame(image))
    assert len(found.xy) == 1 and np.hypot(*(found.xy[0] - corner)) < 11


@pytest.mark.parametrize(
    ("mpp", "downsamples"),
    [
        ((0.25, 0.25), (1,)),
        ((0.2456, 0.2456), (1,)),
        ((0.5, 0.5), (1,)),
        ((0.125, 0.125), (1, 2, 4)),
        ((0.25, 0.5), (1,)),
    ],
)
def test_positions_are_level_0_pixels_whatever_the_resolution(mpp, downsamples):
    um = np.array([(40.0, 30.0), (75.25, 44.5), (30.5, 90.75), (99.0, 98.0)])
    size = np.round(130 / np.array(mpp)).astype(int)
    image = draw_tissue(*size.tolist())
    # A round cell is drawn as an ellipse where pixels are not square.
    yy, xx = np.mgrid[: size[1], : size[0]] + 0.5
    for x, y in um:
        image[np.hypot(xx * mpp[0] - x, yy * mpp[1] - y) < 3] = (58, 30, 92)
    found = detect(DarkScorer(), WorkingFrame(ArraySlide(image, downsamples=downsamples), mpp))
    assert len(found.xy) == len(um)
    for x, y in um:
        assert np.hypot(*(found.xy * mpp - (x, y)).T).min() < 0.5


def test_progress_counts_to_the_number_of_windows(islands):
    seen = []
    detect(DarkScorer(), islands, progress=seen.append)
    plan = plan_windows(islands)
    assert 0 < plan.windows_skipped < plan.windows_total
    assert seen == sorted(seen) and seen[-1] == plan.windows_total
    assert len(set(seen)) >= len(plan.rectangles)


def test_progress_is_told_of_an_image_that_is_all_glass():
    seen = []
    found = detect(DarkScorer(), ArrayFrame(draw_glass(1000, 900)), progress=seen.append)
    assert len(found.xy) == 0 and seen == [9]


def test_progress_may_stop_the_scan(islands):
    def stop(done):
        raise Cancelled

    with pytest.raises(Cancelled):
        detect(DarkScorer(), islands, progress=stop)


class CountingScorer(DarkScorer):
    """Counts how many images it is given at once."""

    def __init__(self, lanes):
        self.most, self.now, self.lock = lanes, [], threading.Lock()
        self.peak = self.total = 0

    def lanes(self, floor):
        return self.most

    def logits_from(self, image, floor):
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
    scorer, ahead = CountingScorer(lanes), []

    def read(number):
        ahead.append(number)
        return np.full((1, 1, 3), number, dtype=np.uint8)

    done = score_ahead(scorer, [partial(read, number) for number in range(20)], 0.5, readers=readers)
    assert next(done) == 0
    assert len(ahead) <= lanes + readers + 1, "no more is read than can be scored soon"
    assert list(done) == list(range(1, 20))
    assert scorer.peak == lanes


def test_where_nobody_asks_for_more_what_has_been_read_is_not_scored():
    scorer = CountingScorer(1)
    done = score_ahead(scorer, [partial(np.ones, (1, 1, 3))] * 20, 0.5, readers=10)
    next(done)
    done.close()
    assert scorer.total < 12, "twelve were on their way; how many are begun before the word gets through is chance"


def test_what_a_read_raises_is_raised_in_its_turn_and_the_threads_are_given_back():
    def broken():
        raise SlideError("It cannot be read.", None)

    before, done = torch.get_num_threads(), score_ahead(CountingScorer(2), [lambda: np.ones((1, 1, 3)), broken], 0.5)
    assert next(done) == 1
    with pytest.raises(SlideError):
        next(done)
    assert torch.get_num_threads() == before


def test_a_slide_is_scored_without_a_warning(network, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "RECTANGLE_WINDOWS", 1)
    path = write_pyramid(tmp_path / "slide.tif", draw_tissue(1300, 1300), mpp=0.25, downsamples=(1,))
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(), open_slide(path) as slide:
            warnings.simplefilter("error")
            detect(Scorer(network, device="cpu", precision="fp32"), WorkingFrame(slide, slide.mpp))
    finally:
        torch.set_warn_always(False)


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
    parts = halves(np.zeros(shape, dtype=np.uint8), axis)
    cells = [(part.shape[axis] - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1 for part in parts]
    assert min(cells) >= 1
    assert sum(cells) == (side - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1


@pytest.mark.parametrize("readers", [1, 3, 64])
def test_the_number_of_readers_changes_nothing(islands, readers):
    plan = plan_windows(islands)
    assert same_cells(
        scan(DarkScorer(), islands, plan, floor=0.2), scan(DarkScorer(), islands, plan, floor=0.2, readers=readers)
    )


def test_no_cells_give_no_detections():
    found = place(Cells.joined([]), ArrayFrame(draw_tissue(130, 130)))
    assert found.xy.shape == (0, 2) and found.scores.shape == (0,)
