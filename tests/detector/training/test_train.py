from __future__ import annotations

import csv
import json
import shutil
import signal
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from detector.errors import DataSetError, PlanError, WeightsError
from detector.frames import Case, LabStatistics, cases_of
from detector.model.card import read_card, refuse_training_cases
from detector.model.checkpoint import load_coarse, load_figure_scale, load_shifts, load_weights, save_weights
from detector.model.network import ResNet12
from detector.model.stains import stain_range
from detector.slide.folder import sha256_of
from detector.training.plan import Plan
from detector.training.train import is_trained, train_final_model, train_initial_model
from tests.drawing import draw_hpf

PLAN = Plan(
    name="tiny",
    iterations=9,
    learning_rate=3e-3,
    milestones=((6, 1e-3),),
    hard_negatives_at=(4,),
    hard_share=0.5,
    foreground_per_batch=2,
    background_per_batch=6,
    ema_decay=0.8,
    widths=(4, 4, 6, 6, 8, 8),
    evaluate_every=6,
    checkpoint_every=3,
)
pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")
CPU = {"device": "cpu", "precision": "fp32"}

TRAIN = cases_of([draw_hpf("A00_00", seed=1), draw_hpf("A01_00", seed=2, mitoses=[(150, 150), (60, 200), (290, 20)])])
HELD_OUT = cases_of([draw_hpf("A02_00", seed=3)])


def train(out, plan=PLAN, cases=TRAIN, **options):
    return train_initial_model(cases, HELD_OUT, plan, out, **{**CPU, **options})


@contextmanager
def strike(at, what):
    """Does something right after the network has seen the batch of the `at`-th iteration from now."""
    count, forward = 0, ResNet12.forward

    def struck(self, x):
        nonlocal count
        logits = forward(self, x)
        count += self.training
        if self.training and count == at:
            what()
        return logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResNet12, "forward", struck)
        yield


def tensors(path):
    """The weights of a file by name. Its bytes may differ: safetensors writes the metadata in any order."""
    return {name: tensor.numpy().tobytes() for name, tensor in load_weights(path)[0].state_dict().items()}


def power_cut():
    raise RuntimeError("power cut")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize("at", [1, 5, 8])
@pytest.mark.parametrize(("what", "error"), [(ctrl_c, KeyboardInterrupt), (power_cut, RuntimeError)])
def test_an_interrupted_training_goes_on_to_the_weights_of_an_uninterrupted_one(
    tmp_path, uninterrupted, at, what, error
):
    with strike(at, what), pytest.raises(error):
        train(tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()
    rest = []
    with strike(1, lambda: rest.append("begun")):
        again = train(tmp_path, resume=True)
    assert rest == ["begun"]
    assert tensors(again) == tensors(uninterrupted)


def test_ctrl_c_loses_no_iteration(tmp_path):
    with strike(5, ctrl_c), pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    rest = []
    with strike(4, lambda: rest.append("the last of nine")), strike(5, power_cut):
        train(tmp_path, resume=True)
    assert rest == ["the last of nine"]


def test_a_finished_training_that_is_resumed_gives_its_weights_again(tmp_path, uninterrupted):
    train(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with strike(1, power_cut):
        again = train(tmp_path, resume=True)
    assert tensors(again) == tensors(uninterrupted)


def test_resuming_with_another_plan_or_other_data_is_refused(tmp_path):
    train(tmp_path)
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(PlanError, match="another plan or other data"):
        train(tmp_path, replace(PLAN, weight_decay=0.1), resume=True)
    with pytest.raises(PlanError, match="another plan or other data"):
        train(tmp_path, cases=TRAIN[:1], resume=True)
    first = TRAIN[0].frames[0]
    relabelled = Case(TRAIN[0].name, (replace(first, mitoses=first.mitoses + 1), *TRAIN[0].frames[1:]))
    with pytest.raises(PlanError, match="another plan or other data"):
        train(tmp_path, cases=[relabelled, *TRAIN[1:]], resume=True)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept


def test_a_damaged_checkpoint_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x10\0\0\0")
    with pytest.raises(WeightsError, match=r"is damaged .* delete it"):
        train(tmp_path, resume=True)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, uninterrupted):
    shutil.copy(uninterrupted, tmp_path / "checkpoint.safetensors")
    with pytest.raises(PlanError, match="another plan or other data"):
        train(tmp_path, resume=True)


def test_a_training_that_leaves_the_numbers_ends_with_what_to_do(tmp_path):
    with pytest.raises(PlanError, match="smaller learning rate"):
        train(tmp_path, replace(PLAN, iterations=60, learning_rate=1.0, milestones=(), weight_decay=1e6))


def test_the_seed_decides_the_weights(tmp_path, uninterrupted):
    assert tensors(train(tmp_path, replace(PLAN, seed=2))) != tensors(uninterrupted)


def test_the_card_says_what_the_weights_are_from(uninterrupted):
    network, card = load_weights(uninterrupted)
    assert network.widths == PLAN.widths
    assert card["sha256"] == sha256_of(uninterrupted)
    (data,), (held_out,) = card["data"], card["held_out"]
    assert data == {"source": "drawn", "cases": 2, "case_names": ["A00", "A01"], "frames": 2, "mitoses": 5}
    assert (held_out["case_names"], held_out["mitoses"]) == (["A02"], 2)
    assert (card["plan"]["name"], card["iterations"], card["precision"]) == ("tiny", 9, "fp32")
    assert card["bg_hard"] > 0
    assert card["fg_wsi"] == 0
    metrics = card["metrics"]
    assert (metrics["frames"], metrics["mitoses"]) == (1, 2)
    assert metrics["true_positives"] + metrics["false_negatives"] == 2
    assert 0 <= metrics["f1_at_0.5"] <= metrics["max_f1"] <= 1


def test_the_curve_has_a_row_at_every_stop(uninterrupted):
    with (uninterrupted.parent / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [3, 4, 6, 9]
    assert [float(row["learning_rate"]) for row in rows] == [3e-3, 3e-3, 3e-3, 1e-3]
    assert [bool(row["max_f1"]) for row in rows] == [False, False, True, True]
    assert int(rows[1]["bg_hard"]) == 0 < int(rows[2]["bg_hard"])


def test_the_curve_of_a_resumed_training_has_each_stop_once(tmp_path, uninterrupted):
    with strike(6, power_cut), pytest.raises(RuntimeError):
        train(tmp_path)
    train(tmp_path, resume=True)
    assert (tmp_path / "curve.csv").read_text() == (uninterrupted.parent / "curve.csv").read_text()


def test_a_short_training_learns_to_tell_mitoses_from_background(tmp_path):
    losses = []
    plan = replace(
        PLAN, iterations=50, learning_rate=8e-3, milestones=(), hard_negatives_at=(), evaluate_every=100, ema_decay=0.0
    )
    train(tmp_path, plan, report=lambda state: losses.append(state["loss"]))
    assert losses[-1] < 0.5 * np.log(2)


def test_the_learning_rate_is_the_plans_at_each_iteration(tmp_path):
    plan = replace(PLAN, hard_negatives_at=(), ema_decay=0.0)
    short = train(tmp_path / "short", replace(plan, iterations=3, learning_rate=3e-3, milestones=()))
    still = train(tmp_path / "still", replace(plan, iterations=5, learning_rate=3e-3, milestones=((3, 1e-30),)))
    ends = [dict(load_weights(path)[0].named_parameters()) for path in (short, still)]
    assert all(torch.equal(parameter, ends[1][name]) for name, parameter in ends[0].items())


def test_the_weights_are_the_moving_average_where_the_plan_keeps_one(tmp_path):
    still, seen = replace(PLAN, hard_negatives_at=(), iterations=2, learning_rate=3e-3, milestones=()), []
    for decay in (0.0, 0.8):
        path = train(tmp_path / str(decay), replace(still, ema_decay=decay))
        seen.append(load_weights(path)[0].stem.weight)
    once = load_weights(
        train(tmp_path / "once", replace(still, iterations=1, learning_rate=3e-3, milestones=(), ema_decay=0.0))
    )[0]
    torch.testing.assert_close(seen[1], 0.8 * once.stem.weight + 0.2 * seen[0])
    assert not torch.equal(*seen)


def test_the_coarse_network_of_a_parent_goes_on_with_what_was_trained_from_it(tmp_path, uninterrupted, make_network):
    network, card = load_weights(uninterrupted)
    card["coarse"] = {"plan": {"name": "distil"}, "kept": {"data": {}}}
    save_weights(network, tmp_path / "parent.safetensors", card, coarse=make_network((2,) * 6))
    path = train(tmp_path, PLAN, parent=tmp_path / "parent.safetensors")
    coarse, card = load_coarse(path), load_weights(path)[1]
    assert coarse is not None and coarse.widths == (2,) * 6
    assert card["coarse"]["plan"] == {"name": "distil"} and set(card["coarse"]["kept"]) == {"held_out"}
    assert set(card["coarse"]["kept"]["held_out"]) >= {"at_half", "lost_at_half", "looked_at"}
    path = train_initial_model(TRAIN, (), PLAN, tmp_path / "all", parent=tmp_path / "parent.safetensors", **CPU)
    kept = load_weights(path)[1]["coarse"]["kept"]
    assert set(kept) == {"data"} and kept["data"]["lost_at_half"] == 0


def test_a_training_from_a_parent_begins_with_its_weights(tmp_path, uninterrupted):
    parent, _ = load_weights(uninterrupted)
    plan = replace(PLAN, iterations=1, learning_rate=1e-30, milestones=(), hard_negatives_at=(0,), ema_decay=0.0)
    network, card = load_weights(train(tmp_path, plan, parent=uninterrupted))
    kept = dict(parent.named_parameters())
    assert all(torch.equal(parameter, kept[name]) for name, parameter in network.named_parameters())
    # It learns: normalisation follows the batches again.
    assert not torch.equal(network.stem_bn.running_mean, parent.stem_bn.running_mean)
    assert card["parent"]["sha256"] == sha256_of(uninterrupted)
    assert card["bg_hard"] > 0


def test_calibration_sets_the_scale_alone_so_that_half_is_a_good_threshold(tmp_path):
    plan = replace(PLAN, iterations=25, learning_rate=8e-3, milestones=(), hard_negatives_at=(), evaluate_every=100)
    paths = [train(tmp_path / name, replace(plan, calibrate=name == "scaled")) for name in ("plain", "scaled")]
    (plain, before), (scaled, after) = map(load_weights, paths)
    assert all(torch.equal(tensor, scaled.state_dict()[name]) for name, tensor in plain.state_dict().items())
    figures = load_figure_scale(paths[1])
    assert after["calibration"]["scale"] == pytest.approx(figures.scale, abs=1e-4)
    assert after["calibration"]["shift"] == pytest.approx(figures.shift, abs=1e-4)
    assert before["calibration"] is None
    assert after["metrics"]["max_f1"] == before["metrics"]["max_f1"] > 0
    assert after["metrics"]["f1_at_0.5"] >= 0.9 * after["metrics"]["max_f1"]


def test_the_final_model_draws_from_mined_patches_too(tmp_path, uninterrupted):
    mined = [draw_hpf(f"S_{i}", width=128, height=128, mitoses=[(64, 64)], seed=i, exhaustive=False) for i in range(3)]
    path = train_final_model(TRAIN, HELD_OUT, mined, PLAN, tmp_path, **CPU)
    assert load_weights(path)[1]["fg_wsi"] == 3
    assert tensors(path) != tensors(uninterrupted)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([draw_hpf(mitoses=[])], "no labelled mitosis"),
        ([draw_hpf(exhaustive=False)], "no exhaustively labelled frame"),
        ([], "no labelled mitosis"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_are_refused(tmp_path, frames, reason):
    with pytest.raises(DataSetError, match=reason):
        train(tmp_path, cases=cases_of(frames))


def test_no_case_that_was_ever_learnt_from_counts_as_held_out(tmp_path, uninterrupted):
    many = cases_of([draw_hpf(f"B{number:02}_00", seed=1) for number in range(25)])
    short = replace(PLAN, iterations=1, learning_rate=1e-3, milestones=(), hard_negatives_at=())
    second = train_initial_model(many, (), short, tmp_path / "2", parent=uninterrupted, **CPU)
    third = train_initial_model(HELD_OUT, (), short, tmp_path / "3", parent=second, **CPU)
    for name in ("A00", "A01", "A02", "B00", "B24"):
        with pytest.raises(ValueError, match=f"has learnt from {name}"):
            refuse_training_cases(third, {name})
    refuse_training_cases(third, {"A03"})


def test_a_network_with_a_parent_has_its_widths(tmp_path, uninterrupted):
    path = train(tmp_path, replace(PLAN, widths=(2,) * 6), parent=uninterrupted)
    network, card = load_weights(path)
    assert network.widths == PLAN.widths == tuple(card["plan"]["widths"]) == tuple(card["widths"])


def test_a_training_is_not_written_over(tmp_path, uninterrupted):
    shutil.copytree(uninterrupted.parent, tmp_path / "run")
    with pytest.raises(PlanError, match="holds a training already"):
        train(tmp_path / "run")


def test_labelled_look_alikes_are_hard_negatives_whatever_the_model_says(tmp_path):
    sure = replace(PLAN, hard_min_score=0.999, iterations=2, learning_rate=1e-3, milestones=(), hard_negatives_at=(1,))
    places = np.array(
        [(90.0, 180.0), (160.0, 80.0), (30.0, 180.0), (102.0, 92.0)]
    )  # one at the border, one on a mitosis
    (frame,) = TRAIN[0].frames
    labelled = replace(TRAIN[0], frames=(replace(frame, non_mitoses=places),))
    paths = [train(tmp_path / str(n), sure, [case]) for n, case in enumerate([TRAIN[0], labelled])]
    assert [load_weights(path)[1]["bg_hard"] for path in paths] == [0, 2]


def test_a_finished_training_is_known_by_its_card_whatever_its_parent_looks_like(tmp_path):
    parent = tmp_path / "padded.safetensors"
    save_weights(ResNet12((2,) * 6, padded=True), parent, {})
    short = replace(PLAN, iterations=1, learning_rate=1e-3, milestones=(), hard_negatives_at=())
    assert not is_trained(tmp_path / "run", TRAIN, short, parent)
    train_initial_model(TRAIN, (), short, tmp_path / "run", parent=parent, **CPU)
    assert is_trained(tmp_path / "run", TRAIN, short, parent)
    card = tmp_path / "run" / "weights.json"
    of_its_network = replace(short, widths=(2,) * 6, padded=True)
    card.write_text(json.dumps({**json.loads(card.read_text()), "plan": of_its_network.as_0_2_0()}))
    assert is_trained(tmp_path / "run", TRAIN, short, parent), "also where 0.2.0 wrote the card"
    with pytest.raises(PlanError, match="another plan"):
        is_trained(tmp_path / "run", TRAIN, replace(short, learning_rate=2e-3), parent)
    with pytest.raises(PlanError, match="another parent"):
        is_trained(tmp_path / "run", TRAIN, short, None)


def test_the_card_has_the_range_of_stain_trained_on_with_the_parents(uninterrupted, tmp_path):
    plan = replace(PLAN, iterations=1, hard_negatives_at=())
    first = read_card(uninterrupted)["stains"]
    assert first == stain_range(TRAIN)
    dark = [replace(frame, stain=LabStatistics((50, 99, 99), (9, 9, 9))) for frame in TRAIN[0].frames]
    child = train(tmp_path / "c", plan, [Case("B00", tuple(dark))], parent=uninterrupted)
    assert read_card(child)["stains"]["mean"][0] == [50, first["mean"][0][1]]
    network, card = load_weights(uninterrupted)
    card.pop("stains")
    save_weights(network, tmp_path / "old.safetensors", card, shifts={"SS1": -1.0})
    of_old = train(tmp_path / "o", plan, parent=tmp_path / "old.safetensors")
    assert read_card(of_old)["stains"] is None, "what the parent knew is not known"
    assert load_shifts(of_old) == {} and "scanners" not in read_card(of_old), "the network is another now"
