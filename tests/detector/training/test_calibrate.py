"""Score 0.5 is put where F1 is best: on the command's labelled frames, whatever the scores were before."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import paper
from detector.__main__ import main
from detector.datasets import read_dataset
from detector.detection.scorer import Scorer
from detector.evaluation.evaluate import evaluate
from detector.evaluation.metrics import Evaluation, MatchedFrame
from detector.model.card import read_card
from detector.model.checkpoint import load_coarse, load_figure_scale, load_weights, save_weights
from detector.model.figure_scale import FigureScale
from detector.training.calibrate import calibrate, fit_scale
from tests.detector.datasets.test_datasets import AMI_ROWS, ami_br
from tests.detector.test_main import IMAGE, dataset


@pytest.fixture
def network(make_network):
    """One that is sure of what it says and finds something at one cell in twenty."""
    network = make_network(seed=5)
    scores = partial(Scorer, network, device="cpu", precision="fp32")
    network.classifier.weight.data *= 3 / scores().logits(IMAGE).std()
    network.classifier.bias.data[1] -= float(np.quantile(scores().logits(IMAGE), 0.95))
    return network


@pytest.fixture
def weights(network, make_network, tmp_path):
    card = {"name": "own", "data": [{"source": "s", "case_names": ["A01"]}]}
    save_weights(network, tmp_path / "own.safetensors", card, coarse=make_network((2,) * 6))
    return tmp_path / "own.safetensors"


def calibrated(folder, weights, out, held_out="A02"):
    return main(["calibrate", str(folder), "--weights", str(weights), "--held-out", held_out, "--out", str(out)])


def test_half_is_then_among_the_best_thresholds_and_nothing_else_changes(network, tmp_path):
    cases = read_dataset(dataset(tmp_path / "mitos", ["A02_00"]))
    before = evaluate(Scorer(network, device="cpu", precision="fp32"), cases)
    figures, said = calibrate(network, cases, device="cpu")
    after = evaluate(Scorer(network, figures=figures, device="cpu", precision="fp32"), cases)
    assert said["f1_at_0.5_before"] == round(before.counts().f1, 4)
    assert after.counts().f1 >= 0.95 * before.max_f1()[0] > 0
    again, _ = calibrate(network, cases, figures, device="cpu")
    assert (again.scale, again.shift) == pytest.approx((figures.scale, figures.shift), abs=0.1)
    (bins,) = said["reliability"].values()
    assert sum(one["detections"] for one in bins) == sum((frame.scores >= 0.2).sum() for frame in after.frames)
    assert sum(one["mitoses"] for one in bins) == sum(frame.hits[frame.scores >= 0.2].sum() for frame in after.frames)


def test_the_command_touches_the_scale_alone_and_says_what_it_did(weights, tmp_path, capsys):
    out = tmp_path / "new" / "out.safetensors"
    assert calibrated(dataset(tmp_path / "mitos", ["A01_00", "A02_00"]), weights, out) == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["calibration"]["on"] == ["A01", "A02"] and card["held_out"][0]["case_names"] == ["A02"]
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == card["calibration"]
    for load in (lambda path: load_weights(path)[0], load_coarse):
        before, after = (load(path).state_dict() for path in (weights, out))
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed <= ({"classifier.bias"} if load is load_coarse else set())
    assert load_figure_scale(weights) == FigureScale() != load_figure_scale(out)
    kept = card["coarse"]["kept"]["calibrated_on"]
    assert kept["at_half"] > 0 and kept["lost_at_half"] == 0


def drawn_source(rng, *, mitoses, others, middle, found=0.9):
    """An evaluation of one source whose mitoses and others have mean logits around `middle`, a case each."""
    means = np.concatenate([rng.normal(middle + 1, 1, mitoses), rng.normal(middle - 2, 1, others)])
    hits = np.arange(len(means)) < mitoses
    return Evaluation([MatchedFrame("c", FigureScale().scores(means), hits, round(mitoses / found))])


def f1_at(evaluation, scale, threshold=0.5):
    return evaluation.rescored(lambda scores: scale.scores(FigureScale().means(scores))).counts(threshold).f1


@given(st.floats(-3, 1), st.floats(-1.5, 1.5), st.integers(0, 99))
@settings(max_examples=20)
def test_half_serves_every_source_however_many_figures_the_others_have(middle, apart, seed):
    rng = np.random.default_rng(seed)
    large = drawn_source(rng, mitoses=400, others=1200, middle=middle)
    small = drawn_source(rng, mitoses=60, others=120, middle=middle + apart)
    scale = fit_scale({"large": large, "small": small}, FigureScale())
    # Slow and obvious: the mean share of the best F1, at every threshold.
    thresholds = np.linspace(-8, 8, 1601)
    shares = [
        np.mean([f1_at(one, FigureScale(1.0, -t)) / one.max_f1()[0] for one in (large, small)]) for t in thresholds
    ]
    half = np.mean([f1_at(one, scale) / one.max_f1()[0] for one in (large, small)])
    assert half >= paper.CALIBRATED_F1 * max(shares) - 0.01
    assert paper.FIGURE_SCALES[0] <= scale.scale <= paper.FIGURE_SCALES[1]


def test_the_steepness_is_the_most_likely_one_for_that_threshold():
    rng = np.random.default_rng(1)
    means = rng.normal(-1, 2, 5_000)
    hits = rng.random(len(means)) < 1 / (1 + np.exp(-0.6 * (means + 1)))
    drawn = Evaluation([MatchedFrame("c", FigureScale().scores(means), hits, int(hits.sum()))])
    found = fit_scale({"s": drawn}, FigureScale())

    def likelihood(scale):  # slow and obvious
        scores = FigureScale(scale, scale * found.shift / found.scale).scores(means)
        return np.log(np.where(hits, scores, 1 - scores)).sum()

    steps = np.arange(0.3, 1.5, 0.01)
    assert found.scale == pytest.approx(steps[np.argmax([likelihood(step) for step in steps])], abs=0.011)


def test_where_nothing_is_found_the_scale_stays():
    nothing = Evaluation([MatchedFrame("c", np.empty(0), np.empty(0, dtype=bool), 3)])
    assert fit_scale({"s": nothing}, FigureScale(0.7, 0.1)) == FigureScale(0.7, 0.1)
    assert fit_scale({}, FigureScale(0.7, 0.1)) == FigureScale(0.7, 0.1)


@pytest.mark.parametrize("pointing", [-9.0, 9.0])
def test_the_coarse_network_points_at_what_is_a_detection_now_and_never_at_less(
    network, make_network, tmp_path, pointing
):
    coarse = make_network((2,) * 6)
    coarse.classifier.bias.data[1] += pointing  # at nothing, or at everything
    network.classifier.bias.data[1] -= 1  # what is detected at 0.5 was not what is worth it
    save_weights(network, tmp_path / "own.safetensors", {}, coarse=coarse)
    out = tmp_path / "out.safetensors"
    assert calibrated(dataset(tmp_path / "mitos", ["A02_00"]), tmp_path / "own.safetensors", out, held_out="") == 0
    assert json.loads(out.with_suffix(".json").read_text())["coarse"]["kept"]["calibrated_on"]["lost_at_half"] == 0
    moved = float((load_coarse(out).classifier.bias[1] - coarse.classifier.bias[1]).detach())
    assert moved == 0 if pointing > 0 else moved > 0


def test_without_held_out_cases_the_card_measures_nothing(weights, tmp_path):
    out = tmp_path / "out.safetensors"
    assert calibrated(dataset(tmp_path / "mitos", ["A01_00", "A02_00"]), weights, out, held_out="") == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["held_out"] == [] and "metrics" not in card


def test_weights_that_learnt_from_all_are_scaled_and_measured_by_the_course_that_did_not(
    weights, make_network, tmp_path
):
    folder, out = dataset(tmp_path / "mitos", ["A01_00", "A02_00"]), tmp_path / "out.safetensors"
    full = tmp_path / "full.safetensors"
    save_weights(make_network(seed=6), full, {"name": "full", "data": [{"source": "s", "case_names": ["A01", "A02"]}]})
    assert calibrated(folder, full, out) == 2  # it knows A02
    assert calibrated(folder, weights, tmp_path / "course.safetensors") == 0
    arguments = ["calibrate", str(folder), "--weights", str(full), "--held-out", "A02", "--out", str(out)]
    assert main([*arguments, "--course", str(weights)]) == 0
    card, course = (read_card(path) for path in (out, tmp_path / "course.safetensors"))
    for key in ("metrics", "metrics_by_source", "held_out"):
        assert card[key] == course[key]
    assert card["measured_by"]["name"] == "own" and card["measured_by"]["sha256"] == read_card(weights)["sha256"]
    assert load_figure_scale(out) == load_figure_scale(tmp_path / "course.safetensors")
    assert all(
        torch.equal(before, after)
        for before, after in zip(load_weights(full)[0].parameters(), load_weights(out)[0].parameters(), strict=True)
    )


def test_what_it_cannot_take_is_said_in_one_sentence(weights, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    folder = dataset(tmp_path / "mitos", ["A01_00", "A02_00"])
    assert calibrated(folder, weights, out, held_out="A01") == 2
    assert "has learnt from A01" in capsys.readouterr().err
    assert calibrated(folder, weights, out, held_out="A7") == 2
    assert "no case is called A7" in capsys.readouterr().err
    patches = ami_br(tmp_path / "patches", AMI_ROWS)
    assert calibrated(patches, weights, out, held_out=read_dataset(patches)[0].name) == 2
    assert "nothing can be judged" in capsys.readouterr().err
    assert not out.exists()
