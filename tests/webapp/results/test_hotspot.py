"""The hotspot is the true maximum: against brute force over every position at which a count can change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.results.hotspot import grid
from webapp.results.hotspot.search import fits, hotspots
from webapp.results.hotspot.shapes import Circle, Square

SLIDE = shapely.box(0, 0, 6, 5)
SHAPES = [Circle(math.pi), Square(4.0)]  # radius 1, side 2
NEAR = 1e-7  # between the slack of the search (1e-9) and anything that a test draws on purpose

# Halves put figures on rims and on top of each other; the other numbers put them anywhere.
coordinate = st.one_of(st.integers(0, 12).map(lambda v: v / 2), st.floats(0, 6).map(lambda v: round(v, 3)))
figures = st.lists(st.tuples(coordinate, coordinate), max_size=12)
corners = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=5)


def polygon(points):
    shape = shapely.make_valid(shapely.Polygon(points), method="structure")
    return shapely.intersection(shape, SLIDE)


def brute_force(xy, shape, area):
    """The most figures in the shape over all positions: those at which two of the things that bind the centre meet."""
    circle = isinstance(shape, Circle)
    reach = shape.reach
    rim = shapely.get_coordinates(shapely.get_parts(area.boundary))
    edges = [
        pair for ring in shapely.get_parts(area.boundary) for pair in itertools.pairwise(shapely.get_coordinates(ring))
    ]
    if circle:
        curves = [("disc", p) for p in [*xy, *map(tuple, rim)]]
        for a, b in edges:
            direction = (b - a) / np.hypot(*(b - a))
            normal = np.array([-direction[1], direction[0]])
            curves += [("line", (a + side * reach * normal, b + side * reach * normal)) for side in (-1, 1)]
    else:
        curves = []
        for p in xy:
            ring = shapely.get_coordinates(shapely.box(p[0] - reach, p[1] - reach, p[0] + reach, p[1] + reach))
            curves += [("line", pair) for pair in itertools.pairwise(ring)]
        for a, b in edges:
            offsets = [np.array([i, j]) * reach for i in (-1, 1) for j in (-1, 1)]
            hull = shapely.MultiPoint([tuple(end + o) for end in (a, b) for o in offsets]).convex_hull
            ring = shapely.get_coordinates(hull)
            curves += [("line", pair) for pair in itertools.pairwise(ring)]
    centres = [*xy]
    for one, two in itertools.combinations(curves, 2):
        centres += meet(one, two, reach)
    for kind, where in curves:
        if kind == "disc":
            centres += [(where[0] + reach, where[1])]
    if not centres:
        return 0
    c = np.array(centres, float)
    c = c[lies(c, shape, area, reach - NEAR)]
    points = np.array(xy, float).reshape(-1, 2)
    d = shape.distance(c[:, 0, None] - points[:, 0], c[:, 1, None] - points[:, 1])
    return int((d <= reach + NEAR).sum(1).max(initial=0)) if len(c) else 0


def lies(c, shape, area, reach):
    if isinstance(shape, Circle):
        inside = shapely.contains_xy(area, c[:, 0], c[:, 1])
        return inside & (shapely.distance(area.boundary, shapely.points(c)) >= reach)
    return shapely.covers(area, shapely.box(c[:, 0] - reach, c[:, 1] - reach, c[:, 0] + reach, c[:, 1] + reach))


def meet(one, two, reach):
    """Where two curves meet: circles of radius `reach`, or straight lines (taken as endless)."""
    if one[0] == "line" and two[0] == "disc":
        one, two = two, one
    if one[0] == two[0] == "disc":
        (ax, ay), (bx, by) = one[1], two[1]
        d = math.hypot(bx - ax, by - ay)
        if not 0 < d <= 2 * reach + 1e-12:
            return []
        h = math.sqrt(max(reach**2 - d * d / 4, 0))
        mx, my, ux, uy = (ax + bx) / 2, (ay + by) / 2, (bx - ax) / d, (by - ay) / d
        return [(mx - h * uy, my + h * ux), (mx + h * uy, my - h * ux)]
    if one[0] == "disc":
        (px, py), (a, b) = one[1], two[1]
        u = np.subtract(b, a) / np.hypot(*np.subtract(b, a))
        along = np.dot(np.subtract((px, py), a), u)
        foot = a + along * u
        gap = math.hypot(px - foot[0], py - foot[1])
        if gap > reach + 1e-12:
            return []
        h = math.sqrt(max(reach**2 - gap**2, 0))
        return [tuple(foot + h * u), tuple(foot - h * u)]
    (a, b), (c, d) = one[1], two[1]
    r, s = np.subtract(b, a), np.subtract(d, c)
    cross = r[0] * s[1] - r[1] * s[0]
    if abs(cross) < 1e-12:
        return []
    t = ((c[0] - a[0]) * s[1] - (c[1] - a[1]) * s[0]) / cross
    return [tuple(np.add(a, t * r))]


def best(xy, shape, area, number=3):
    points = np.array(xy, float).reshape(-1, 2)
    return hotspots(points[:, 0], points[:, 1], shape, area, number)


def check(xy, shape, area):
    if area.is_empty or area.area == 0:
        return
    found = best(xy, shape, area)
    assert (found[0].count if found else 0) == brute_force(xy, shape, area)
    for place in found:
        c = np.array([[place.x, place.y]])
        assert lies(c, shape, area, shape.reach - NEAR).all()
        d = shape.distance(*(np.array(xy)[place.inside] - c[0]).T)
        assert len(d) == place.count and (d <= shape.reach + NEAR).all()
    for one, two in itertools.combinations(found, 2):
        gap = shape.distance(np.array(one.x - two.x), np.array(one.y - two.y))
        assert gap >= 2 * shape.reach - NEAR
        assert one.count >= two.count
        assert not set(one.inside) & set(two.inside)


@pytest.mark.parametrize("shape", SHAPES)
@given(xy=figures)
@settings(max_examples=40, deadline=None)
def test_on_a_whole_slide_nothing_holds_more(shape, xy):
    check(xy, shape, SLIDE)


@pytest.mark.parametrize("shape", SHAPES)
@given(xy=figures, tumours=st.lists(corners, min_size=1, max_size=2), hole=st.none() | corners)
@settings(max_examples=40, deadline=None)
def test_inside_tumour_and_outside_exclusions_nothing_holds_more(shape, xy, tumours, hole):
    area = shapely.union_all([polygon(t) for t in tumours])
    if hole:
        area = shapely.difference(area, polygon(hole))
    area = shapely.MultiPolygon([p for p in shapely.get_parts(area) if p.geom_type == "Polygon"])
    check(xy, shape, area)


@pytest.mark.parametrize("shape", SHAPES)
def test_many_figures_are_narrowed_down_to_the_same_maximum(shape, monkeypatch):
    monkeypatch.setattr(grid, "_WORK", 3_000)  # as if there were too many to search all rims
    for seed in range(4):
        xy = np.random.default_rng(seed).uniform(0, (6, 5), (120, 2))
        assert best(xy, shape, SLIDE)[0].count == brute_force_by_pairs(xy, shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_none_of_the_three_best_of_many_figures_is_missed(shape):
    rng = np.random.default_rng(5)
    clusters = rng.uniform(0, (6, 5), (5, 2))[rng.integers(0, 5, 120)] + rng.normal(0, 0.5, (120, 2))
    xy = np.concatenate([rng.uniform(0, (6, 5), (120, 2)), np.clip(clusters, 0, (6, 5))])
    left, taken = xy, []
    for place in best(xy, shape, SLIDE):
        assert place.count == brute_force_by_pairs(left, shape, taken)
        taken.append((place.x, place.y))
        left = left[shape.distance(*(left - taken[-1]).T) > shape.reach + NEAR]
    assert len(taken) == 3


def brute_force_by_pairs(xy, shape, taken=()):
    """On the slide: all positions at which two of figures, rims of the slide and taken places bind the centre."""
    reach, most = shape.reach, 0
    centres = _circles(xy, reach, taken) if isinstance(shape, Circle) else _squares(xy, reach, taken)
    for cx, cy in centres:
        ok = (cx >= reach - 1e-9) & (cx <= 6 - reach + 1e-9) & (cy >= reach - 1e-9) & (cy <= 5 - reach + 1e-9)
        for x, y in taken:
            ok &= shape.distance(cx - x, cy - y) >= 2 * reach - 1e-9
        near = xy[np.abs(xy[:, 0] - cx[0]) <= 3 * reach]
        d = shape.distance(cx[ok, None] - near[:, 0], cy[ok, None] - near[:, 1])
        most = max(most, (d <= reach + 1e-9).sum(1).max(initial=0))
    return most


def _circles(xy, reach, taken):
    for p in xy:
        others = [(q, reach) for q in xy if 0 < np.hypot(*(q - p)) <= 2 * reach] + [(t, 2 * reach) for t in taken]
        middle, half = [], []
        for q, away in others:
            dx, dy = np.subtract(q, p)
            d = math.hypot(dx, dy)
            middle.append(math.atan2(dy, dx))
            half.append((d * d + reach**2 - away**2) / (2 * d * reach) if d else np.nan)
        for normal, rim in ((0, 6 - reach - p[0]), (math.pi, p[0] - reach), (math.pi / 2, 5 - reach - p[1]),
                            (-math.pi / 2, p[1] - reach)):  # fmt: skip
            middle.append(normal)
            half.append(rim / reach)
        half = np.array(half)
        half[np.abs(half) > 1] = np.nan
        angles = np.concatenate([middle + np.arccos(half), middle - np.arccos(half)])
        angles = angles[np.isfinite(angles)]
        yield p[0] + reach * np.append(np.cos(angles), 0), p[1] + reach * np.append(np.sin(angles), 1)


def _squares(xy, reach, taken):
    def sides(values, rims, places):
        return np.unique([*(v + s * reach for v in values for s in (-1, 1)), *rims,
                          *(t + 2 * s * reach for t in places for s in (-1, 1))])  # fmt: skip

    for cx in sides(xy[:, 0], (reach, 6 - reach), [t[0] for t in taken]):
        strip = xy[np.abs(xy[:, 0] - cx) <= reach + 1e-9]
        cy = sides(strip[:, 1], (reach, 5 - reach), [t[1] for t in taken])
        yield np.full(len(cy), cx), cy


def test_the_order_of_the_figures_changes_nothing():
    rng = np.random.default_rng(1)
    xy = np.round(rng.uniform(0, (6, 5), (40, 2)) * 2) / 2  # many ties
    for shape in SHAPES:
        expected = [(p.x, p.y, p.count) for p in best(xy, shape, SLIDE)]
        for _ in range(5):
            rng.shuffle(xy)
            assert [(p.x, p.y, p.count) for p in best(xy, shape, SLIDE)] == expected


def test_by_hand():
    # Three figures in a row, 0.9 mm apart, hold two circles of 1 mm2 (radius 0.564): two of them, or one.
    xy = [(2.0, 2.0), (2.9, 2.0), (3.8, 2.0), (2.0, 4.0)]
    places = best(xy, Circle(1.0), SLIDE)
    assert [p.count for p in places] == [2, 1, 1]
    assert (places[0].x, places[0].y) == pytest.approx((2.45, 2.0))
    assert sorted(p.inside.tolist() for p in places) == [[0, 1], [2], [3]]


def test_what_does_not_fit_is_nowhere():
    small = shapely.box(0, 0, 1.9, 5)
    for shape in SHAPES:
        assert not fits(shape, small)
        assert best([(1, 1)], shape, small) == []
        assert fits(shape, shapely.box(0, 0, 2, 2))
        assert best([(1.0, 1.5)], shape, shapely.box(0, 0, 2, 2))[0].count == 1
        assert best([], shape, SLIDE) == []
