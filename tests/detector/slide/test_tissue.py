"""Tissue is told from glass of any colour, and from what else lies on a slide, on drawn overviews."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.slide.masks import mask_of_png, mask_png
from detector.slide.tissue import measure_glass, tissue_mask
from tests.drawing import draw_glass, draw_tissue
from tests.tissue_pictures import TISSUE_PICTURES, tissue_picture


@pytest.mark.parametrize("name", TISSUE_PICTURES)
def test_the_area_of_tissue_is_right(name):
    picture = tissue_picture(name)
    found, truth = tissue_mask(picture.pixels), picture.tissue
    if not truth.any():
        assert found.mean() < 0.005
        return
    assert found.sum() == pytest.approx(truth.sum(), rel=picture.tolerance)
    assert (found & truth).sum() / (found | truth).sum() > 0.93  # and it is the same place


@pytest.mark.parametrize(
    "ink",
    [
        *((40, 60, 160), (50, 70, 170), (20, 30, 110), (30, 35, 80), (30, 120, 70), (25, 25, 25)),
        *((200, 30, 40), (180, 20, 30), (120, 70, 30), (150, 90, 40)),
    ],
)
def test_a_frame_and_letters_in_ink_are_no_tissue(ink):
    picture = draw_glass(900, 700)
    picture[200:500, 250:650] = draw_tissue(400, 300)
    marks = np.zeros((700, 900), np.uint8)
    cv2.rectangle(marks, (180, 130), (720, 570), 1, 9)
    cv2.putText(marks, "A7", (30, 660), cv2.FONT_HERSHEY_SIMPLEX, 3, 1, 12)
    strokes = (picture * (np.array(ink) / 245)).astype(np.uint8)
    picture[marks > 0] = strokes[marks > 0]
    assert tissue_mask(picture).sum() == pytest.approx(400 * 300, rel=0.02)


@given(
    glass=st.tuples(*[st.integers(205, 255)] * 3).filter(lambda rgb: max(rgb) - min(rgb) <= 20),
    left=st.integers(0, 300),
    top=st.integers(0, 200),
)
@settings(max_examples=30, deadline=None)
def test_glass_of_any_colour_changes_nothing(glass, left, top):
    picture = np.empty((400, 500, 3), np.uint8)
    picture[:] = glass
    picture[top : top + 150, left : left + 180] = draw_tissue(180, 150) * (np.array(glass) / 245.0).clip(0, 1)
    assert tissue_mask(picture).sum() == pytest.approx(150 * 180, rel=0.03)


def test_a_frame_without_glass_is_tissue_and_glass_without_tissue_is_none():
    frame, glass = draw_tissue(500, 400), draw_glass(500, 400)
    assert tissue_mask(frame, 0.25).mean() > 0.98 and measure_glass(frame).share == 0
    assert not tissue_mask(glass).any() and measure_glass(glass).share > 0.9
    assert not tissue_mask(np.zeros((400, 500, 3), np.uint8)).any()


def test_holes_and_specks_are_told_by_their_size_on_the_slide():
    picture = draw_glass(600, 400)
    picture[50:350, 50:450] = draw_tissue(400, 300)
    picture[150:180, 150:180] = draw_glass(30, 30)
    picture[200:206, 500:506] = draw_tissue(6, 6)
    for um_per_px, hole, speck in ((2.0, True, False), (8.0, False, True)):
        found = tissue_mask(picture, um_per_px)
        assert (found[165, 165], found[203, 503]) == (hole, speck)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (64, 1)])
def test_the_smallest_pictures_have_a_mask(shape):
    assert tissue_mask(np.full((*shape, 3), 240, np.uint8)).shape == shape


def test_a_mask_is_kept_as_it_is():
    mask = np.random.default_rng(0).random((37, 53)) < 0.4
    assert (mask_of_png(mask_png(mask)) == mask).all()
