from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import paper
from detector.detection.detect import Cancelled, Cells, detect, find_peaks, place, scan
from detector.detection.scorer import Scorer
from detector.detection.windows import plan_windows
from detector.model.figure_scale import FigureScale
from detector.slide import ArrayFrame, WorkingFrame, open_slide
from tests.drawing import ArraySlide, DarkScorer, draw_dot, draw_glass, draw_tissue, write_pyramid

ISLANDS = np.array([(0, 0), (1500, 100), (300, 1300), (2000, 1700)])
ON_ISLAND = np.array([(60, 80), (250.5, 100), (640, 90.25), (130, 300), (420, 330), (80, 520), (350, 510), (610, 540)])
UNLIKELY = FigureScale(1.0, -2.0)  # what an untrained network sees at every cell is not turned
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
    parts = [scan(DarkScorer(), islands, plan.part(index, count)) for index in range(count)]
    shuffled = [parts[index] for index in np.random.default_rng(count).permutation(count)]
    found = place(Cells.concatenate(shuffled), islands).at_least(0.5)
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


@given(seed=st.integers(0, 99), spread=st.floats(0.5, 4))
@settings(max_examples=25)
def test_no_two_detections_are_within_the_radius_of_suppression(seed, spread):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:41, :51].reshape(2, -1)  # the last ones lie beyond the frame
    logits = rng.normal(0, spread, rows.size).astype(np.float32)
    cells = Cells(np.stack([columns, rows], axis=1).astype(np.int32), logits)
    found = place(cells, ArrayFrame(np.zeros((322, 403, 3), dtype=np.uint8)))
    apart = np.hypot(*(found.xy[:, None] - found.xy[None]).transpose(2, 0, 1))
    assert apart[np.triu_indices(len(found.xy), 1)].min() > paper.NMS_RADIUS
    assert (found.scores[:-1] >= found.scores[1:]).all()
    assert (found.xy <= (403, 322)).all()


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
    for find in (detect, find_peaks):
        all_of_them, half = find(DarkScorer(), islands, min_score=0.01), find(DarkScorer(), islands)
        assert len(all_of_them.xy) >= len(half.xy) > 20
        assert same(all_of_them.at_least(0.5), half)
        assert half.scores.min() >= 0.5 and (np.diff(half.scores) <= 0).all()


def test_detections_are_the_nms_radius_apart_before_they_are_placed():
    frame = ArrayFrame(draw_tissue(700, 600))
    for radius in (30, 50):
        xy = find_peaks(DarkScorer(), frame, min_score=0.0, radius=radius * 0.25).xy
        apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(xy))
        # A peak may be placed up to the refinement radius away from its cell.
        assert radius - 2 * paper.REFINE_RADIUS < apart.min() < radius + 10
        assert len(xy) > 700 * 600 / (3.5 * radius**2)


@given(st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=10)
def test_tiny_images_are_scored_to_their_edges(network, width, height):
    frame = ArrayFrame(draw_tissue(width, height))
    found = find_peaks(Scorer(network, device="cpu", precision="fp32"), frame, min_score=0.0)
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


def test_a_slide_is_scored_without_a_warning(network, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "RECTANGLE_WINDOWS", 1)
    path = write_pyramid(tmp_path / "slide.tif", draw_tissue(1300, 1300), mpp=0.25, downsamples=(1,))
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(), open_slide(path) as slide:
            warnings.simplefilter("error")
            scorer = Scorer(network, figures=UNLIKELY, device="cpu", precision="fp32")
            detect(scorer, WorkingFrame(slide, slide.mpp))
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("readers", [1, 3, 64])
def test_the_number_of_readers_changes_nothing(islands, readers):
    plan = plan_windows(islands)
    assert same_cells(scan(DarkScorer(), islands, plan), scan(DarkScorer(), islands, plan, readers=readers))


def test_no_cells_give_no_detections():
    found = place(Cells.concatenate([]), ArrayFrame(draw_tissue(130, 130)))
    assert found.xy.shape == (0, 2) and found.scores.shape == (0,)
