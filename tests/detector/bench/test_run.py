from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from detector.__main__ import main
from detector.bench.baselines import greedy_loop, plain_recipe
from detector.bench.figure import Figure
from detector.bench.parts import training_over_plain
from detector.bench.slide import differing
from detector.datasets import read_dataset
from detector.detection.detect import Detections, detect
from detector.detection.nms import suppress
from detector.detection.scorer import Scorer
from detector.detection.windows import glass_windows
from detector.evaluation.metrics import match
from detector.model.checkpoint import SHIPPED_WEIGHTS, load_coarse, load_weights, save_weights
from detector.model.network import ResNet12
from detector.slide import ArrayFrame, open_slide
from detector.slide.drawn import draw_slide
from tests.drawing import draw_tissue

REAL = Path(os.environ["MITOSCOPE_DATA"]) if os.environ.get("MITOSCOPE_DATA") else None


def test_the_plain_recipe_of_the_paper_gives_our_detections(network):
    frame = ArrayFrame(draw_tissue(1100, 900, mitoses=[(300, 300), (500, 700)]))
    ours = detect(Scorer(network, device="cpu", precision="fp32"), frame, min_score=0.2)
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
    richest = sorted(held_out.hpfs, key=lambda hpf: -len(hpf.mitoses))
    frames = [ArrayFrame(hpf.image[:1250, :1250]) for hpf in richest[:2]]
    with open_slide(REAL / "slides" / "canine_mammary_region.tif") as slide:
        frames.append(ArrayFrame(slide.read(0, 0, 2500, 1250, 1000)))  # from glass over the rim into tissue
    network, _ = load_weights(SHIPPED_WEIGHTS)
    scorer, found = Scorer(network, coarse=load_coarse(SHIPPED_WEIGHTS), device="cpu", precision="fp32"), 0
    for frame in frames:
        ours = detect(scorer, frame, min_score=0.5)
        plain = plain_recipe(network, frame, 0.2, glass_windows(frame)).at_least(0.5)
        found += len(plain.xy)
        assert len(ours.xy) == len(plain.xy) == match(ours.xy, ours.scores, plain.xy, 0.1).sum()
        np.testing.assert_allclose(np.sort(ours.scores), np.sort(plain.scores), atol=1e-4)
    assert found >= 3


def test_the_plain_loop_keeps_the_points_that_ours_keeps():
    rng = np.random.default_rng(0)
    xy, logits = rng.uniform(0, 1000, (800, 2)), rng.normal(size=800)
    assert (suppress(xy, logits, 30) == greedy_loop(xy, logits, 30)).all()


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (Figure(3.2, at_least=3), True),
        (Figure(2.9, at_least=3), False),
        (Figure(1.1, at_most=1.1), True),
        (Figure(1.2, at_most=1.1), False),
        (Figure(5.0), None),
        (Figure("fp32"), None),
    ],
)
def test_a_figure_says_whether_its_target_is_reached(figure, reached):
    assert figure.reached is reached
    assert ("missed" in figure.line("f")) == (reached is False)


@pytest.mark.parametrize(("bf16", "reached"), [(True, False), (False, None)])
def test_the_target_of_training_is_for_bf16_and_without_it_the_line_says_so(bf16, reached):
    figure = training_over_plain(1.04, bf16=bf16)
    assert (figure.value, figure.reached) == (1.04, reached)
    assert ("asks for bf16" in figure.line("f")) != bf16


def test_detections_differ_where_only_one_side_has_them_and_surely():
    def detections(rows):
        xy_scores = np.array(rows, dtype=float)
        return Detections(xy_scores[:, :2], xy_scores[:, 2])

    some = detections([(10, 10, 0.9), (100, 10, 0.52), (200, 10, 0.3)])
    others = detections([(10.5, 10, 0.8), (100, 50, 0.7), (200, 10, 0.3)])
    assert differing(some, some) == 0
    assert differing(some, others) == differing(others, some) == 2
    assert differing(some, others, doubt=0.05) == differing(others, some, doubt=0.05) == 1


def test_patches_and_windows_score_as_the_map_does(tmp_path):
    out = tmp_path / "figures.json"
    assert main(["benchmark", "exactness", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert {name: figure["reached"] for name, figure in figures.items()} == {
        "patch_differs_by": True,
        "window_differs_by": True,
    }


def test_the_command_prints_the_figures_of_a_part_and_writes_them(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert main(["benchmark", "reading", "--size", "1024", "--rounds", "1", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["reading_differs_by"]["value"] == 0
    assert figures["reading_differs_by"]["reached"] is True
    assert "reading_over_openslide" in capsys.readouterr().out


def test_a_part_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["benchmark", "speed"])
    assert stopped.value.code == 2
    assert "speed" in capsys.readouterr().err


def test_a_python_without_tiatoolbox_is_said(tmp_path, capfd):
    draw_slide(tmp_path / "slide.tif", size=1024, figures=1)
    weights = tmp_path / "w.safetensors"
    save_weights(ResNet12((2, 2, 2, 2, 2, 2)), weights, {"name": "w"})
    options = ["--slide", str(tmp_path / "slide.tif"), "--rounds", "1", "--tiatoolbox", sys.executable]
    assert main(["benchmark", "slide", "--weights", str(weights), *options]) == 2
    assert "could not run tiatoolbox" in capfd.readouterr().err
