from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector import paper
from detector.bench.baselines import glass_at_full_resolution
from detector.detection import windows
from detector.detection.detect import scan
from detector.detection.scorer import Scorer
from detector.detection.windows import glass_windows, map_size, plan_windows
from detector.model.network import mitosis_logit
from detector.slide import ArrayFrame, Frame
from tests.drawing import draw_dot, draw_glass, draw_tissue

BLOCK = paper.GLASS_BLOCK


class BlockFrame(Frame):
    """A frame of which only the colour of its blocks is known: glass, or dark or stained ones."""

    def __init__(self, size, dark):
        self.size = size
        self.mpp = (0.25, 0.25)
        self.dark = dark

    def block_means(self, block):
        assert block == BLOCK
        means = np.where(self.dark[..., None], (170.0, 120.0, 180.0), 250.0)
        means[::2][self.dark[::2]] = 120.0
        return means

    def exact_block_means(self, block, rows, columns):
        return self.block_means(block)[rows, columns]


@st.composite
def frames(draw, longest=6000):
    size = draw(st.tuples(st.integers(1, longest), st.integers(1, longest)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.005, 0.02, 0.1, 1.0]))
    return BlockFrame(size, rng.random((-(-size[1] // BLOCK), -(-size[0] // BLOCK))) < share)


def cells_covered(frame, rectangles):
    """How often each cell of the map is in one of the rectangles."""
    columns, rows = map_size(frame)
    times = np.zeros((rows, columns), dtype=int)
    for r in rectangles:
        assert 0 <= r.m_left < r.m_right <= columns and 0 <= r.m_top < r.m_bottom <= rows
        times[r.m_top : r.m_bottom, r.m_left : r.m_right] += 1
    return times


def test_windows_of_512_px_overlapping_by_120_are_49_cells_side_by_side():
    assert (windows.WINDOW_STEP, windows.WINDOW_CELLS) == (392, 49)
    assert (paper.WINDOW_SIZE - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1 == windows.WINDOW_CELLS


@given(st.tuples(st.integers(1, 6000), st.integers(1, 6000)))
def test_an_image_of_tissue_has_each_cell_in_one_rectangle(size):
    frame = BlockFrame(size, np.ones((-(-size[1] // BLOCK), -(-size[0] // BLOCK)), dtype=bool))
    plan = plan_windows(frame)
    assert (cells_covered(frame, plan.rectangles) == 1).all()
    columns, rows = (-(-cells // 49) for cells in map_size(frame))
    assert (plan.windows_total, len(plan.rectangles)) == (columns * rows, -(-columns // 5) * -(-rows // 5))


@given(frames())
def test_the_cells_of_kept_windows_are_computed_once_and_those_of_glass_never(frame):
    plan, glass = plan_windows(frame), glass_windows(frame)
    columns, rows = map_size(frame)
    expected = ~glass.repeat(49, axis=0).repeat(49, axis=1)[:rows, :columns]
    assert (cells_covered(frame, plan.rectangles) == expected).all()
    assert (plan.windows_total, plan.windows_skipped) == (glass.size, glass.sum())
    assert sum(r.windows for r in plan.rectangles) == (~glass).sum()


@given(frames(longest=3000))
def test_a_window_is_glass_where_no_block_that_it_touches_is_dark(frame):
    glass = glass_windows(frame)
    for row, column in np.ndindex(glass.shape):
        touched = [
            frame.dark[by, bx]
            for by, bx in np.ndindex(frame.dark.shape)
            if row * 392 - 64 < (by + 1) * BLOCK and by * BLOCK < row * 392 - 64 + 512
            if column * 392 - 64 < (bx + 1) * BLOCK and bx * BLOCK < column * 392 - 64 + 512
        ]
        assert touched and glass[row, column] == (not any(touched))


class RoughFrame(ArrayFrame):
    """A frame whose small picture is a few grey levels wrong."""

    def __init__(self, image, errors):
        super().__init__(image)
        self.errors = errors

    def block_means(self, block):
        return super().block_means(block) + self.errors[..., None]


@given(seed=st.integers(0, 10_000), width=st.integers(1, 1500), height=st.integers(1, 1500))
def test_where_a_small_picture_of_the_slide_leaves_a_doubt_pixels_decide(seed, width, height):
    rng = np.random.default_rng(seed)
    blocks = -(-height // BLOCK), -(-width // BLOCK)
    grey = np.where(rng.random(blocks) < 0.01, rng.integers(212, 229, blocks), 240).astype(np.uint8)
    image = grey.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[:height, :width, None].repeat(3, axis=2)
    rough = RoughFrame(np.ascontiguousarray(image), rng.uniform(-5, 5, blocks))
    assert np.array_equal(glass_windows(rough), glass_at_full_resolution(rough))


@given(frames())
def test_the_region_of_a_rectangle_holds_the_patches_of_its_cells_and_no_more(frame):
    for r in plan_windows(frame).rectangles:
        w_x, w_y, width, height = r.region
        assert (w_x, w_y) == (8 * r.m_left - 64, 8 * r.m_top - 64)
        assert (width - 128, height - 128) == (8 * (r.m_right - r.m_left - 1), 8 * (r.m_bottom - r.m_top - 1))
        assert max(width, height) <= 5 * 392 + 120


@given(frames(longest=20_000), st.integers(1, 16))
def test_the_parts_of_a_plan_are_disjoint_and_together_the_whole(frame, count):
    plan = plan_windows(frame)
    parts = [plan.part(index, count) for index in range(count)]
    assert [r for part in parts for r in part.rectangles] == list(plan.rectangles)
    assert sum(part.windows_total for part in parts) == plan.windows_total
    assert sum(part.windows_skipped for part in parts) == plan.windows_skipped
    for part in parts:
        computed = part.windows_total - part.windows_skipped
        assert computed == sum(r.windows for r in part.rectangles)
        assert computed <= (plan.windows_total - plan.windows_skipped) / count + 25


def test_the_map_reaches_both_edges_of_the_image():
    frame = ArrayFrame(draw_glass(800, 807))
    columns, rows = map_size(frame)
    assert 8 * (columns - 1) == 800 and 807 - 8 < 8 * (rows - 1) <= 807


def test_glass_is_skipped_beside_tissue():
    image = draw_glass(1600, 1000)
    image[:, :300] = draw_tissue(300, 1000)
    plan = plan_windows(ArrayFrame(image))
    assert (plan.windows_total, plan.windows_skipped) == (15, 12)
    assert {r.m_left for r in plan.rectangles} == {0}


def test_an_image_of_glass_has_nothing_to_compute():
    plan = plan_windows(ArrayFrame(draw_glass(1000, 900)))
    assert plan.rectangles == () and plan.windows_skipped == plan.windows_total == 9
    assert [plan.part(i, 3).windows_total for i in range(3)] == [9, 0, 0]


def test_one_dark_cell_at_the_rim_of_glass_keeps_its_window():
    image = draw_glass(1000, 900)
    x, y = 992 - 20, 30
    draw_dot(image, x, y, 20)
    assert image.mean() > 220
    (kept,) = plan_windows(ArrayFrame(image)).rectangles
    assert kept.m_left <= x / 8 < kept.m_right and kept.m_top <= y / 8 < kept.m_bottom


@pytest.mark.parametrize("side", [1, 2])
def test_stitched_windows_are_the_map_of_the_whole_image(network, monkeypatch, side):
    monkeypatch.setattr(paper, "RECTANGLE_WINDOWS", side)
    image = draw_tissue(950, 820)
    frame = ArrayFrame(image)
    plan = plan_windows(frame)
    assert len(plan.rectangles) == {1: 9, 2: 4}[side]

    cells = scan(Scorer(network, device="cpu", precision="fp32"), frame, plan, floor=0.0, figures=False)
    stitched = np.full(map_size(frame)[::-1], np.nan, dtype=np.float32)
    stitched[cells.m_xy[:, 1], cells.m_xy[:, 0]] = cells.logits

    padded = np.pad(image, ((64, 64), (64, 64), (0, 0)), mode="symmetric")
    with torch.no_grad():
        whole = mitosis_logit(network(torch.from_numpy(padded).permute(2, 0, 1)[None].float()))[0]
    assert len(cells.m_xy) == stitched.size and whole.std() > 1e-3
    np.testing.assert_allclose(stitched, whole.numpy(), atol=1e-5, rtol=0)
