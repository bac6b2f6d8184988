"""Score 0.5 is put where F1 is best: on the command's labelled frames, whatever the scores were before."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch

from detector.__main__ import main
from detector.datasets import read_dataset
from detector.detection.scorer import Scorer
from detector.evaluation.evaluate import evaluate
from detector.model.checkpoint import load_coarse, load_weights, save_weights
from detector.training.calibrate import calibrate
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
    said = calibrate(network, cases, device="cpu")
    after = evaluate(Scorer(network, device="cpu", precision="fp32"), cases)
    best = max(counts.f1 for _, counts in before.curve())
    assert said["f1_at_0.5_before"] == round(before.counts().f1, 4)
    assert after.counts().f1 >= 0.95 * best > 0
    assert calibrate(network, cases, device="cpu")["logit_shift"] == pytest.approx(0, abs=0.1)


def test_the_command_touches_no_more_than_two_biases_and_says_what_it_did(weights, tmp_path, capsys):
    out = tmp_path / "new" / "out.safetensors"
    assert calibrated(dataset(tmp_path / "mitos", ["A01_00", "A02_00"]), weights, out) == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["calibration"]["on"] == ["A01", "A02"] and card["held_out"][0]["case_names"] == ["A02"]
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == card["calibration"]
    for load in (lambda path: load_weights(path)[0], load_coarse):
        before, after = (load(path).state_dict() for path in (weights, out))
        assert {name for name in before if not torch.equal(before[name], after[name])} <= {"classifier.bias"}
    kept = card["coarse"]["kept"]["calibrated_on"]
    assert kept["at_half"] > 0 and kept["lost_at_half"] == 0


@pytest.mark.parametrize("pointing", [-9.0, 9.0])
def test_the_coarse_network_points_at_what_is_a_detection_now_and_never_at_less(
    network, make_network, tmp_path, pointing
):
    coarse = make_network((2,) * 6)
    coarse.classifier.bias.data[1] += pointing  # at nothing, or at everything
    network.classifier.bias.data[1] -= 2  # what is detected at 0.5 was not what is worth it
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
