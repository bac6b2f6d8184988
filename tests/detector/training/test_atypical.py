"""Atypical mitoses: a network learns them apart, is measured on unseen cases, and stays with its weights."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.__main__ import main
from detector.datasets import read_dataset
from detector.detection.atypical import atypical_on_slide, atypical_probabilities
from detector.detection.scorer import Scorer
from detector.errors import DataSetError
from detector.frames import cut_plain
from detector.model.card import read_card, tells_atypical
from detector.model.checkpoint import load_atypical, load_coarse, load_weights, save_weights
from detector.slide import WorkingFrame, open_slide
from detector.training.atypical import mitoses_of, probabilities, refined, roc_auc, train_atypical
from detector.training.average import average_weights
from detector.training.calibrate_scanner import calibrate_scanner
from detector.training.plan import read_plan
from tests.drawing import write_pyramid

PLAN = """
iterations = 60
learning_rate = 3e-3
schedule = "cosine"
hard_negatives_at = []
foreground_per_batch = 8
background_per_batch = 8
ema_decay = 0.9
checkpoint_every = 20
"""


def patch(atypical, rng):
    """A dark plate on pink; of an atypical mitosis with a second one across."""
    image = np.full((128, 128, 3), (226, 160, 190), np.uint8)
    turn = float(rng.uniform(0, 180))
    cv2.ellipse(image, (64, 64), (22, 6), turn, 0, 360, (70, 40, 110), -1)
    if atypical:
        cv2.ellipse(image, (64, 64), (22, 6), turn + 90, 0, 360, (70, 40, 110), -1)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """AtNorM of four hospitals."""
    folder, rng = tmp_path_factory.mktemp("atnorm"), np.random.default_rng(1)
    for home in ("n", "o", "p", "q"):
        (folder / home).mkdir()
        for number in range(12):
            kind = "atypical" if number % 3 == 0 else "normal"
            cv2.imwrite(str(folder / home / f"{kind}_{number}.png"), patch(kind == "atypical", rng)[..., ::-1])
    return folder


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    return read_plan(str(tmp_path / "plan.toml"))


@pytest.fixture
def weights(make_network, tmp_path):
    save_weights(make_network((8,) * 6), tmp_path / "own.safetensors", {"name": "own"}, coarse=make_network((2,) * 6))
    return tmp_path / "own.safetensors"


@pytest.fixture
def trained(weights, patches, plan, tmp_path):
    return train_atypical(weights, read_dataset(patches), plan, tmp_path / "out" / "both.safetensors", folds=2)


def test_kinds_are_read(patches, tmp_path):
    known = mitoses_of(read_dataset(patches))
    assert (len(known), sum(one.atypical for one in known)) == (48, 16)
    (tmp_path / "patches").mkdir()
    rows = [
        "slide,dataset,uid,x,y,majority_atypical",
        "1.svs,T,1,500,500,True",
        "1.svs,T,2,900,900,False",
        "2.svs,T,3,9,9,",
    ]
    (tmp_path / "AMI-BR.csv").write_text("\n".join(rows))
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / "patches" / f"T_{number}.jpg"), np.full((128, 128, 3), 200, np.uint8))
    frames = {frame.name: frame.atypical for case in read_dataset(tmp_path) for frame in case.frames}
    assert frames == {"T_1": True, "T_2": False, "T_3": None}


def test_it_learns_them_apart_and_is_measured_on_cases_not_seen(trained, weights):
    card = read_card(trained)
    measured = card["atypical"]["metrics_by_source"]
    assert measured.keys() == {"AtNorM n", "AtNorM o", "AtNorM p", "AtNorM q", "all"}
    assert (measured["all"]["mitoses"], measured["all"]["atypical"]) == (48, 16)
    assert measured["all"]["balanced_accuracy"] > 0.85 and measured["all"]["roc_auc"] > 0.9
    low, high = measured["all"]["balanced_accuracy_interval"]
    assert low <= measured["all"]["balanced_accuracy"] <= high and tells_atypical(card)
    before, after = (load_weights(path)[0].state_dict() for path in (weights, trained))
    assert all(bool((before[name] == after[name]).all()) for name in before), "the detector is as it was"
    assert load_coarse(trained) is not None and load_atypical(weights) is None
    assert not list(trained.parent.glob("*.checkpoint"))


def test_what_is_no_better_than_chance_is_not_told(trained):
    card = read_card(trained)
    card["atypical"]["metrics_by_source"]["all"]["balanced_accuracy"] = 0.69
    assert not tells_atypical(card) and not tells_atypical({"name": "of 0.2.0"})


def test_an_interrupted_training_ends_at_the_same_weights(weights, patches, plan, tmp_path, trained):
    class Stop(Exception):
        pass

    def stop(said):
        if "all cases" in said:
            raise Stop

    again = tmp_path / "again" / "both.safetensors"
    with pytest.raises(Stop):
        train_atypical(weights, read_dataset(patches), plan, again, folds=2, report=stop)
    assert len(list(again.parent.glob("*.checkpoint"))) == 2
    train_atypical(weights, read_dataset(patches), plan, again, folds=2)
    assert read_card(again)["sha256"] == read_card(trained)["sha256"]


def test_a_mitosis_is_as_atypical_however_it_is_turned(make_network, patches):
    scorer = Scorer(make_network((8,) * 6), precision="fp32")
    image = read_dataset(patches)[0].frames[0].image
    turned = [np.ascontiguousarray(np.rot90(flipped, turns)) for flipped in (image, image[::-1]) for turns in range(4)]
    said = atypical_probabilities(scorer, turned)
    assert said == pytest.approx([said[0]] * 8, abs=1e-5)


def test_on_a_slide_the_patch_around_the_figure_is_scored(make_network, tmp_path):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (512, 640, 3), np.uint8)
    write_pyramid(tmp_path / "s.tif", image, mpp=0.25)
    scorer = Scorer(make_network((8,) * 6), precision="fp32")
    places = np.array([(200.0, 180.0), (5.0, 500.0)])
    with open_slide(tmp_path / "s.tif") as slide:
        found = atypical_on_slide(scorer, WorkingFrame(slide, slide.mpp), places)
        pixels = slide.read(0, 0, 0, 640, 512)
    assert found[0] == pytest.approx(atypical_probabilities(scorer, [cut_plain(pixels, 200, 180)])[0], abs=1e-5)
    assert 0 < found[1] < 1, "at the border"


def test_the_network_stays_when_weights_are_calibrated_and_averaged(trained, tmp_path):
    found = {"logit_shift": -1.0, "mitotic": 20, "non_mitotic": 20, "missed": 0, "f1_before": 0.5, "f1_after": 0.7}
    shifted = calibrate_scanner(trained, "SS1", found, tmp_path / "shifted.safetensors", name="s")
    mean = average_weights([trained], [], tmp_path / "mean.safetensors")
    wanted = load_atypical(trained).state_dict()
    for path in (shifted, mean):
        got = load_atypical(path).state_dict()
        assert all(bool((wanted[name] == got[name]).all()) for name in wanted)
        assert tells_atypical(read_card(path))


def test_a_retraining_learns_from_enough_figures_of_known_kind(trained, patches, tmp_path):
    cases = read_dataset(patches)
    network = load_atypical(trained)
    same, none = refined(network, cases[:1], tmp_path)
    assert (same is network, none) == (True, 0), "12 are too few"
    learnt, known = refined(network, cases, tmp_path)
    before, after = (probabilities(one, mitoses_of(cases)) for one in (network, learnt))
    kinds = np.array([one.atypical for one in mitoses_of(cases)])
    assert known == 48 and roc_auc(after, kinds) >= roc_auc(before, kinds) - 0.01 and (before != after).any()


def test_the_command(weights, patches, tmp_path, capsys):
    (tmp_path / "short.toml").write_text(PLAN.replace("60", "2"))
    out = tmp_path / "c.safetensors"
    arguments = ["train-atypical", str(patches), "--weights", str(weights), "--plan", str(tmp_path / "short.toml")]
    assert main([*arguments, "--out", str(out), "--folds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "AtNorM n: 12 patches" in printed and '"balanced_accuracy"' in printed
    assert "atypical" in json.loads(out.with_suffix(".json").read_text())
    assert main([*arguments, "--out", str(tmp_path / "d.safetensors"), "--folds", "1"]) == 2


def test_one_kind_alone_teaches_nothing(weights, plan, tmp_path):
    (tmp_path / "few").mkdir()
    for number in range(2):
        (tmp_path / "few" / f"h{number}").mkdir()
        image = patch(False, np.random.default_rng(number))
        cv2.imwrite(str(tmp_path / "few" / f"h{number}" / "normal_1.png"), image[..., ::-1])
    with pytest.raises(DataSetError, match="atypical and normal mitoses are needed"):
        train_atypical(weights, read_dataset(tmp_path / "few"), plan, tmp_path / "o.safetensors", folds=2)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_roc_auc_against_comparing_every_pair(rows):
    scores, positive = (np.array(part) for part in zip(*rows, strict=True))
    if positive.all() or not positive.any():
        return
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert roc_auc(scores.astype(float), positive) == pytest.approx(np.mean(pairs))
