"""Where figures are counted: inside tumour regions, whatever way their outline was drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from webapp.annotations.models import Region
from webapp.results.roi import region_of_interest, roi_contains
from webapp.slides.models import Slide

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "polygons.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
@pytest.mark.parametrize("backwards", [False, True])
def test_all_loops_of_a_region_count_here_as_on_the_page(case, backwards):
    polygon = [[x + 20, y + 20] for x, y in case["polygon"]][:: -1 if backwards else 1]
    roi = region_of_interest(Slide(width=40, height=40), [Region(kind=Region.Kind.TUMOUR, polygon=polygon)])
    for name, wanted in (("inside", True), ("outside", False)):
        assert roi_contains(roi, np.array(case[name], dtype=float) + 20).tolist() == [wanted] * len(case[name])
