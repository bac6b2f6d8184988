from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.slide import ArrayFrame, WorkingFrame, open_slide
from tests.drawing import ArraySlide, draw_dot, draw_glass, draw_tissue, write_pyramid

NOISE = np.random.default_rng(0).integers(0, 256, (420, 520, 3), dtype=np.uint8)
some_mpp = st.sampled_from([0.05, 0.1, 0.125, 0.2, 0.23, 0.2456, 0.25, 0.2600, 0.3333, 0.499, 0.97, 2.0])


@st.composite
def regions(draw, size, beyond=300):
    """(x, y, width, height) inside of the frame, across its edge or outside of it."""
    x, y = (draw(st.integers(-beyond, side + beyond)) for side in size)
    return x, y, draw(st.integers(1, 200)), draw(st.integers(1, 200))


@given(mpp=st.tuples(some_mpp, some_mpp), downsamples=st.sampled_from([(1,), (1, 2, 4), (1, 3)]), data=st.data())
def test_a_pixel_is_the_same_in_whatever_region_it_is_read(mpp, downsamples, data):
    frame = WorkingFrame(ArraySlide(NOISE[:201, :303], downsamples=downsamples), mpp)
    x, y, width, height = data.draw(regions(frame.size))
    dx, dy = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = frame.read(x, y, width, height)
    assert region.shape == (height, width, 3)
    assert (frame.read(x + dx, y + dy, 1, 1)[0, 0] == region[dy, dx]).all()
    assert (frame.read(x + dx, y + dy, width - dx, height - dy) == region[dy:, dx:]).all()


@given(data=st.data(), side=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_outside_of_the_image_it_is_mirrored_at_its_edge(data, side):
    width, height = side
    image = NOISE[:height, :width]
    x, y, columns, rows = data.draw(regions(side, beyond=150))
    padded = np.pad(image, ((700, 700), (700, 700), (0, 0)), mode="symmetric")
    expected = padded[700 + y : 700 + y + rows, 700 + x : 700 + x + columns]
    assert (ArrayFrame(image).read(x, y, columns, rows) == expected).all()
    assert (WorkingFrame(ArraySlide(image), (0.25, 0.25)).read(x, y, columns, rows) == expected).all()


@pytest.mark.parametrize(
    ("mpp", "size"),
    [
        ((0.25, 0.25), (520, 420)),
        ((0.2427, 0.2573), (520, 420)),
        ((0.2423, 0.25), (504, 420)),
        ((0.25, 0.2577), (520, 433)),
        ((0.5, 0.5), (1040, 840)),
        ((0.125, 0.25), (260, 420)),
    ],
)
def test_a_slide_within_3_percent_of_the_working_resolution_is_read_as_it_is(mpp, size):
    frame = WorkingFrame(ArraySlide(NOISE, downsamples=(1, 2)), mpp)
    assert frame.size == size
    as_it_is = size == (520, 420)
    assert frame.mpp == (mpp if as_it_is else (0.25, 0.25))
    assert as_it_is == (frame.read(0, 0, 100, 90) == NOISE[:90, :100])[..., 0].all()


@pytest.mark.parametrize(("mpp", "downsamples"), [(0.125, (1, 2)), (0.0625, (1, 2, 4)), (0.0833, (1, 3))])
def test_a_level_that_has_the_working_resolution_is_read_as_it_is(mpp, downsamples):
    side = 480
    slide = ArraySlide(NOISE[:360, :side], downsamples=downsamples)
    frame = WorkingFrame(slide, (0.25 / downsamples[-1],) * 2)
    level = len(downsamples) - 1
    assert (frame.read(0, 0, *frame.size) == slide.read(level, 0, 0, *slide.level_sizes[level])).all()


def test_the_half_pixel_that_a_level_lacks_repeats_its_edge():
    slide = ArraySlide(NOISE[:351, :303], downsamples=(1, 2))
    frame, (l_width, l_height) = WorkingFrame(slide, (0.125, 0.125)), slide.level_sizes[1]
    assert (frame.size, (l_width, l_height)) == ((152, 176), (151, 175))
    level = slide.read(1, 0, 0, l_width, l_height)
    assert (frame.read(0, 0, *frame.size) == np.pad(level, ((0, 1), (0, 1), (0, 0)), mode="edge")).all()
    assert (frame.read(151, 175, 1, 1) == level[-1, -1]).all()
    assert (frame.exact_block_means(151, slice(0, 1), slice(1, 2)) == level[:151, -1].mean(axis=0)).all()


@pytest.mark.parametrize("mpp", [0.1, 0.125, 0.2, 0.4, 0.5, 1.0])
@pytest.mark.parametrize("downsamples", [(1,), (1, 2, 4)])
def test_a_position_times_the_scale_is_its_position_on_level_0(mpp, downsamples):
    image = draw_glass(600, 500)
    draw_dot(image, 371, 203, 24, (0, 0, 0))
    frame = WorkingFrame(ArraySlide(image, downsamples=downsamples), (mpp, mpp))
    dark = 244.0 - frame.read(0, 0, *frame.size)[..., 0]
    middle = [(dark.sum(axis=axis) * (np.arange(frame.size[axis]) + 0.5)).sum() / dark.sum() for axis in (0, 1)]
    assert middle * frame.scale == pytest.approx((371, 203), abs=0.6)


@pytest.mark.parametrize("mpp", [0.25, 0.125, 0.1, 0.5])
@pytest.mark.parametrize("downsamples", [(1,), (1, 2, 4)])
@pytest.mark.parametrize("block", [16, 64])
def test_block_means_are_those_of_the_pixels(mpp, downsamples, block):
    image = draw_tissue(700, 530, mitoses=[(60, 70), (400, 300)])
    frame = WorkingFrame(ArraySlide(image, downsamples=downsamples), (mpp, mpp))
    pixels = frame.read(0, 0, *frame.size)
    means = frame.block_means(block)
    assert means.shape == (-(-frame.size[1] // block), -(-frame.size[0] // block), 3)
    for row, column in np.ndindex(frame.size[1] // block, frame.size[0] // block):
        expected = pixels[row * block : (row + 1) * block, column * block : (column + 1) * block].mean(axis=(0, 1))
        assert means[row, column] == pytest.approx(expected, abs=12)


def test_a_block_smaller_than_a_pixel_has_the_colour_of_that_pixel():
    image = NOISE[:5, :7]
    frame = WorkingFrame(ArraySlide(image), (20.0, 20.0))
    assert frame.size == (560, 400)
    pixel = np.minimum((np.arange(18) * 32 / 80).astype(int), 6), np.minimum((np.arange(13) * 32 / 80).astype(int), 4)
    assert (frame.block_means(32) == image[pixel[1]][:, pixel[0]]).all()


def test_the_blocks_of_a_level_of_rounded_size_do_not_drift():
    """By halves, 1,606 px become 803, 401 and 200; 1,606 / 200 would be 8.03."""
    image = np.zeros((64, 1606, 3), dtype=np.uint8)
    image[:, 1568:1600] = 200
    means = WorkingFrame(ArraySlide(image, downsamples=(1, 2, 4, 8)), (0.25, 0.25)).block_means(32)
    assert means.shape == (2, 51, 3)
    assert (means[:, 49] == 200).all()
    assert (means[:, :49] == 0).all()


@pytest.mark.parametrize("block", [16, 64])
def test_exact_block_means_are_those_of_the_pixels(block):
    frame = WorkingFrame(ArraySlide(NOISE, downsamples=(1, 2)), (0.4, 0.3))
    pixels = frame.read(0, 0, *frame.size)
    rows, columns = slice(2, -(-frame.size[1] // block)), slice(1, -(-frame.size[0] // block))
    means = frame.exact_block_means(block, rows, columns)
    for row, column in np.ndindex(means.shape[:2]):
        y, x = (row + 2) * block, (column + 1) * block
        assert means[row, column] == pytest.approx(pixels[y : y + block, x : x + block].mean(axis=(0, 1)))


def test_block_means_of_a_tall_image_are_read_in_strips():
    image = np.zeros((2500, 90, 3), dtype=np.uint8) + (np.arange(2500) // 10).astype(np.uint8)[:, None, None]
    frame = WorkingFrame(ArraySlide(image, downsamples=(1, 2)), (0.5, 0.4))
    means = frame.block_means(64)
    middles = (np.arange(len(means)) * 64 + 32) * frame.scale[1]
    assert means[:-1, :, 0] == pytest.approx(middles[:-1, None].repeat(3, axis=1) / 10, abs=1)


@given(st.integers(1, 400), st.integers(1, 400), some_mpp, st.sampled_from([(1,), (1, 2, 4)]))
def test_block_means_cover_images_of_any_size(width, height, mpp, downsamples):
    image = np.full((max(height, 4), max(width, 4), 3), 77, dtype=np.uint8)
    frame = WorkingFrame(ArraySlide(image, downsamples=downsamples), (mpp, mpp))
    means = frame.block_means(64)
    assert means.shape == (-(-frame.size[1] // 64), -(-frame.size[0] // 64), 3)
    assert (means == 77).all()


def test_a_pyramid_read_by_openslide_is_the_same_frame_as_in_memory(tmp_path):
    image = draw_tissue(600, 480, mitoses=[(300, 200)])
    with open_slide(write_pyramid(tmp_path / "slide.tif", image, mpp=0.1)) as slide:
        read, memory = (
            WorkingFrame(slide, slide.mpp),
            WorkingFrame(ArraySlide(image, downsamples=(1, 2, 4)), (0.1, 0.1)),
        )
        assert slide.level_sizes == ((600, 480), (300, 240), (150, 120))
        for region in [(0, 0, 240, 192), (37, 41, 80, 90), (-64, -64, 300, 300)]:
            assert (read.read(*region) == memory.read(*region)).all()
        assert read.block_means(64) == pytest.approx(memory.block_means(64))
