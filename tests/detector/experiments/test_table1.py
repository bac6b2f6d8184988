"""Table 1 on drawn frames: nothing leaks between its parts, and the table says what was measured."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from detector.__main__ import main
from detector.detection.detect import Cancelled
from detector.errors import PlanError
from detector.experiments import table1
from detector.experiments.cross_validation import cross_validate
from detector.experiments.table1 import Sources, fold_of, run_table
from detector.frames import cases_of, points
from detector.model.checkpoint import save_weights
from detector.model.network import ResNet12
from detector.training.curve import Curve
from detector.training.train import WEIGHTS
from tests.detector.training.test_train import PLAN
from tests.drawing import DarkScorer, draw_hpf, draw_tissue

SHORT = replace(PLAN, iterations=2, learning_rate=1e-3, milestones=(), hard_negatives_at=(1,))
COURSE = {"device": "cpu", "precision": "fp32", "tta_consensus": 0.6, "say": lambda _: None}


def drawn(source, *names, mitoses=((100, 90), (220, 200))):
    frames = [draw_hpf(f"{name}_0", seed=sum(map(ord, source + name)), mitoses=mitoses) for name in names]
    return cases_of([replace(frame, source=source) for frame in frames])


def unlabelled(*names):
    cases = drawn("tiles", *names, mitoses=[(150, 150)])
    return table1.hide_labels(cases)


SOURCES = Sources(drawn("T", "A00", "A01"), drawn("M", "03", "04"), unlabelled("u0"), drawn("lab", "x0", "x1"), "lab")


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Detections do not depend on a training of two iterations, and nobody looks at its curve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table1._Experiment, "_scorer", lambda self, weights: DarkScorer())
        patch.setattr(Curve, "draw", lambda self: None)
        yield


@contextmanager
def watched():
    """What is trained and mined: (folder, names of the cases, mined patches or None), and (folder, names)."""
    trained, mined = [], []
    initial, final, mine = table1.train_initial_model, table1.train_final_model, table1.mine_frames

    def names(cases):
        return {case.name for case in cases}

    def train_initial(cases, validation, plan, folder, **course):
        assert not validation
        trained.append((folder, names(cases), None))
        return initial(cases, validation, plan, folder, **course)

    def train_final(cases, validation, patches, plan, folder, **course):
        assert not validation
        trained.append((folder, names(cases), patches))
        return final(cases, validation, patches, plan, folder, **course)

    def mine_hidden(scorer, model, cases, folder):
        for frame in (frame for case in cases for frame in case.frames):
            assert not len(frame.mitoses) and not len(frame.non_mitoses) and not frame.exhaustive
        mined.append((folder, names(cases)))
        return mine(scorer, model, cases, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table1, "train_initial_model", train_initial)
        patch.setattr(table1, "train_final_model", train_final)
        patch.setattr(table1, "mine_frames", mine_hidden)
        yield trained, mined


@pytest.fixture
def done():
    with watched() as calls:
        yield calls


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The whole table from two seeds: its folder, the table, and what was trained and mined for it."""
    out = tmp_path_factory.mktemp("table")
    with watched() as (trained, mined):
        return out, run_table(SOURCES, SHORT, out, seeds=2, **COURSE), trained, mined


def test_no_held_out_case_is_trained_on_or_mined_and_every_case_serves(whole):
    out, _, trained, mined = whole
    assert len(trained) == 12 and len(mined) == 6
    served = set()
    for seed in (1, 2):
        tests = {case.name for cases in fold_of(SOURCES, seed).tests.values() for case in cases}
        served |= tests
        for folder, names, patches in trained:
            if folder.parent == out / f"seed-{seed}":
                assert names and not names & tests
                assert not any(f"-{name}-" in patch.name for patch in patches or () for name in tests)
        for folder, names in mined:
            if folder.parent == out / f"seed-{seed}":
                assert names and not names & tests
    assert served == {case.name for part in (SOURCES.t, SOURCES.m, SOURCES.unseen) for case in part}


def test_each_row_learns_from_its_own_sources_and_mines_what_it_does_not_learn_from(whole):
    out, _, *calls = whole
    home = out / "seed-1"
    trained, mined = ([call for call in part if call[0].parent == home] for part in calls)
    assert {folder.name: names for folder, names, _ in trained} == {
        "T": {"A01"}, "T+U at 0.6": {"A01"}, "M": {"04"}, "M+U at 0.6": {"04"}, "T+M": {"A01", "04"},
        "T+M+U at 0.6": {"A01", "04"},
    }  # fmt: skip
    assert {folder.name: names for folder, names in mined} == {
        "T mined": {"04", "u0"}, "M mined": {"A01", "u0"}, "T+M mined": {"u0"},
    }  # fmt: skip
    counts = {folder.name: patches and len(patches) for folder, _, patches in trained}
    assert counts == {"T": None, "T+U at 0.6": 3, "M": None, "M+U at 0.6": 3, "T+M": None, "T+M+U at 0.6": 1}
    cards = {name: json.loads((home / name / "weights.json").read_text()) for name in counts}
    assert {name: card["fg_wsi"] for name, card in cards.items()} == {name: n or 0 for name, n in counts.items()}
    assert {card["plan"]["seed"] for card in cards.values()} == {1}


def test_the_table_says_what_was_measured(whole):
    out, table, *_ = whole
    rows = ["T", "T + U", "M", "M + U", "T + M", "T + M + U"]
    assert [(row["row"], row["seeds"]) for row in table["rows"]] == [(name, 2) for name in rows]
    assert all(set(row["tests"]) == {"T", "M", "lab"} for row in table["rows"])
    assert [(one["row"], one["minus"], one["test"]) for one in table["differences"]] == [
        (f"{name} + U", name, test) for name in ("T", "M", "T + M") for test in ("T", "M", "lab")
    ]
    # The stand-in for a detector is the same for each row.
    assert all(one["max_f1"] == [0, 0, 0] and one["seeds"] == 2 for one in table["differences"])
    mined = {(one["row"], one["tta_consensus"]): one for one in table["mined"]}
    chosen = mined["T + U", 0.6]
    assert chosen["trained_on"] and not mined["T + U", 0.5]["trained_on"]
    assert (chosen["mined"], chosen["judged"], chosen["right"], chosen["hidden"]) == (6, 4, 4, 4)  # two seeds
    assert chosen["precision"] == 1
    assert mined["T + M + U", 0.6]["precision"] is None  # nobody has labelled these
    assert {level for _, level in mined} == {0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98}
    said = (out / "table.md").read_text()
    assert "| (T + U) - (T) | M | 2 | 2 | +0.000 [+0.000, +0.000] |" in said
    assert "| T + U | 0.6 * | 6 | 4 | 4 | 1.00 | 1.00 |" in said
    assert json.loads((out / "table.json").read_text()) == table
    lines = list(csv.DictReader((out / "table.csv").open()))
    assert len(lines) == 2 * 6 * 3
    assert (lines[0]["row"], lines[0]["test"], lines[0]["cases"], lines[0]["mined"]) == ("T", "T", "A00", "")
    by_seed = [one["max_f1"] for one in table["by_seed"] if (one["row"], one["test"]) == ("T", "M")]
    cell = table["rows"][0]["tests"]["M"]
    assert (cell["max_f1"], cell["max_f1_deviation"]) == pytest.approx((np.mean(by_seed), np.std(by_seed)), abs=1e-3)


def test_hidden_labels_serve_for_measuring_alone(tmp_path):
    """With others in their place the weights are the same to the bit, and only the precision is another."""
    wrong = [
        replace(
            case, frames=tuple(replace(f, mitoses=f.mitoses + 60, non_mitoses=points([(9, 9)])) for f in case.frames)
        )
        for case in SOURCES.m
    ]
    tables, weights = [], []
    for name, m in (("right", SOURCES.m), ("wrong", wrong)):
        tables.append(run_table(replace(SOURCES, m=m), SHORT, tmp_path / name, seeds=1, labelled=["T"], **COURSE))
        weights.append((tmp_path / name / "seed-1/T+U at 0.6" / WEIGHTS).read_bytes())
    assert weights[0] == weights[1]
    right, mistaken = (next(one for one in table["mined"] if one["trained_on"]) for table in tables)
    assert (right["mined"], right["right"]) == (3, 2)
    assert (mistaken["mined"], mistaken["right"]) == (3, 0)


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, done):
    trained, _ = done

    def kill(state):
        if len(trained) == 3:
            raise Cancelled

    course = {**COURSE, "labelled": ["T", "M"], "seeds": 1}
    with pytest.raises(Cancelled):
        run_table(SOURCES, SHORT, tmp_path / "killed", report=kill, **course)
    assert [folder.name for folder, _, _ in trained] == ["T", "T+U at 0.6", "M"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed/seed-1").glob("T*/*")}
    assert before
    table = run_table(SOURCES, SHORT, tmp_path / "killed", **course)
    assert [folder.name for folder, _, _ in trained] == ["T", "T+U at 0.6", "M", "M", "M+U at 0.6"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole = run_table(SOURCES, SHORT, tmp_path / "whole", **course)
    assert table == whole
    weights = "seed-1/M/weights.safetensors"
    assert (tmp_path / "killed" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    said = []
    assert run_table(SOURCES, SHORT, tmp_path / "killed", **course | {"say": said.append}) == table
    assert not [line for line in said if "learns" in line]


def test_another_agreement_shares_what_was_trained_and_mined(tmp_path, done):
    trained, _ = done
    run_table(SOURCES, SHORT, tmp_path, seeds=1, labelled=["T"], **COURSE)
    written = (tmp_path / "seed-1/T mined/mined.json").stat().st_mtime_ns
    run_table(SOURCES, SHORT, tmp_path, seeds=1, labelled=["T"], **COURSE | {"tta_consensus": 0.9})
    assert [folder.name for folder, _, _ in trained] == ["T", "T+U at 0.6", "T+U at 0.9"]
    assert (tmp_path / "seed-1/T mined/mined.json").stat().st_mtime_ns == written


def test_where_nothing_is_mined_nothing_is_trained_anew(tmp_path, done):
    trained, _ = done
    said = []
    course = {**COURSE, "tta_consensus": 0.99999, "say": said.append}
    table = run_table(SOURCES, SHORT, tmp_path, seeds=1, labelled=["T"], **course)
    assert [folder.name for folder, _, _ in trained] == ["T"]
    assert "seed 1: nothing was mined for T + U, so it is the row before" in said
    assert table["rows"][0]["tests"] == table["rows"][1]["tests"]
    chosen = next(one for one in table["mined"] if one["trained_on"])
    assert (chosen["tta_consensus"], chosen["mined"], chosen["precision"]) == (0.99999, 0, None)
    assert "| (T + U) - (T) | T | 1 | 1 | +0.000 | +0.000 |" in (tmp_path / "table.md").read_text()


def test_a_second_round_mines_with_the_detector_of_the_first(tmp_path, done):
    _, mined = done
    table = run_table(SOURCES, SHORT, tmp_path, seeds=1, rounds=2, labelled=["T"], **COURSE)
    assert [folder.name for folder, _ in mined] == ["T mined", "T+U at 0.6 mined"]
    assert [row["row"] for row in table["rows"]] == ["T", "T + U", "T + U, round 2"]
    assert {(one["row"], one["minus"]) for one in table["differences"]} == {("T + U", "T"), ("T + U, round 2", "T")}
    stamp = json.loads((tmp_path / "seed-1/T+U at 0.6 mined/mined.json").read_text())["model"]["sha256"]
    assert stamp == json.loads((tmp_path / "seed-1/T+U at 0.6/weights.json").read_text())["sha256"]


def test_a_folder_of_something_else_is_refused(tmp_path):
    course = {**COURSE, "seeds": 1, "labelled": ["T"]}
    (tmp_path / "old/A02").mkdir(parents=True)
    with pytest.raises(PlanError, match=r"something else than Table 1, or the experiment as it was up to 0.2.0"):
        run_table(SOURCES, SHORT, tmp_path / "old", **course)
    run_table(SOURCES, SHORT, tmp_path / "new", **course)
    with pytest.raises(PlanError, match="the table of another plan"):
        run_table(SOURCES, replace(SHORT, learning_rate=2e-3), tmp_path / "new", **course)
    with pytest.raises(PlanError, match="the table of another T, unlabelled"):
        other = replace(SOURCES, t=drawn("T", "A00", "A02"), unlabelled=unlabelled("u1"))
        run_table(other, SHORT, tmp_path / "new", **course)
    with pytest.raises(PlanError, match="holds what `reproduce` wrote"):
        cross_validate(SOURCES.t, [SHORT], tmp_path / "new", say=print)


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        ({"m": drawn("M", "A00", "04")}, {}, "A00 is in two of the sources"),
        ({"t": drawn("T", "A00")}, {}, "T needs two cases"),
        ({"m": drawn("M", "03", "04", mitoses=[])}, {}, "M needs two cases"),
        ({"unseen": drawn("lab", "x0", mitoses=[])}, {}, "lab has no case"),
        ({"unseen_name": "M"}, {}, "M is the name of a labelled set"),
        ({"unlabelled": drawn("tiles", "u0")}, {}, "the unlabelled cases have labels"),
        ({"unlabelled": ()}, {}, r"T \+ M \+ U has nothing to mine"),
        ({}, {"labelled": ["T + U"]}, r"there is no row T \+ U"),
        ({}, {"seeds": 0}, "one row, one seed and one round"),
        ({}, {"rounds": 0}, "one row, one seed and one round"),
        ({}, {"tta_consensus": 0.4}, "must lie from 0.5"),
    ],
)
def test_what_cannot_give_a_table_is_refused(tmp_path, change, options, why):
    with pytest.raises(ValueError, match=why):
        run_table(replace(SOURCES, **change), SHORT, tmp_path, **COURSE | options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("known", ["A01", "04", "x1"])
def test_a_parent_that_knows_a_case_is_refused(tmp_path, known):
    card = {"data": [{"source": "s", "case_names": [known]}]}
    save_weights(ResNet12(PLAN.widths), tmp_path / "p.safetensors", card)
    with pytest.raises(ValueError, match=f"has learnt from {known}"):
        run_table(SOURCES, SHORT, tmp_path / "out", parent=tmp_path / "p.safetensors", **COURSE)


def data(tmp_path):
    """T as MITOS 2012, M as MITOS-ATYPIA-14, both with two cases; and one tile without labels."""
    at = (100, 90), (220, 200)
    for name in ("A00_01", "A01_01"):
        for part in ("frames", "labels"):
            (tmp_path / "t" / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_tissue(320, 300, mitoses=at)).save(tmp_path / f"t/frames/{name}.png")
        (tmp_path / f"t/labels/{name}.csv").write_text("100,90\n220,200\n")
    (tmp_path / "m").mkdir()
    (tmp_path / "u").mkdir()
    for name in ("H03_00Aa", "H04_00Aa"):
        Image.fromarray(draw_tissue(320, 300, mitoses=at)).save(tmp_path / f"m/{name}.png")
        (tmp_path / f"m/{name}_mitosis.csv").write_text("100,90,1.0\n220,200,1.0\n")
    Image.fromarray(draw_tissue(200, 200, mitoses=[(100, 100)])).save(tmp_path / "u/tile.png")
    return [str(tmp_path / "t"), str(tmp_path / "m"), "--unlabelled", str(tmp_path / "u")]


def test_the_command_prints_the_table(tmp_path, capsys):
    plan = tmp_path / "tiny.toml"
    plan.write_text(
        "iterations = 2\nmilestones = []\nhard_negatives_at = [1]\nforeground_per_batch = 2\nbackground_per_batch = 4\n"
        "widths = [4, 4, 6, 6, 8, 8]\n"
    )
    out = tmp_path / "out"
    asked = [*data(tmp_path), "--plan", str(plan), "--seeds", "1", "--labelled", "T", "M", "--device", "cpu"]
    assert main(["reproduce", *asked, "--out", str(out), "--tta-consensus", "0.9"]) == 0
    said = capsys.readouterr().out
    assert (out / "table.md").read_text() in said
    assert "MITOS12: 2 frames, 2 cases, 4 mitoses" in said
    assert [row["row"] for row in json.loads((out / "table.json").read_text())["rows"]] == ["T", "T + U", "M", "M + U"]


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    empty, out = str(tmp_path / "empty"), str(tmp_path / "out")
    assert main(["reproduce", empty, empty, "--out", out]) == 2
    assert "holds no data set" in capsys.readouterr().err
    t, m, *_ = data(tmp_path)
    assert main(["reproduce", t, m, "--out", out, "--unlabelled", empty]) == 2
    assert "holds no image" in capsys.readouterr().err
    assert main(["reproduce", t, m, "--out", out]) == 2
    assert "give unlabelled images, or leave out T + M" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["reproduce", t, m, "--out", out, "--seeds", "0"])
    assert "0 is no whole number from 1 up" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
