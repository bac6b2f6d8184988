from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from detector.__main__ import main
from detector.checkpoint import load_coarse, save_weights
from detector.detect import Scorer
from detector.distil import distil, teach
from detector.errors import DataSetError
from detector.hpf import Case, Hpf, lab_statistics, points
from detector.plans import Plan
from detector.pointing import compare, trust
from tests.detector.test_main import dataset
from tests.drawing import draw_tissue

PLAN = Plan(
    name="tiny", widths=(2, 2, 2, 2, 2, 2), learning_rate_steps=((60, 1e-2),), foreground_per_batch=4,
    background_per_batch=4, average=0.5,
)  # fmt: skip


def frame(name, *, seed, exhaustive=True):
    image = draw_tissue(400, 360, seed=seed)
    return Hpf(name, name, image, points(), points(), 0.25, lab_statistics([image]), "drawn", exhaustive)


@pytest.fixture(scope="module")
def cases():
    return [Case(name, (frame(name, seed=seed),)) for seed, name in enumerate(("A", "B"))]


@pytest.fixture(scope="module")
def fine(make_network, cases):
    """A network that finds something in about one cell of three hundred."""
    network = make_network(seed=5)
    logits = Scorer(network, device="cpu", precision="fp32").logits(cases[0].hpfs[0].image)
    network.classifier.bias.data[1] -= float(np.quantile(logits, 0.997))
    return network


def test_a_coarse_network_learns_what_the_fine_one_says(fine, cases):
    losses = []
    coarse = teach(fine, [case.hpfs[0] for case in cases], PLAN, report=lambda state: losses.append(state["loss"]))
    assert coarse.widths == PLAN.widths and not coarse.training
    assert losses[-1] < losses[0]
    again = teach(fine, [case.hpfs[0] for case in cases], PLAN)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in coarse.state_dict().items())


def test_after_trust_nothing_is_lost_whatever_the_coarse_network_knows(fine, cases, make_network):
    coarse = make_network((2,) * 6, seed=9)
    trust(coarse, fine, cases)
    result = compare(Scorer(fine, coarse=coarse, device="cpu", precision="fp32"), cases)
    assert result.frames == 2 and result.at_half > 0
    assert (result.lost_at_half, result.added) == (0, 0)


def test_a_cascade_that_looks_nowhere_loses_everything_and_says_so(fine, cases, make_network):
    blind = make_network((2,) * 6, seed=9)
    blind.classifier.bias.data[1] -= 1000
    result = compare(Scorer(fine, coarse=blind, device="cpu", precision="fp32"), cases)
    assert result.lost_at_half == result.at_half > 0
    assert result.lost_at_floor == result.at_floor and result.looked_at == 0


def test_weights_with_a_cascade_have_its_measurements_on_the_card(fine, cases, tmp_path):
    save_weights(fine, tmp_path / "fine.safetensors", {"name": "fine", "plan": {}})
    plan = replace(PLAN, learning_rate_steps=((2, 1e-3),))
    out = distil(tmp_path / "fine.safetensors", cases[:1], cases[1:], plan, tmp_path / "out.safetensors", report=print)
    coarse, card = load_coarse(out), json.loads(out.with_suffix(".json").read_text())
    assert coarse is not None and coarse.widths == PLAN.widths
    assert card["name"] == "fine" and card["coarse"]["plan"]["name"] == "tiny"
    assert card["coarse"]["kept"]["data"]["lost_at_half"] == 0
    assert card["coarse"]["kept"]["held_out"]["frames"] == 1


def test_without_a_whole_frame_there_is_nothing_to_learn_from(fine):
    with pytest.raises(DataSetError, match="no whole frame"):
        teach(fine, [frame("patch", seed=1, exhaustive=False)], PLAN)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--held-out", "Z"], "no case is called Z"),
        (["--plan", "nothing"], "there is no plan nothing"),
        (["--weights", "none.safetensors"], "there are no weights at none.safetensors"),
    ],
)
def test_what_distil_cannot_take_is_said_in_one_sentence(arguments, sentence, tmp_path, capsys):
    assert (
        main(["distil", str(dataset(tmp_path, ["A00_01"])), "--out", str(tmp_path / "out.safetensors"), *arguments])
        == 2
    )
    assert sentence in capsys.readouterr().err


def test_one_of_other_widths_begins_anew_and_one_of_the_same_learns_on(fine, cases, make_network, tmp_path):
    plan = replace(PLAN, learning_rate_steps=((1, 1e-3),))
    for widths, goes_on in (((2,) * 6, True), ((3,) * 6, False)):
        weights = tmp_path / "both.safetensors"
        save_weights(fine, weights, {"name": "b", "coarse": {"plan": {"name": "p"}}}, coarse=make_network(widths))
        out = distil(weights, cases[:1], cases[1:], plan, tmp_path / "out.safetensors", report=print)
        coarse, card = load_coarse(out), json.loads(out.with_suffix(".json").read_text())
        assert coarse is not None and coarse.widths == PLAN.widths
        assert card["coarse"]["before"] == ({"name": "p"} if goes_on else None)
