from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

import detector
from detector import paper
from detector.errors import PlanError
from detector.training.plan import Plan, override, plan_of_card, read_plan, scaled


def written(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("iteration", "rate"),
    [(0, 1e-4), (19_999, 1e-4), (20_000, 1e-5), (49_999, 1e-5), (50_000, 1e-6), (59_999, 1e-6), (60_000, 1e-6)],
)
def test_the_papers_learning_rate(iteration, rate):
    assert read_plan("paper").learning_rate_at(iteration) == rate


def test_the_papers_plan():
    plan = read_plan("paper")
    assert plan.iterations == 60_000
    assert plan.hard_negatives_at == (30_000,)
    assert (plan.foreground_per_batch, plan.background_per_batch) == (2, 62)
    assert plan.widths == paper.WIDTHS
    assert (plan.weight_decay, plan.ema_decay, plan.context_share, plan.hard_share) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (Path(detector.__file__).parent / "plans").glob("*.toml"))
)
def test_shipped_plans_are_read_and_keep_the_batch_size_or_half_of_it(name):
    plan = read_plan(name)
    assert plan.name == name
    assert plan.foreground_per_batch + plan.background_per_batch in {paper.BATCH_SIZE, paper.BATCH_SIZE // 2}
    assert max(plan.hard_negatives_at, default=0) < plan.iterations


def test_a_cosine_falls_from_the_first_rate_to_the_last_after_a_warm_up():
    plan = Plan(iterations=1000, learning_rate=1e-3, final_learning_rate=1e-6, schedule="cosine")
    rates = [plan.learning_rate_at(iteration) for iteration in range(1000)]
    assert max(rates) == pytest.approx(1e-3, rel=0.01)
    assert rates[0] < 1e-4
    assert rates[-1] == pytest.approx(1e-6, rel=0.01)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_a_toml_file_changes_its_fields_and_leaves_the_papers(tmp_path):
    own = "iterations = 7\nlearning_rate = 1e-3\nhard_negatives_at = [6]\n[augmentation]\nblur = 0.25\n"
    plan = read_plan(written(tmp_path, own))
    assert (plan.name, plan.iterations) == ("own", 7)
    assert (plan.augmentation.blur, plan.augmentation.shift) == (0.25, paper.JITTER_PIXELS)


@pytest.mark.parametrize("dates", ["", "hard_negatives_at = [3, 7]"])
def test_hard_negatives_that_would_never_be_mined_are_refused(tmp_path, dates):
    with pytest.raises(PlanError, match="hard_negatives_at (30000|7) is not before the end, iteration 7"):
        read_plan(written(tmp_path, f"iterations = 7\n{dates}\n"))


def test_every_field_can_be_given_in_a_toml_file(tmp_path):
    values = asdict(Plan(name="own"))
    augmentation = values.pop("augmentation")
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    lines += ["[augmentation]", *(f"{key} = {json.dumps(value)}" for key, value in augmentation.items())]
    assert read_plan(written(tmp_path, "\n".join(lines))) == Plan(name="own")


@pytest.mark.parametrize(
    "line",
    [
        "name = 3",
        "iterations = 0",
        "learning_rate = [[1000, 1e-4]]",
        "learning_rate = 0.0",
        "learning_rate = nan",
        "final_learning_rate = 2.0",
        "schedule = true",
        'schedule = "linear"',
        "milestones = 1e-5",
        "milestones = [1000, 1e-5]",
        "milestones = [[0, 1e-5]]",
        "milestones = [[1000, 1e-5, 3]]",
        "milestones = [[2000, 1e-5], [1000, 1e-6]]",
        "ema_decay = 1.0",
        "learning_rate_steps = []",
        "learning_rate_steps = 1e-4",
        "learning_rate_steps = [1000, 1e-4]",
        "learning_rate_steps = [[1000, 1e-4, 3]]",
        "learning_rate_steps = [[1000, 0.0]]",
        "learning_rate_steps = [[0, 1e-4]]",
        "learning_rate_steps = [[1000, nan]]",
        "learning_rate_steps = [[1000, inf]]",
        "learning_rate_steps = [[1000, 2.0]]",
        'cosine = "yes"',
        "hard_negatives_at = 500",
        "hard_negatives_at = [-1]",
        "hard_share = 1.5",
        'foreground_per_batch = "eight"',
        "foreground_per_batch = 0",
        "background_per_batch = 1.5",
        "context_share = 1.0",
        "fg_lab_per_fg_wsi = [0, 0]",
        "fg_lab_per_fg_wsi = [1, 1, 1]",
        "weight_decay = -0.1",
        "average = 1.0",
        "widths = [32, 32, 64]",
        "widths = [32, 32, 64, 64, 128, 0]",
        "seed = -1",
        "calibrate = 1",
        "evaluate_every = 0",
        "checkpoint_every = true",
        "augmentation = 3",
        "[augmentation]\ncontrast_transfer = 2",
        '[augmentation]\nshift = "far"',
        "[augmentation]\nscale = -1",
        "[augmentation]\nscale = 1.5",
        "[augmentation]\nshift = 1e300",
        "weight_decay = inf",
        "[augmentation]\njpeg = [0.5]",
        "momentum = 0.9",
        "[augmentation]\nhue = 0.1",
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_the_name_of_its_field(tmp_path, line):
    field = line.removeprefix("[augmentation]\n").split(" = ")[0]
    with pytest.raises(PlanError, match=rf"own\.toml: {field} (must|is no field)"):
        read_plan(written(tmp_path, line + "\n"))


SHIPPED = Path(detector.__file__).parent / "plans"
V0_2_0 = Path(__file__).parents[2] / "fixtures" / "v0_2_0" / "plans"


@pytest.mark.parametrize("path", sorted(V0_2_0.glob("*.toml")), ids=lambda path: path.stem)
def test_a_plan_of_0_2_0_means_what_it_meant_and_says_what_to_write(path, caplog):
    then, plan = tomllib.loads(path.read_text("utf-8")), read_plan(str(path))
    steps = then["learning_rate_steps"]
    assert plan.as_0_2_0()["learning_rate_steps"] == [tuple(step) for step in steps]
    assert (plan.iterations, plan.ema_decay) == (sum(count for count, _ in steps), then["average"])
    assert f"{path}: learning_rate_steps, " in caplog.text and "write iterations, learning_rate" in caplog.text
    if (SHIPPED / path.name).exists():
        assert read_plan(path.stem).as_dict() == plan.as_dict() == plan_of_card(plan.as_0_2_0()).as_dict()


def test_old_names_in_a_change_keep_the_other_half_of_the_schedule():
    plan = override(
        read_plan("refine"), {"learning_rate_steps": [[4, 1e-3], [1, 1e-6]], "hard_negatives_at": []}, where=""
    )
    assert (plan.schedule, plan.iterations, plan.learning_rate, plan.final_learning_rate) == ("cosine", 5, 1e-3, 1e-6)
    assert override(plan, {"cosine": False}, where="").steps == [(4, 1e-3), (1, 1e-6)]


@pytest.mark.parametrize("name", ["paper", "short", "refine"])
@pytest.mark.parametrize("iterations", [7, 300, 100_000])
def test_a_scaled_plan_has_its_dates_in_proportion(name, iterations):
    plan = scaled(read_plan(name), iterations)
    assert plan.iterations == sum(count for count, _ in plan.steps)
    assert abs(plan.iterations - iterations) <= 2
    assert [rate for _, rate in plan.steps] == [rate for _, rate in read_plan(name).steps]
    assert plan_of_card(plan.as_dict()).steps == plan.steps


def test_what_is_no_toml_is_refused_with_its_line(tmp_path):
    with pytest.raises(PlanError, match=r"own\.toml is no TOML: .*line 2"):
        read_plan(written(tmp_path, "seed = 1\nseed 2\n"))
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="is no TOML"):
        read_plan(str(tmp_path / "own.toml"))


def test_a_plan_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(PlanError, match=r"there is no plan long; give one of paper, .*short"):
        read_plan("long")
