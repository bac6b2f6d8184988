from __future__ import annotations

import numpy as np

from detector.benchmark import greedy_loop, plain_recipe
from detector.detect import Scorer, detect
from detector.nms import suppress
from detector.slide import ArrayFrame
from tests.drawing import draw_tissue


def test_the_plain_recipe_of_the_paper_gives_our_detections(network):
    frame = ArrayFrame(draw_tissue(1100, 900, mitoses=[(300, 300), (500, 700)]))
    ours = detect(Scorer(network, device="cpu", precision="fp32"), frame, min_score=0.2)
    plain = plain_recipe(network, frame, 0.2)
    assert len(ours.xy) > 20
    np.testing.assert_allclose(ours.scores, plain.scores, atol=1e-5)
    # Scores that are equal to rounding may change places.
    apart = np.hypot(*(ours.xy[:, None] - plain.xy[None]).transpose(2, 0, 1))
    assert apart.shape[0] == apart.shape[1]
    assert apart.min(axis=0).max() < 1e-3
    assert apart.min(axis=1).max() < 1e-3


def test_the_plain_loop_keeps_the_points_that_ours_keeps():
    rng = np.random.default_rng(0)
    xy, logits = rng.uniform(0, 1000, (800, 2)), rng.normal(size=800)
    assert (suppress(xy, logits, 30) == greedy_loop(xy, logits, 30)).all()
