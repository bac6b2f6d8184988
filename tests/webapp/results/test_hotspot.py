"""The hotspot holds the area it is asked for, and the most figures over its grid of places: against brute force."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.results.hotspot import Held, hotspots, in_places_of
from webapp.results.reaches import LIMIT, Reaches, distance, grid_of, reach_of

WIDTH, HEIGHT = 6.0, 5.0
SHAPES = ["circle", "square"]

coordinate = st.one_of(st.integers(0, 10).map(lambda v: v / 2), st.floats(0, 4.99).map(lambda v: round(v, 3)))
figures = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=25)


def ground(shape, area, tissue=None):
    """Reaches over a slide of 6 x 5 mm. tissue: [h, w] in 0..1 over all of it; evaluable everywhere by default."""
    grid = grid_of(WIDTH, HEIGHT, shape, area)
    shares = np.ones(grid[::-1], np.float32)
    if tissue is not None:
        shares = cv2.resize(tissue.astype(np.float32), grid, interpolation=cv2.INTER_AREA)
    return Reaches(shares, (WIDTH / grid[0], HEIGHT / grid[1]), shape, area)


def blobs(seed, share):
    """Tissue in some places, [500, 600]: 0.01 mm a pixel."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(500, 600)).astype(np.float32), (0, 0), 25)
    return noise > np.quantile(noise, 1 - share)


def held(tissue, shape, x, y, reach):
    """Evaluable mm2 in a shape, by points 0.0025 mm apart."""
    axes = [np.arange(at - reach - 0.005, at + reach + 0.005, 0.0025) for at in (x, y)]
    px, py = np.meshgrid(*axes)
    on = (px >= 0) & (py >= 0) & (px < WIDTH) & (py < HEIGHT)
    on[on] = tissue[(py[on] * 100).astype(int), (px[on] * 100).astype(int)]
    return float((on & (distance(np.stack([px - x, py - y], axis=-1), shape) <= reach)).sum()) * 0.0025**2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.25, 0.6, 0.95])
def test_a_place_reaches_until_it_holds_the_area(shape, share):
    tissue = blobs(1, share)
    for area in (0.2, 1.0):
        reaches = ground(shape, area, tissue)
        enough = np.flatnonzero(reaches.held.ravel() >= area * 0.999)
        for place in np.random.default_rng(2).choice(enough, 25):
            x, y = reaches.xy(np.array([place]))[0]
            reach = reaches.reach.ravel()[place]
            assert held(tissue, shape, x, y, reach) == pytest.approx(area, rel=0.02)
            assert reach_of(shape, area) * 0.98 <= reach <= LIMIT * reach_of(shape, area) + 1e-9


@pytest.mark.parametrize("shape", SHAPES)
def test_it_never_grows_beyond_the_limit_and_says_what_it_holds(shape):
    tissue = np.zeros((500, 600), bool)
    tissue[100:130, 100:130] = True  # 0.09 mm2
    tissue[400:480, 400:480] = True  # 0.64 mm2, out of reach of the other
    reaches = ground(shape, 0.2, tissue)
    small, large = hotspots(Held([(1.15, 1.15)], reaches))[0], hotspots(Held([(4.4, 4.4)], reaches))[0]
    assert small.evaluable_mm2 == pytest.approx(0.09, rel=0.03) and small.reach == LIMIT * reach_of(shape, 0.2)
    assert large.evaluable_mm2 == 0.2 and large.reach < 2 * reach_of(shape, 0.2)


def brute_force(xy, reaches, taken=()):
    """The most figures over all places that overlap none that is taken."""
    most = 0
    for place in range(reaches.size):
        reach = reaches.reach.ravel()[place]
        x, y = reaches.xy(np.array([place]))[0]
        if reach == 0 or any(
            distance(np.array([x - t.x, y - t.y]), reaches.shape) < reach + t.reach - 1e-9 for t in taken
        ):
            continue
        most = max(most, sum(distance(np.array([x - fx, y - fy]), reaches.shape) <= reach + 1e-9 for fx, fy in xy))
    return most


@pytest.mark.parametrize("shape", SHAPES)
@given(xy=figures, seed=st.integers(0, 99), share=st.sampled_from([0.3, 0.8, 1.0]))
@settings(max_examples=8, deadline=None)
def test_no_place_of_the_grid_holds_more(shape, xy, seed, share):
    reaches = ground(shape, 3.0, blobs(seed, share))
    found = hotspots(Held(xy, reaches))
    left = np.array(xy)
    for number, place in enumerate(found):
        inside = distance(left - [place.x, place.y], shape) <= place.reach + 1e-9
        assert sorted(np.flatnonzero(inside)) == place.inside.tolist() and place.count == inside.sum()
        assert place.count == brute_force(xy, reaches, found[:number])
    if len(found) < 3:
        assert brute_force(xy, reaches, found) == 0
    for one, two in itertools.combinations(found, 2):
        assert one.count >= two.count and not set(one.inside) & set(two.inside)
        assert distance(np.array([one.x - two.x, one.y - two.y]), shape) >= one.reach + two.reach - 1e-9


@given(xy=figures, more=st.tuples(coordinate, coordinate), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_figure_more_never_lowers_it(xy, more, seed):
    reaches = ground("circle", 1.0, blobs(seed, 0.7))
    before, after = hotspots(Held(xy, reaches)), hotspots(Held([*xy, more], reaches))
    assert sum(place.count for place in before[:1]) <= sum(place.count for place in after[:1])


def test_the_order_of_the_figures_changes_nothing():
    rng = np.random.default_rng(1)
    xy = np.round(rng.uniform(0, (WIDTH, HEIGHT), (40, 2)) * 2) / 2  # many ties
    for shape in SHAPES:
        reaches = ground(shape, 2.0)
        expected = [(p.x, p.y, p.count) for p in hotspots(Held(xy, reaches))]
        for _ in range(5):
            rng.shuffle(xy)
            assert [(p.x, p.y, p.count) for p in hotspots(Held(xy, reaches))] == expected


def test_by_hand():
    # Three figures in a row, 0.9 mm apart: circles of 1 mm2 (radius 0.564) hold two of them, then one.
    xy = [(2.0, 2.0), (2.9, 2.0), (3.8, 2.0), (2.0, 4.0)]
    places = hotspots(Held(xy, ground("circle", 1.0)))
    assert [place.count for place in places] == [2, 1, 1]
    assert (places[0].x, places[0].y) == pytest.approx((2.45, 2.0), abs=0.06)
    assert places[0].reach == pytest.approx(math.sqrt(1 / math.pi))
    assert sorted(place.inside.tolist() for place in places) == [[0, 1], [2], [3]]
    assert hotspots(Held([], ground("circle", 1.0))) == []


def test_fields_that_touch_lie_side_by_side_and_others_anywhere():
    xy = [(1.0, 1.0), (1.1, 1.0), (5.0, 4.0), (1.9, 1.0)]
    apart, together = (hotspots(Held(xy, ground("circle", 0.2)), 10, touching=touching) for touching in (False, True))
    assert [place.count for place in apart] == [2, 1, 1] and [place.count for place in together] == [2]
    near = hotspots(Held([*xy, (1.5, 1.0)], ground("circle", 0.2)), 10, touching=True)
    assert [place.count for place in near] == [3, 1]


def test_a_place_at_the_rim_of_tissue_is_larger_and_one_on_glass_is_none():
    tissue = np.zeros((500, 600), bool)
    tissue[:, :300] = True
    reaches = ground("circle", 1.0, tissue)
    radius = reach_of("circle", 1.0)
    inside, rim, glass = (reaches.reach[len(reaches.reach) // 2, int(x / reaches.cell[0])] for x in (1.5, 2.95, 3.5))
    assert inside == pytest.approx(radius) and rim == pytest.approx(radius * math.sqrt(2), rel=0.08) and glass == 0


def test_empty_fields_beside_the_others_complete_them():
    places = hotspots(Held(np.array([[1.0, 1.0]]), ground("circle", 0.05)), 10, fill=True)
    assert [place.count for place in places] == [1] + [0] * 9
    assert all(place.evaluable_mm2 == pytest.approx(0.05, rel=0.02) for place in places)
    for one, two in itertools.combinations(places, 2):
        assert math.hypot(one.x - two.x, one.y - two.y) >= one.reach + two.reach - 1e-9
    assert max(math.hypot(place.x - 1, place.y - 1) for place in places) < 0.8, "none lies far away"


def test_a_place_that_holds_less_does_not_compete_where_the_rule_asks_for_all():
    shares = np.zeros((30, 40), np.float32)
    shares[:, :20] = 1
    shares[14:16, 36:38] = 1  # an island of 0.04 mm2
    reaches = Reaches(shares, (0.1, 0.1), "circle", 0.5)
    figures = np.array([[1.0, 1.5], [3.65, 1.45], [3.7, 1.5]])
    assert hotspots(Held(figures, reaches))[0].count == 2
    (best, *_) = hotspots(Held(figures, reaches, whole=True))
    assert best.count == 1 and best.evaluable_mm2 == pytest.approx(0.5, rel=0.02)
    assert in_places_of(Held(figures, reaches, whole=True), 1).tolist() == [True, False, False]
