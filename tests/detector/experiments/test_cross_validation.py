"""Slide-wise cross-validation on drawn frames: no network is judged on what it has learnt from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from detector.__main__ import main
from detector.detection.scorer import Scorer
from detector.errors import PlanError
from detector.evaluation.evaluate import evaluate, main_metrics, summary
from detector.evaluation.metrics import Evaluation
from detector.experiments.cross_validation import cross_validate, read_left_out
from detector.frames import cases_of
from detector.model.card import read_card
from detector.model.checkpoint import load_weights, save_weights
from detector.model.network import ResNet12
from detector.training.calibrate import calibrate
from detector.training.plan import override_toml
from detector.training.train import train_initial_model
from tests.detector.training.test_train import PLAN
from tests.drawing import draw_hpf

SHORT = replace(PLAN, iterations=3, learning_rate=1e-3, milestones=(), hard_negatives_at=(2,))
CASES = cases_of([draw_hpf(f"{name}_0", seed=seed) for seed, name in enumerate(["A00", "A01", "A02"])])
GLASS = cases_of([replace(draw_hpf("glass_0", seed=9, mitoses=()), source="mitosis-free")])
COURSE = {"device": "cpu", "precision": "fp32", "resume": True}


def test_each_network_is_judged_on_the_case_that_it_has_not_seen(tmp_path):
    plans = [SHORT, override_toml(SHORT, "augmentation.blur = 0; seed = 2")]
    rows = cross_validate([*CASES, *GLASS], plans, tmp_path, say=lambda _: None, **COURSE)
    assert [row["plan"]["name"] for row in rows] == [SHORT.name, "augmentation.blur = 0; seed = 2"]
    for folder, row in ((SHORT.name, rows[0]), ("augmentation.blur-0-seed-2", rows[1])):
        frames = []
        for case in CASES:
            network, card = load_weights(tmp_path / folder / case.name / "weights.safetensors")
            learnt = {name for source in card["data"] for name in source["case_names"]}
            assert learnt == {c.name for c in [*CASES, *GLASS]} - {case.name}
            frames += evaluate(Scorer(network), [case]).frames
        assert row["all"] == summary(Evaluation(frames))
        assert row["parts"] == {c.name: main_metrics(Evaluation([f])) for c, f in zip(CASES, frames, strict=True)}
    assert "verdict" not in rows[0]
    assert rows[1]["verdict"] == "cannot tell"  # there are three cases
    assert rows[1]["difference"]["max_f1"][0] == pytest.approx(
        rows[1]["all"]["max_f1"] - rows[0]["all"]["max_f1"], abs=2e-4
    )
    assert rows[1]["plan"]["seed"] == 2
    assert json.loads((tmp_path / "table.json").read_text())[1]["verdict"] == "cannot tell"
    assert f"| {plans[1].name} |" in (tmp_path / "table.md").read_text()


def test_each_network_is_judged_on_the_source_that_it_has_not_seen(tmp_path):
    sources = {"A00": "Aperio", "A01": "Aperio", "A02": "Hamamatsu"}
    cases = cases_of([replace(frame, source=sources[case.name]) for case in CASES for frame in case.frames])
    (row,) = cross_validate([*cases, *GLASS], [SHORT], tmp_path, by="source", say=lambda _: None, **COURSE)
    assert list(row["parts"]) == ["Aperio", "Hamamatsu"]
    for source, learnt in (("Aperio", {"A02"}), ("Hamamatsu", {"A00", "A01"})):
        network, card = load_weights(tmp_path / SHORT.name / source / "weights.safetensors")
        assert set(card["cases_learnt"]) == {*learnt, GLASS[0].name}
        measured = evaluate(Scorer(network), [case for case in cases if case.name not in learnt])
        assert row["parts"][source] == main_metrics(measured)
    with pytest.raises(ValueError, match="two sources"):
        cross_validate(CASES, [SHORT], tmp_path / "one", by="source", say=print)


def test_each_network_is_calibrated_on_cases_that_none_has_learnt_from(tmp_path):
    sources = {"A00": "Aperio", "A01": "Aperio", "A02": "Hamamatsu", "A03": "Hamamatsu"}
    more = cases_of([draw_hpf("A03_0", seed=3)])
    cases = cases_of([replace(frame, source=sources[case.name]) for case in [*CASES, *more] for frame in case.frames])
    by_name = {case.name: case for case in cases}
    (row,) = cross_validate(
        cases, [SHORT], tmp_path, by="source", calibrate_on=["A01", "A03"], say=lambda _: None, **COURSE
    )
    for source, learnt, scale_on, part in (
        ("Aperio", "A02", "A03", ["A00", "A01"]), ("Hamamatsu", "A00", "A01", ["A02", "A03"]),
    ):  # fmt: skip
        network, card = load_weights(tmp_path / SHORT.name / source / "weights.safetensors")
        assert card["cases_learnt"] == [learnt]
        figures, _ = calibrate(network, [by_name[scale_on]])
        measured = evaluate(Scorer(network, figures=figures), [by_name[name] for name in part])
        assert row["parts"][source] == main_metrics(measured)
    left_out = read_left_out(tmp_path / "table.json")
    assert left_out == {"plan": SHORT.name, "parent": None, "metrics_by_source": row["parts"]}
    with pytest.raises(ValueError, match="no case is left to calibrate on without Aperio"):
        cross_validate(cases, [SHORT], tmp_path / "b", by="source", calibrate_on=["A00"], say=print, **COURSE)
    with pytest.raises(ValueError, match="no case is called B7"):
        cross_validate(cases, [SHORT], tmp_path / "c", by="source", calibrate_on=["B7"], say=print, **COURSE)


def test_only_a_table_by_source_goes_onto_a_card(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps([{"by": "case", "plan": {"name": "p"}, "parts": {}}]))
    with pytest.raises(ValueError, match="takes a table by source"):
        read_left_out(tmp_path / "table.json")
    (tmp_path / "table.json").write_text("[]")
    with pytest.raises(ValueError, match="is no table.json of `cross-validate`"):
        read_left_out(tmp_path / "table.json")


def test_networks_of_one_parent_are_shown_what_each_alone_would_mine(tmp_path):
    save_weights(ResNet12(PLAN.widths), tmp_path / "p.safetensors", {})
    course = {**COURSE, "parent": tmp_path / "p.safetensors"}
    plan = replace(SHORT, hard_negatives_at=(0,))
    cross_validate(CASES, [plan], tmp_path / "out", say=lambda _: None, **course)
    alone = train_initial_model(CASES[:2], (), plan, tmp_path / "alone", **course)
    together = tmp_path / "out" / plan.name / "A02" / "weights.safetensors"
    assert read_card(alone)["bg_hard"] == read_card(together)["bg_hard"] > 0
    assert read_card(alone)["sha256"] == read_card(together)["sha256"]


def test_what_is_there_is_not_done_again(tmp_path):
    first = cross_validate(CASES, [SHORT], tmp_path, say=lambda _: None, **COURSE)
    said = []
    assert cross_validate(CASES, [SHORT], tmp_path, say=said.append, **COURSE) == first
    assert not [line for line in said if "learns" in line]
    with pytest.raises(PlanError, match="another plan"):
        cross_validate(CASES, [replace(SHORT, seed=9)], tmp_path, say=said.append, **COURSE)
    with pytest.raises(PlanError, match="other data"):
        cross_validate([*CASES, *GLASS], [SHORT], tmp_path, say=said.append, **COURSE)


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(ValueError, match="two cases"):
        cross_validate([CASES[0], *GLASS], [SHORT], tmp_path, say=print)
    with pytest.raises(ValueError, match="one name"):
        cross_validate(CASES, [SHORT, SHORT], tmp_path, say=print)
    save_weights(ResNet12(PLAN.widths), tmp_path / "p.safetensors", {"data": [{"source": "s", "case_names": ["A01"]}]})
    with pytest.raises(ValueError, match="has learnt from A01"):
        cross_validate(CASES, [SHORT], tmp_path, say=print, parent=tmp_path / "p.safetensors")


@pytest.mark.parametrize(
    ("text", "why"), [("blur off", "is no TOML"), ("blurr = 0", "blurr is no field"), ("seed = -1", "seed must be")]
)
def test_a_change_that_is_none_is_refused(text, why):
    with pytest.raises(PlanError, match=why):
        override_toml(SHORT, text)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["cross-validate", str(tmp_path), "--plan", "short", "--change", "x = 1", "--out", out]) == 2
    assert "x is no field of a plan" in capsys.readouterr().err
    assert main(["cross-validate", str(tmp_path), "--plan", "short", "--out", out]) == 2
    assert "holds no data set" in capsys.readouterr().err
