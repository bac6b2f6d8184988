"""Where figures are counted: inside tumour regions, whatever way their outline was drawn."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from webapp.annotations.evaluable import _pixels_in
from webapp.annotations.models import Region
from webapp.annotations.roi import region_of_interest, roi_contains
from webapp.slides.models import Slide

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "polygons.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
@pytest.mark.parametrize("backwards", [False, True])
def test_all_loops_of_a_region_count_here_as_on_the_page(case, backwards):
    polygon = [[x + 20, y + 20] for x, y in case["polygon"]][:: -1 if backwards else 1]
    roi = region_of_interest(Slide(width=40, height=40), [Region(kind=Region.Kind.TUMOUR, polygon=polygon)])
    for name, wanted in (("inside", True), ("outside", False)):
        assert roi_contains(roi, np.array(case[name], dtype=float) + 20).tolist() == [wanted] * len(case[name])


@given(st.lists(st.tuples(st.floats(-40, 240), st.floats(-40, 140)), min_size=3, max_size=9))
def test_the_pixels_of_polygons_are_those_whose_middle_lies_inside(corners):
    shape = shapely.make_valid(shapely.Polygon(corners), method="structure")
    inside = _pixels_in(shape, (20, 40), (200, 100))
    for row, column in itertools.product(range(20), range(40)):
        middle = shapely.Point((column + 0.5) * 5, (row + 0.5) * 5)
        if shape.boundary.distance(middle) > 1e-6:
            assert inside[row, column] == shape.contains(middle)
