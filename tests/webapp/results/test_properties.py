"""What holds on every slide: of verdicts, regions, and the area that a hotspot holds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.annotations.evaluable import Evaluable
from webapp.results.count import CountBuilder, Figures
from webapp.results.question import Question
from webapp.results.reaches import LIMIT, reach_of
from webapp.results.rules import Rule

UM = 4000  # the slide is as wide and as high, and has 1 um a pixel
AREA = 0.5
RULE = Rule("by-hand", 1, "", "", area_mm2=AREA, counts=(2, 4))

coordinate = st.integers(0, UM - 1).map(float)
some_figures = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=30, unique=True)
corners = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=6, unique=True)
tissues = st.tuples(st.integers(0, 99), st.sampled_from([0.3, 0.7, 1.0]))
shapes = st.sampled_from(["circle", "square"])


def evaluable(roi, tissue):
    """A slide with tissue in some places: (seed, share of it)."""
    seed, share = tissue
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(256, 256)).astype(np.float32), (0, 0), 12)
    return Evaluable(roi, noise >= np.quantile(noise, 1 - share), (UM, UM), (1.0, 1.0))


def value_of(area, xy, shape, ruled_mm2=AREA):
    xy = np.array(xy, float).reshape(-1, 2)
    xy = xy[area.contains(xy)]
    return CountBuilder(area, Question(0.5, ruled_mm2, shape, RULE)).value(Figures(xy, np.zeros(len(xy), bool)))


@settings(max_examples=40, deadline=None)
@given(some_figures, st.tuples(coordinate, coordinate), tissues, shapes)
def test_a_mitosis_more_never_lowers_count_hotspot_or_score(xy, more, tissue, shape):
    area = evaluable(shapely.box(0, 0, UM, UM), tissue)
    before, after = (value_of(area, some, shape) for some in (xy, [*xy, more]))
    assert after.count >= before.count and after.score.value >= before.score.value
    assert sum(one.count for one in after.hotspots[:1]) >= sum(one.count for one in before.hotspots[:1])


@settings(max_examples=40, deadline=None)
@given(some_figures, corners, corners, tissues, shapes)
def test_a_smaller_region_never_raises_the_count_nor_does_an_exclusion(xy, tumour, cut, tissue, shape):
    whole, cut = (shapely.MultiPoint(points).convex_hull.buffer(50) for points in (tumour, cut))
    large, small = (evaluable(roi.intersection(shapely.box(0, 0, UM, UM)), tissue) for roi in (whole, whole - cut))
    assert value_of(small, xy, shape).count <= value_of(large, xy, shape).count


@settings(max_examples=40, deadline=None)
@given(some_figures, corners, tissues, st.sampled_from(["circle", "square", "fields"]))
def test_a_hotspot_holds_figures_of_the_evaluable_area_alone_and_the_area_of_the_rule(xy, tumour, tissue, shape):
    roi = shapely.MultiPoint(tumour).convex_hull.buffer(300).intersection(shapely.box(0, 0, UM, UM))
    area = evaluable(roi, tissue)
    value = value_of(area, xy, shape)
    everywhere = np.array(xy, float)
    for hotspot in value.hotspots:
        held = hotspot.holds(everywhere, np.array([0.001, 0.001])) & area.contains(everywhere)
        assert hotspot.count == held.sum() <= value.count
        if shape != "fields" and area.mm2 >= AREA:
            limited = hotspot.reach_mm == pytest.approx(LIMIT * reach_of(shape, AREA))
            assert hotspot.evaluable_mm2 == pytest.approx(AREA, rel=0.02) or (limited and hotspot.evaluable_mm2 < AREA)
