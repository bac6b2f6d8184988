"""The mean of weights: only of a course, never of what has seen the cases that judge it."""

from __future__ import annotations

import json

import pytest
import torch

from detector.__main__ import main
from detector.errors import WeightsError
from detector.frames import cases_of
from detector.model.checkpoint import load_weights, save_weights
from detector.model.network import ResNet12
from detector.slide.folder import sha256_of
from detector.training.average import average_weights
from tests.detector.test_main import dataset
from tests.drawing import draw_hpf

WIDTHS = (4, 4, 8, 8, 8, 8)
CASES = cases_of([draw_hpf("A04_0", seed=4)])


@pytest.fixture
def course(tmp_path):
    """Weights and those that went on from them."""

    def save(name, **card):
        path = tmp_path / f"{name}.safetensors"
        data = [{"source": "s", "case_names": ["A01"]}]
        save_weights(ResNet12(WIDTHS), path, {"name": name, "plan": {"name": name}, "data": data, **card})
        return path

    first = save("first")
    return first, save("second", parent={"sha256": sha256_of(first), "data": []}), save("stranger")


def test_every_weight_is_the_mean_and_the_card_says_of_what(course, tmp_path):
    first, second, _ = course
    path = average_weights([first, second], CASES, tmp_path / "mean.safetensors")
    mean, card = load_weights(path)
    states = [load_weights(one)[0].state_dict() for one in (first, second)]
    for name, tensor in mean.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2)
    assert [one["sha256"] for one in card["average_of"]] == [sha256_of(first), sha256_of(second)]
    assert [one["plan"] for one in card["average_of"]] == ["first", "second"]
    assert card["metrics"]["mitoses"] == len(CASES[0].frames[0].mitoses)


def test_shares_say_how_much_each_counts(course, tmp_path):
    first, second, _ = course
    out = tmp_path / "mean.safetensors"
    assert main(["average", str(first), str(second), "--shares", "1", "3", "--out", str(out)]) == 0
    mean, card = load_weights(out)
    states = [load_weights(one)[0].state_dict() for one in (first, second)]
    for name, tensor in mean.named_parameters():
        torch.testing.assert_close(tensor.detach(), states[0][name] / 4 + states[1][name] * 3 / 4)
    assert [one["share"] for one in card["average_of"]] == [0.25, 0.75]
    assert card["held_out"] == [] and "metrics" not in card
    for wrong in ([1.0], [1.0, 0.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="as many shares"):
            average_weights([first, second], [], out, shares=wrong)


def test_strangers_other_widths_and_learnt_cases_are_refused(course, tmp_path):
    first, second, stranger = course
    out = tmp_path / "mean.safetensors"
    for wrong in ([first, stranger], [second, first]):
        with pytest.raises(WeightsError, match="did not begin with"):
            average_weights(wrong, CASES, out)
    wide = tmp_path / "wide.safetensors"
    card = {"plan": {"name": "wide"}, "data": [], "parent": {"sha256": sha256_of(first)}}
    save_weights(ResNet12((4, 4, 8, 8, 8, 16)), wide, card)
    with pytest.raises(WeightsError, match="different widths"):
        average_weights([first, wide], CASES, out)
    with pytest.raises(ValueError, match="has learnt from A01"):
        average_weights([first, second], cases_of([draw_hpf("A01_0", seed=1)]), out)
    assert not out.exists()


def test_the_command_judges_on_the_named_cases(course, tmp_path):
    first, second, _ = course
    out = tmp_path / "mean.safetensors"
    folder = dataset(tmp_path / "mitos", ["A02_00", "A03_00"])
    arguments = ["average", first, second, "--dataset", folder, "--held-out", "A02", "--out", out]
    assert main([str(argument) for argument in arguments]) == 0
    assert json.loads(out.with_suffix(".json").read_text())["held_out"][0]["case_names"] == ["A02"]
