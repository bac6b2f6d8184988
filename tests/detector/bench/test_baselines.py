from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from detector.bench.baselines import greedy_loop, plain_recipe
from detector.datasets import read_dataset
from detector.detection.detect import find_peaks
from detector.detection.nms import suppress
from detector.detection.scorer import Scorer
from detector.detection.windows import glass_windows
from detector.evaluation.metrics import match
from detector.model.checkpoint import SHIPPED_WEIGHTS, load_coarse, load_weights
from detector.slide import ArrayFrame, open_slide
from tests.drawing import draw_tissue

REAL = Path(os.environ["MITOSCOPE_DATA"]) if os.environ.get("MITOSCOPE_DATA") else None


def test_the_plain_recipe_of_the_paper_gives_our_detections(network):
    frame = ArrayFrame(draw_tissue(1100, 900, mitoses=[(300, 300), (500, 700)]))
    ours = find_peaks(Scorer(network, device="cpu", precision="fp32"), frame, min_score=0.2)
    plain = plain_recipe(network, frame, 0.2, glass_windows(frame))
    assert len(ours.xy) > 20
    np.testing.assert_allclose(ours.scores, plain.scores, atol=1e-5)
    # Scores that are equal to rounding may change places.
    apart = np.hypot(*(ours.xy[:, None] - plain.xy[None]).transpose(2, 0, 1))
    assert apart.shape[0] == apart.shape[1]
    assert apart.min(axis=0).max() < 1e-3
    assert apart.min(axis=1).max() < 1e-3


@pytest.mark.skipif(REAL is None, reason="MITOSCOPE_DATA does not name the folder of real data")
def test_on_real_tissue_the_shipped_detector_finds_what_the_plain_recipe_finds():
    (held_out,) = (case for case in read_dataset(REAL / "mitos12") if case.name == "A04")
    richest = sorted(held_out.frames, key=lambda hpf: -len(hpf.mitoses))
    frames = [ArrayFrame(hpf.image[:1250, :1250]) for hpf in richest[:2]]
    with open_slide(REAL / "slides" / "canine_mammary_region.tif") as slide:
        frames.append(ArrayFrame(slide.read(0, 0, 2500, 1250, 1000)))  # from glass over the rim into tissue
    network, _ = load_weights(SHIPPED_WEIGHTS)
    scorer, found = Scorer(network, coarse=load_coarse(SHIPPED_WEIGHTS), device="cpu", precision="fp32"), 0
    for frame in frames:
        ours = find_peaks(scorer, frame, min_score=0.5)
        plain = plain_recipe(network, frame, 0.2, glass_windows(frame)).at_least(0.5)
        found += len(plain.xy)
        assert len(ours.xy) == len(plain.xy) == match(ours.xy, ours.scores, plain.xy, 0.1).sum()
        np.testing.assert_allclose(np.sort(ours.scores), np.sort(plain.scores), atol=1e-4)
    assert found >= 3


def test_the_plain_loop_keeps_the_points_that_ours_keeps():
    rng = np.random.default_rng(0)
    xy, logits = rng.uniform(0, 1000, (800, 2)), rng.normal(size=800)
    assert (suppress(xy, logits, 30) == greedy_loop(xy, logits, 30)).all()
