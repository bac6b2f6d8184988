from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import paper
from detector.frames import points
from detector.training.patch_sets import bg_context, bg_hard, fg_lab, fg_wsi, sample_bg_rand
from tests.drawing import draw_hpf


@pytest.fixture(scope="module")
def hpf():
    return draw_hpf(width=600, height=500, mitoses=[(100, 90), (220.5, 200.25), (590, 490)])


@given(seed=st.integers(0, 2**32 - 1), min_distance=st.sampled_from([10.0, 40.0, 90.0]), count=st.integers(1, 60))
@settings(max_examples=30)
def test_bg_rand_keeps_its_distance_from_mitoses_and_from_itself(hpf, seed, min_distance, count):
    chosen = sample_bg_rand(hpf, np.random.default_rng(seed), count=count, min_distance=min_distance)
    xy = np.array([(s.x, s.y) for s in chosen])
    assert 0 < len(xy) <= count
    assert ((xy >= 64) & (xy <= (536, 436))).all(), "half a patch from the border"
    everything = np.concatenate([xy, hpf.mitoses])
    apart = np.hypot(*(xy[:, None] - everything[None]).transpose(2, 0, 1))
    apart[np.arange(len(xy)), np.arange(len(xy))] = np.inf
    assert apart.min() > min_distance


def test_bg_rand_fills_the_frame_evenly(hpf):
    chosen = sample_bg_rand(hpf, np.random.default_rng(1), count=100, min_distance=paper.BG_MIN_DISTANCE)
    xy = np.array([(s.x, s.y) for s in chosen])
    assert len(xy) > 40
    quarters, _, _ = np.histogram2d(*xy.T, bins=2, range=[(64, 536), (64, 436)])
    assert quarters.min() > 6
    assert (xy.min(axis=0) < 100).all()
    assert (xy.max(axis=0) > (500, 400)).all()


def test_bg_rand_is_the_same_for_the_same_generator(hpf):
    one, other = (sample_bg_rand(hpf, np.random.default_rng(3), count=20) for _ in range(2))
    assert [(s.x, s.y) for s in one] == [(s.x, s.y) for s in other]


def test_bg_rand_of_a_frame_without_mitoses_and_of_one_without_room():
    empty = draw_hpf(mitoses=[])
    assert len(sample_bg_rand(empty, np.random.default_rng(0), count=5)) == 5
    full = draw_hpf(width=150, height=150, mitoses=[(75, 75)])
    assert sample_bg_rand(full, np.random.default_rng(0), min_distance=60) == []
    assert sample_bg_rand(draw_hpf(width=127, height=300, mitoses=[]), np.random.default_rng(0)) == []


def test_background_beside_the_mitosis_of_a_patch_only_where_its_other_mitoses_are_known():
    patch = draw_hpf(width=128, height=128, mitoses=[(64, 64)], exhaustive=False)
    assert len(bg_context(patch, np.random.default_rng(0))) == paper.CONTEXT_PER_PATCH
    assert bg_context(replace(patch, rim_known=False), np.random.default_rng(0)) == []
    assert bg_context(replace(patch, exhaustive=True), np.random.default_rng(0)) == []


def test_a_look_alike_patch_is_no_mitosis():
    patch = draw_hpf(width=128, height=128, mitoses=[], exhaustive=False)
    assert fg_lab([patch]) == []


def test_bg_hard_matches_within_micrometres():
    frame = replace(draw_hpf(width=600, height=500, mitoses=[(300, 200)]), mpp=0.2456)
    detections = points([(300, 230.5), (300, 230.6)])
    assert [(s.x, s.y) for s in bg_hard(frame, detections)] == [(300, 230.6)]


def test_bg_hard_holds_false_positives_and_no_true_ones(hpf):
    detections = points([(100, 90), (100, 120), (100, 120.5), (130, 91), (400, 300), (220, 205), (537, 300), (300, 63)])
    assert [(s.x, s.y) for s in bg_hard(hpf, detections)] == [(100, 120.5), (130, 91), (400, 300)]
    assert all(s.frame is hpf for s in bg_hard(hpf, detections))


def test_bg_hard_of_a_frame_without_mitoses_is_every_detection_away_from_its_border():
    detections = points([(64, 64), (90, 90), (63.9, 90), (90, 10)])
    assert len(bg_hard(draw_hpf(width=200, height=200, mitoses=[]), detections)) == 2
    assert len(bg_hard(replace(draw_hpf(width=200, height=200, mitoses=[]), exhaustive=False), detections)) == 4
    assert bg_hard(draw_hpf(mitoses=[]), points()) == []


def test_bg_hard_keeps_further_away_from_mitoses_in_frames_that_are_not_labelled_whole(hpf):
    detections = points([(100, 129), (100, 131), (400, 300)])
    assert len(bg_hard(hpf, detections)) == 3
    partly = bg_hard(replace(hpf, exhaustive=False), detections)
    assert [(s.x, s.y) for s in partly] == [(100, 131), (400, 300)]


def test_fg_lab_is_centred_on_the_labels(hpf):
    assert [(s.x, s.y) for s in fg_lab([hpf])] == [(100, 90), (220.5, 200.25), (590, 490)]


def test_fg_lab_and_fg_wsi_take_the_middle_of_a_single_patch():
    patch = draw_hpf(width=128, height=140, mitoses=[(64, 70), (100, 20)], exhaustive=False)
    assert [(s.x, s.y) for s in fg_lab([patch])] == [(64, 70)]
    assert [(s.x, s.y) for s in fg_wsi([patch])] == [(64, 70)]
