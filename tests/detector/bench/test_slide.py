from __future__ import annotations

import sys

import numpy as np

from detector.__main__ import main
from detector.bench.slide import differing
from detector.detection.detect import Detections
from detector.model.checkpoint import save_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12
from detector.slide.drawn import draw_slide


def test_detections_differ_where_only_one_side_has_them_and_surely():
    def detections(rows):
        xy_scores = np.array(rows, dtype=float)
        return Detections(xy_scores[:, :2], xy_scores[:, 2])

    some = detections([(10, 10, 0.9), (100, 10, 0.52), (200, 10, 0.3)])
    others = detections([(10.5, 10, 0.8), (100, 50, 0.7), (200, 10, 0.3)])
    assert differing(some, some) == 0
    assert differing(some, others) == differing(others, some) == 2
    assert differing(some, others, doubt=0.05) == differing(others, some, doubt=0.05) == 1


def test_a_python_without_tiatoolbox_is_said(tmp_path, capfd):
    draw_slide(tmp_path / "slide.tif", size=1024, figures=1)
    weights = tmp_path / "w.safetensors"
    save_weights(ResNet12((2, 2, 2, 2, 2, 2)), weights, {"name": "w"}, figures=FigureScale(1.0, -20.0))
    options = ["--slide", str(tmp_path / "slide.tif"), "--rounds", "1", "--tiatoolbox", sys.executable]
    assert main(["benchmark", "slide", "--weights", str(weights), *options]) == 2
    assert "could not run tiatoolbox" in capfd.readouterr().err
