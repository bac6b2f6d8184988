"""A scanner's shift: found from judged figures, kept in the weights and on the card, applied to its slides alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from detector import paper
from detector.__main__ import main
from detector.detection.scorer import load_scorer
from detector.errors import DataSetError, WeightsError
from detector.model.card import read_card
from detector.model.checkpoint import load_coarse, load_shifts, load_weights, save_weights
from detector.slide.folder import sha256_of
from detector.training.average import average_weights
from detector.training.calibrate_scanner import calibrate_scanner, find_shift
from tests.drawing import draw_tissue, write_pyramid

IMAGE = draw_tissue(400, 360, mitoses=[(100, 90), (220, 200)])
APERIO = "Aperio Image Library v1\n400x360 |MPP = 0.25|ScanScope ID = SS1|AppMag = 40"


def figures(threshold, count=60, seed=0):
    """Figures of which those above a threshold are mitotic."""
    logits = np.random.default_rng(seed).normal(threshold, 1.5, count)
    return logits, logits > threshold


@pytest.fixture
def weights(make_network, tmp_path):
    card = {"name": "own", "cases_learnt": ["A00"]}
    save_weights(make_network(), tmp_path / "own.safetensors", card, coarse=make_network((2,) * 6))
    return tmp_path / "own.safetensors"


def shifted(weights, out, scanner="SS1", shift=-1.5):
    found = {"logit_shift": shift, "mitotic": 20, "non_mitotic": 20, "missed": 1, "f1_before": 0.5, "f1_after": 0.7}
    return calibrate_scanner(weights, scanner, found, out, name="for SS1", cases=["b", "a"], at="2026-11-29T10:00:00")


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 2.5])
def test_half_is_put_where_the_verdicts_divide(threshold):
    found = find_shift(*figures(threshold))
    assert found["logit_shift"] == pytest.approx(-threshold, abs=0.25)
    assert found["f1_after"] >= 0.98
    assert found["f1_before"] <= found["f1_after"]
    assert (found["mitotic"] + found["non_mitotic"], found["missed"]) == (60, 0)


def test_the_threshold_is_the_middle_of_those_with_98_percent_of_the_best_f1():
    logits, mitotic = figures(1.0, seed=3)
    mitotic ^= np.random.default_rng(1).random(60) < 0.1  # verdicts that no threshold can follow
    missed = 4
    best, good = 0.0, {}
    for threshold in logits:
        above = logits >= threshold
        right = (above & mitotic).sum()
        good[threshold] = 2 * right / (above.sum() + mitotic.sum() + missed)
        best = max(best, good[threshold])
    middle = np.median([threshold for threshold, f1 in good.items() if f1 >= paper.CALIBRATED_F1 * best])
    found = find_shift(logits, mitotic, missed=missed)
    assert found["logit_shift"] == pytest.approx(-middle, abs=1e-4)
    assert found["f1_after"] >= round(0.97 * best, 4)


def test_missed_figures_lower_f1_at_every_threshold():
    alone, missed = find_shift(*figures(0.5)), find_shift(*figures(0.5), missed=10)
    assert missed["f1_after"] < alone["f1_after"] and missed["mitotic"] == alone["mitotic"] + 10


def test_f1_before_is_that_of_the_shift_up_to_now():
    logits, mitotic = figures(2.0)
    assert find_shift(logits, mitotic, present=-2.0)["f1_before"] > find_shift(logits, mitotic)["f1_before"]


def test_too_few_or_one_sided_figures_are_refused_in_words():
    logits, mitotic = figures(0.0)
    with pytest.raises(DataSetError, match="there are 29 judged figures"):
        find_shift(logits[:29], mitotic[:29])
    with pytest.raises(DataSetError, match="are mitotic, so no threshold"):
        find_shift(logits, mitotic | True)
    with pytest.raises(DataSetError, match="are not mitotic, so no threshold"):
        find_shift(logits, mitotic & False, missed=5)
    with pytest.raises(DataSetError, match="no finite number"):
        find_shift(np.where(logits > 1, np.inf, logits), mitotic)


def test_the_shift_lies_in_the_file_and_on_the_card_and_the_networks_stay(weights, tmp_path):
    out = shifted(weights, tmp_path / "new" / "out.safetensors")
    assert load_shifts(out) == {"SS1": -1.5} and load_shifts(weights) == {}
    card = read_card(out)
    assert card["name"] == "for SS1" and card["cases_learnt"] == ["A00"] and card["scanners"] == ["SS1"]
    assert card["scanner_shifts"]["SS1"] == {
        "logit_shift": -1.5, "mitotic": 20, "non_mitotic": 20, "missed": 1, "f1_before": 0.5, "f1_after": 0.7,
        "cases": ["a", "b"], "at": "2026-11-29T10:00:00",
    }  # fmt: skip
    for load in (lambda path: load_weights(path)[0], load_coarse):
        before, after = (load(path).state_dict() for path in (weights, out))
        assert all(torch.equal(before[name], after[name]) for name in before)
    hashes = {sha256_of(path) for path in (weights, out, shifted(weights, tmp_path / "o.safetensors", shift=-1.4))}
    assert len(hashes) == 3, "another shift is another version"
    again = shifted(out, tmp_path / "both.safetensors", scanner="Å 2.0/x")
    assert load_shifts(again) == {"SS1": -1.5, "Å 2.0/x": -1.5}
    assert read_card(again)["scanners"] == ["SS1", "Å 2.0/x"]


def test_a_mean_drops_the_shifts(weights, make_network, tmp_path):
    out = shifted(weights, tmp_path / "out.safetensors")
    child = tmp_path / "child.safetensors"
    save_weights(make_network(seed=4), child, {"name": "child", "parent": {"sha256": sha256_of(weights)}})
    card = {**read_card(child), "scanners": ["SS1"]}
    save_weights(make_network(seed=4), child, {**card, "parent": {"sha256": sha256_of(out)}}, shifts={"SS1": 1.0})
    mean = average_weights([out, child], [], tmp_path / "mean.safetensors")
    assert load_shifts(mean) == {} and not {"scanner_shifts", "scanners"} & read_card(mean).keys()


def test_a_shift_that_is_no_number_is_refused(weights, make_network, tmp_path):
    save_weights(make_network(), tmp_path / "nan.safetensors", {}, shifts={"SS1": float("nan")})
    with pytest.raises(WeightsError, match="a shift for SS1 that is no finite number"):
        load_shifts(tmp_path / "nan.safetensors")


def test_a_shifted_scorer_adds_the_shift_to_every_figure_and_only_a_lower_one_keeps_the_cascade(weights):
    scorer = load_scorer(weights, device="cpu", precision="fp32")[0]
    assert scorer.uses_cascade(0.2)
    lower, higher = scorer.adjusted(logit_shift=-0.5), scorer.adjusted(logit_shift=0.5)
    assert lower.uses_cascade(0.2) and not higher.uses_cascade(0.2)
    assert not scorer.adjusted(logit_shift=0.0, cascade=False).uses_cascade(0.2)
    means = np.array([-3.0, 0.5], dtype=np.float32)
    for one, shift in ((lower, -0.5), (higher, 0.5)):
        np.testing.assert_allclose(one.figures.logits(means), scorer.figures.logits(means) + shift, atol=1e-6)
        assert np.array_equal(one.logits(IMAGE), scorer.logits(IMAGE))


def test_the_command_detects_with_the_shift_of_the_slides_scanner(weights, tmp_path, capsys):
    out = shifted(weights, tmp_path / "out.safetensors", shift=2.0)
    aperio = write_pyramid(tmp_path / "a.svs", IMAGE, description=APERIO)
    other = write_pyramid(tmp_path / "b.tif", IMAGE)

    def detected(slide, path, *more):
        options = ["--weights", path, "--device", "cpu", "--precision", "fp32", "--min-score", "0.2", *more]
        assert main(["detect", str(slide), *map(str, options)]) == 0
        return json.loads(capsys.readouterr().out)

    before, after, elsewhere = detected(aperio, weights, "--no-cascade"), detected(aperio, out), detected(other, out)
    assert [one["parameters"]["logit_shift"] for one in (before, after, elsewhere)] == [0, 2.0, 0]
    assert after["parameters"]["scanner_known"] is True and elsewhere["parameters"]["scanner_known"] is False
    assert "scanner_known" not in before["parameters"] and "stain_known" not in after["parameters"]
    assert not after["parameters"]["cascade"], "a shift upwards scores every cell"
    best = max(one["score"] for one in before["detections"])
    odds = best / (1 - best) * np.exp(2.0)
    assert max(one["score"] for one in after["detections"]) == pytest.approx(odds / (1 + odds), abs=1e-3)
