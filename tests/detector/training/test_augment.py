from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector import paper
from detector.frames import LabStatistics, cut_plain, lab_statistics, warp
from detector.slide import ArrayFrame
from detector.training.augment import (
    Augmentation,
    affine_matrices,
    augment_patch,
    contrast_transfer,
    draw_variations,
    sharpen,
    stain_matrices,
    stain_scale_shift,
    transform_density,
)
from detector.training.augment_gpu import FramesOnDevice, as_jpeg, blur, transfer_stain
from tests.drawing import draw_dot, draw_glass, draw_hpf, draw_tissue

STILL = Augmentation(shift=0.0, scale=0.0)


PLAIN = Augmentation(contrast_transfer=0, shift=0, scale=0, colour=0)


def cut(image, x, y, augmentation, rng):
    """One patch that is turned, flipped, scaled and shifted, but keeps its colours."""
    still = replace(augmentation, contrast_transfer=0, colour=0)
    return augment_patch(image, draw_variations(np.array([(x, y)]), [lab_statistics([])], [], still, rng), 0)


def middle_of_dot(patch, near=(64.0, 64.0), reach=14):
    """Centre of darkness around a place of a patch, from its top left corner."""
    yy, xx = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    dark = 244.0 - patch[..., 0]
    dark[np.hypot(xx - near[0], yy - near[1]) > reach] = 0
    return np.array([(dark * xx).sum(), (dark * yy).sum()]) / dark.sum()


positions = st.tuples(st.floats(25, 275), st.floats(25, 225))
seeds = st.integers(0, 2**32 - 1)


@given(st.integers(0, 300), st.integers(0, 250))
def test_a_cut_that_varies_nothing_is_the_plain_crop_that_testing_sees(x, y):
    image = draw_tissue(300, 250)
    crop = ArrayFrame(image).read(x - 64, y - 64, 128, 128)
    nothing = np.zeros(1)
    matrix = affine_matrices(
        np.array([(x, y)]), angle=nothing, scale=nothing + 1, flip=nothing + 1, shift=np.zeros((1, 2))
    )
    assert (warp(image, matrix[0]) == crop).all()
    assert (cut_plain(image, x, y) == crop).all()


@given(positions, seeds, st.sampled_from([0.0, 0.1, 0.3]))
def test_a_label_stays_in_the_middle_under_any_rotation_flip_and_scale(position, seed, scale):
    image = draw_glass(300, 250)
    draw_dot(image, *position, 7, (0, 0, 0))
    patch = cut(image, *position, replace(STILL, scale=scale), np.random.default_rng(seed))
    assert np.abs(middle_of_dot(patch) - 64).max() < 1


@given(positions, seeds)
def test_a_label_is_shifted_by_no_more_than_the_jitter(position, seed):
    image = draw_glass(300, 250)
    draw_dot(image, *position, 7, (0, 0, 0))
    patch = cut(image, *position, replace(STILL, shift=4.0), np.random.default_rng(seed))
    assert np.abs(middle_of_dot(patch, reach=18) - 64).max() < 5


def test_patches_are_turned_to_all_sides_and_mirrored():
    # A corner of three dots: the way round from the long arm to the short one tells a mirrored patch.
    image = draw_glass(300, 250)
    for dx, dy in [(0, 0), (40, 0), (0, 25)]:
        draw_dot(image, 150 + dx, 125 + dy, 6, (0, 0, 0))
    angles, mirrored = [], 0
    for seed in range(40):
        patch = cut(image, 150, 125, STILL, np.random.default_rng(seed))
        ring = [(64 + 40 * np.cos(a), 64 + 40 * np.sin(a)) for a in np.radians(range(360))]
        darkness = [244.0 - patch[int(y), int(x), 0] for x, y in ring]
        angle = int(np.argmax(darkness))
        angles.append(angle)
        short = np.radians(angle + 90)
        mirrored += patch[int(64 + 25 * np.sin(short)), int(64 + 25 * np.cos(short)), 0] > 128
    assert len({angle // 90 for angle in angles}) == 4
    assert 10 < mirrored < 30


@given(seeds, st.integers(-10, 310), st.integers(-10, 260))
def test_augmentation_leaves_the_image_alone(seed, x, y):
    image = draw_tissue(300, 250)
    before = image.copy()
    stain = lab_statistics([image])
    augmentation = Augmentation(contrast_transfer=1.0, blur=1.0, jpeg=1.0)
    drawn = draw_variations(np.array([(x, y)]), [stain], [stain], augmentation, np.random.default_rng(seed))
    varied = augment_patch(image, drawn, 0)
    assert (image == before).all()
    assert varied.shape == (128, 128, 3)
    assert varied.dtype == np.uint8
    assert np.abs(varied.astype(float).mean() - warp(image, drawn.matrices[0]).mean()) < 40


@pytest.mark.parametrize(
    "target",
    [
        LabStatistics((170.0, 150.0, 115.0), (22.0, 7.0, 6.0)),
        LabStatistics((205.0, 138.0, 124.0), (9.0, 3.0, 2.5)),
    ],
)
def test_contrast_transfer_moves_the_lab_statistics_of_a_frame_to_those_of_another(target):
    image = draw_tissue(400, 300, mitoses=[(100, 100), (200, 150)])
    source = lab_statistics([image])
    assert abs(source.mean[0] - target.mean[0]) > 5
    moved = lab_statistics([contrast_transfer(image, source, target)])
    assert moved.mean == pytest.approx(target.mean, abs=1.5)
    assert moved.deviation == pytest.approx(target.deviation, abs=1.5)


def test_contrast_transfer_onto_itself_changes_next_to_nothing():
    image = draw_tissue(400, 300)
    stain = lab_statistics([image])
    moved = contrast_transfer(image, stain, stain)
    assert np.abs(moved.astype(int) - image).mean() < 1.5


def test_contrast_transfer_of_a_frame_of_one_colour_only_shifts_it():
    plain = np.full((200, 200, 3), (200, 150, 180), dtype=np.uint8)
    target = LabStatistics((120.0, 135.0, 125.0), (20.0, 5.0, 5.0))
    moved = contrast_transfer(plain, lab_statistics([plain]), target)
    assert (moved == moved[0, 0]).all()
    assert lab_statistics([moved]).mean == pytest.approx(target.mean, abs=1.5)
    flat = contrast_transfer(draw_tissue(200, 200), target, LabStatistics(target.mean, (0.0, 0.0, 0.0)))
    assert lab_statistics([flat]).deviation == pytest.approx((0, 0, 0), abs=0.1)


def test_black_padding_is_left_out_of_the_statistics():
    image = draw_tissue(300, 301)
    padded = np.zeros((301, 500, 3), dtype=np.uint8)
    padded[:, :300] = image
    assert lab_statistics([padded]).mean == pytest.approx(lab_statistics([image]).mean, abs=0.2)
    assert lab_statistics([padded]).deviation == pytest.approx(lab_statistics([image]).deviation, abs=0.2)


def test_the_statistics_of_nothing_are_harmless():
    black = np.zeros((50, 50, 3), dtype=np.uint8)
    assert lab_statistics([black]).deviation == (0.0, 0.0, 0.0)
    contrast_transfer(black, lab_statistics([black]), lab_statistics([draw_tissue(60, 60)]))


OTHER = LabStatistics((170.0, 150.0, 115.0), (22.0, 7.0, 6.0))


def batch_of(frames, augmentation, seed=5, count=12):
    """The same variations carried out at once in torch, and one by one with OpenCV."""
    rng = np.random.default_rng(seed)
    chosen = [frames[i % len(frames)] for i in range(count)]
    xy = rng.uniform(-10, 310, (count, 2))
    drawn = draw_variations(xy, [frame.stain for frame in chosen], [OTHER], augmentation, rng)
    at_once = FramesOnDevice(frames, "cpu").augment_batch(chosen, drawn).numpy()
    one_by_one = np.stack([augment_patch(frame.image, drawn, i) for i, frame in enumerate(chosen)])
    return at_once, one_by_one.astype(float)


@pytest.mark.parametrize(
    ("what", "mean", "high"),
    [({}, 0.3, 4), ({"colour": 0.08}, 0.4, 4), ({"contrast_transfer": 1.0}, 1.0, 8), ({"blur": 1.0}, 0.4, 5),
     ({"jpeg": 1.0}, 1.0, 30), ({"stain": 0.2}, 0.5, 5), ({"gamma": 0.2}, 0.5, 5), ({"sharpen": 1.0}, 0.7, 8)],
)  # fmt: skip
def test_a_batch_at_once_is_what_opencv_makes_of_each_patch(what, mean, high):
    frames = [draw_hpf("A00_00", seed=1), draw_hpf("A01_00", seed=2, width=500, height=200)]
    at_once, one_by_one = batch_of(frames, replace(PLAIN, shift=4.0, scale=0.1, **what))
    difference = np.abs(at_once - one_by_one)
    # OpenCV turns by 32nds of a pixel and restains by tables of bytes; its JPEG enlarges colours in another way.
    assert difference.mean() < mean
    assert np.percentile(difference, 99.9) < high


def test_a_batch_at_once_is_uint8_valued_and_depends_on_nothing_but_its_draws():
    frames = [draw_hpf("A00_00", seed=1)]
    everything = Augmentation(contrast_transfer=0.5, stain=0.2, gamma=0.2, blur=0.5, sharpen=0.5, jpeg=0.5)
    first, again = batch_of(frames, everything)[0], batch_of(frames, everything)[0]
    assert (first == again).all()
    assert (first == first.round()).all()
    assert first.min() >= 0
    assert first.max() <= 255


def test_what_the_batch_does_to_colour_keeps_grey_grey_and_nothing_undone_changes_nothing():
    image = draw_tissue(128, 128)
    patches = torch.from_numpy(image.astype(np.float32))[None]
    same = transfer_stain(patches, torch.ones(1, 3), torch.zeros(1, 3))
    assert (same - patches).abs().max() <= 1
    grey = torch.full((1, 128, 128, 3), 128.0)
    assert (as_jpeg(grey, torch.tensor([50.0])) - grey).abs().max() <= 1
    assert (blur(grey, torch.tensor([1.0])) - grey).abs().max() <= 1


def test_the_amount_of_one_stain_changes_by_its_share_and_the_others_stay():
    amounts = np.array([0.5, 0.3, 0.1])  # of haematoxylin, eosin and the rest, in optical density
    basis = paper.STAIN_VECTORS / np.linalg.norm(paper.STAIN_VECTORS, axis=1, keepdims=True)
    (matrix,) = stain_matrices(np.array([[0.2, 0.0, -0.1]]), np.array([[0.0, 0.05, 0.0]]))
    moved = matrix[:, :3] @ (amounts @ basis) + matrix[:, 3]
    assert moved @ np.linalg.inv(basis) == pytest.approx([0.6, 0.35, 0.09])
    patch = np.round(256 * np.exp(-np.tile(amounts @ basis, (4, 4, 1))) - 1).astype(np.uint8)
    assert transform_density(patch, matrix)[0, 0] == pytest.approx(256 * np.exp(-moved) - 1, abs=1.5)


def test_nothing_is_done_to_stain_and_tone_unless_a_plan_says_so():
    drawn = draw_variations(np.zeros((5, 2)), [OTHER] * 5, [OTHER], Augmentation(), np.random.default_rng(0))
    assert (drawn.density == np.eye(3, 4)).all()
    assert (drawn.gamma == 1).all()
    assert not drawn.sharpen.any()


def test_sharpening_leaves_a_halo_and_flat_colour_as_it_is():
    edge = np.full((20, 20, 3), 200, dtype=np.uint8)
    edge[:, 10:] = 100
    sharp = sharpen(edge, 1.0)
    assert sharp[5, 9, 0] > 210
    assert sharp[5, 10, 0] < 90
    assert (sharp[:, [0, 19]] == edge[:, [0, 19]]).all()


def test_a_stain_change_of_a_frame_of_one_colour_is_a_shift():
    scale, shift = stain_scale_shift(LabStatistics((10.0, 20.0, 30.0), (0.0, 0.0, 0.0)), OTHER)
    assert scale.tolist() == [1, 1, 1]
    assert shift.tolist() == [160, 130, 85]


def test_contrast_is_transferred_from_another_hpf_and_never_from_its_own():
    own, other = lab_statistics([draw_tissue(60, 60)]), OTHER
    transfer, rng = replace(PLAIN, contrast_transfer=1.0), np.random.default_rng(1)
    drawn = draw_variations(np.zeros((200, 2)), [own] * 200, [own, other], transfer, rng)
    assert drawn.stain_transferred.all()
    np.testing.assert_allclose(drawn.stain_shift, np.tile(stain_scale_shift(own, other)[1], (200, 1)))
    assert not draw_variations(np.zeros((9, 2)), [own] * 9, [own, own], transfer, rng).stain_transferred.any()
