"""Training plans (hyperparameters): the paper's, other shipped ones, or a TOML file."""

from __future__ import annotations

import itertools
import json
import logging
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from detector import paper
from detector.errors import PlanError
from detector.training.augment import Augmentation

_FOLDER = Path(__file__).parents[1] / "plans"
_log = logging.getLogger(__name__)


def _milestones(steps: Sequence[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """(iteration, learning rate) of every change of rate in pairs of (iterations, learning rate)."""
    starts = itertools.accumulate(count for count, _ in steps)
    return tuple((at, rate) for at, (_, rate) in zip(starts, steps[1:], strict=False))


@dataclass(frozen=True)
class Plan:
    """Hyperparameters: everything that decides a training besides the data. The defaults are the paper's (3.1).

    schedule: "steps" starts at `learning_rate` and changes it at each of `milestones` (iteration, new rate); "cosine"
    warms up to `learning_rate` and falls to `final_learning_rate` at the end.
    """

    name: str = "paper"
    iterations: int = sum(count for count, _ in paper.LEARNING_RATE_STEPS)
    learning_rate: float = paper.LEARNING_RATE_STEPS[0][1]  # Adam's, at the beginning
    final_learning_rate: float = paper.LEARNING_RATE_STEPS[-1][1]  # of the cosine schedule
    schedule: str = "steps"
    milestones: tuple[tuple[int, float], ...] = _milestones(paper.LEARNING_RATE_STEPS)  # of the steps schedule
    hard_negatives_at: tuple[int, ...] = (paper.HARD_NEGATIVES_AT,)  # iterations
    hard_min_score: float = paper.BG_HARD_MIN_SCORE  # of a false positive that enters BG-Hard
    hard_share: float = 1.0  # share of background patches from BG-Hard once there are any
    foreground_per_batch: int = paper.FOREGROUND_PER_BATCH
    background_per_batch: int = paper.BACKGROUND_PER_BATCH
    context_share: float = 0.0  # of the background for single patches, the share cut beside their own mitosis
    source_priors: bool = False  # learn each source's own ratio of mitoses to hard negatives (`SampleSets.priors`)
    fg_lab_per_fg_wsi: tuple[int, int] = paper.FG_LAB_PER_FG_WSI
    weight_decay: float = 0.0
    ema_decay: float = 0.0  # of the exponential moving average of the weights; 0 for none
    widths: tuple[int, ...] = paper.WIDTHS
    padded: bool = False  # zero padding in the convolutions
    seed: int = 1
    calibrate: bool = False  # at the end, shift the logits so that score 0.5 is near the best F1 on the held-out cases
    evaluate_every: int = 5000  # iterations
    checkpoint_every: int = 500  # iterations
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def steps(self) -> list[tuple[int, float]]:
        """(iterations, learning rate) in their order; of a cosine, its first rate and, for one iteration, its last."""
        if self.schedule == "cosine":
            return [(self.iterations - 1, self.learning_rate), (1, self.final_learning_rate)][self.iterations == 1 :]
        reached = [(at, rate) for at, rate in self.milestones if at < self.iterations]
        starts, rates = [0, *(at for at, _ in reached)], [self.learning_rate, *(rate for _, rate in reached)]
        return [(end - at, rate) for at, end, rate in zip(starts, [*starts[1:], self.iterations], rates, strict=True)]

    def learning_rate_at(self, iteration: int) -> float:
        """Adam's learning rate at an iteration counted from 0."""
        if self.schedule == "cosine":
            first, last = self.learning_rate, self.final_learning_rate
            warm = min(1.0, (iteration + 1) / max(1, int(self.iterations * paper.WARM_UP_SHARE)))
            return warm * (last + (first - last) * 0.5 * (1 + math.cos(math.pi * iteration / self.iterations)))
        return next((rate for at, rate in reversed(self.milestones) if at <= iteration), self.learning_rate)

    def as_dict(self) -> dict[str, object]:
        """The fields that the schedule uses, ready for JSON: what a card holds."""
        values = json.loads(json.dumps(asdict(self)))
        if self.schedule == "cosine":
            del values["milestones"]
        else:
            del values["final_learning_rate"]
            values["milestones"] = [[at, rate] for at, rate in values["milestones"] if at < self.iterations]
        return dict(values)

    def as_0_2_0(self) -> dict[str, object]:
        """The fields as version 0.2.0 called them. Checkpoints name their training by a hash of these."""
        values = asdict(self)
        for name in ("iterations", "learning_rate", "final_learning_rate", "milestones"):
            del values[name]
        values |= {"learning_rate_steps": self.steps, "cosine": values.pop("schedule") == "cosine"}
        values["average"] = values.pop("ema_decay")
        for name in ("stain", "gamma", "sharpen"):  # which it had not, nor the next
            if not values["augmentation"][name]:
                del values["augmentation"][name]
        if not self.source_priors:
            del values["source_priors"]
        return values


def read_plan(name: str) -> Plan:
    """The plan "paper", another shipped one ("short"), or a TOML file with some fields of `Plan`, the rest the paper's.

    Raises PlanError naming the field.
    """
    if name == "paper":
        return Plan()
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not path.exists():
        shipped = ", ".join(["paper", *sorted(p.stem for p in _FOLDER.glob("*.toml"))])
        raise PlanError(f"there is no plan {name}; give one of {shipped}, or a .toml file")
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"{path} is no TOML: {error}") from error
    return override(Plan(name=path.stem), values, where=str(path))


def override(plan: Plan, values: Mapping[str, object], *, where: str) -> Plan:
    """The plan with some of its fields replaced; names of 0.2.0 are read too. where: for errors.

    Raises PlanError naming the field.
    """
    if old := [name for name in _OLD if name in values]:
        instead = ", ".join(_OLD[name] for name in old)
        _log.warning("%s: %s will not be read by the next version; write %s", where, ", ".join(old), instead)
    return _replaced(plan, values, where)


def plan_of_card(values: Mapping[str, object]) -> Plan:
    """The plan on a card, from `Plan.as_dict` or as 0.2.0 wrote it. Raises PlanError naming the field."""
    return _replaced(Plan(), values, "the card")


def _replaced(plan: Plan, given: Mapping[str, object], where: str) -> Plan:
    values: dict[str, Any] = dict(given)
    augmentation = values.pop("augmentation", {})
    if not isinstance(augmentation, dict):
        raise PlanError(f"{where}: augmentation must be a table, not {augmentation!r}")
    values = _renamed(_checked(values, {f.name for f in fields(Plan)} | set(_OLD), where))
    augmentation = _checked(augmentation, {f.name for f in fields(Augmentation)}, where)
    made = replace(plan, **values, augmentation=replace(plan.augmentation, **augmentation))
    if late := [at for at in made.hard_negatives_at if at >= made.iterations]:
        raise PlanError(
            f"{where}: hard_negatives_at {late[0]} is not before the end, iteration {made.iterations}; give iterations "
            "before it, or [] to mine no hard negatives"
        )
    return made


def _checked(table: dict[str, Any], names: set[str], where: str) -> dict[str, Any]:
    """The values as a Plan holds them. Raises PlanError naming the field that is unknown or has an impossible value."""
    if unknown := sorted(set(table) - names):
        raise PlanError(f"{where}: {', '.join(unknown)} is no field of a plan")
    checked = {key: _as_tuples(value) for key, value in table.items()}
    for key, value in checked.items():
        right, what = _RULES[key]
        if not right(value):
            raise PlanError(f"{where}: {key} must be {what}, not {table[key]!r}")
    return checked


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of 0.2.0 under their present names."""
    now = {key: value for key, value in values.items() if key not in _OLD}
    if "average" in values:
        now["ema_decay"] = values["average"]
    if "cosine" in values:
        now["schedule"] = "cosine" if values["cosine"] else "steps"
    if "learning_rate_steps" in values:
        steps = values["learning_rate_steps"]
        now |= {"iterations": sum(count for count, _ in steps), "milestones": _milestones(steps)}
        now |= {"learning_rate": steps[0][1], "final_learning_rate": steps[-1][1]}
    return now


def override_toml(plan: Plan, text: str) -> Plan:
    """The plan with fields replaced by a line of TOML, which becomes its name: "augmentation.blur = 0; seed = 2".

    Raises PlanError naming the field.
    """
    try:
        values = tomllib.loads(text.replace(";", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{text} is no TOML ({error}); write a change as 'augmentation.blur = 0'") from error
    return override(replace(plan, name=text), values, where=text)


def scaled(plan: Plan, iterations: int) -> Plan:
    """The same schedule in about another number of iterations: every date moves by the same factor."""
    factor = iterations / plan.iterations
    steps = [(max(1, round(count * factor)), rate) for count, rate in plan.steps]
    return replace(
        plan,
        iterations=sum(count for count, _ in steps),
        milestones=_milestones(steps),
        hard_negatives_at=tuple(round(at * factor) for at in plan.hard_negatives_at),
        evaluate_every=max(1, round(plan.evaluate_every * factor)),
        checkpoint_every=max(1, min(plan.checkpoint_every, round(plan.evaluate_every * factor))),
    )


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(part) for part in value) if isinstance(value, list) else value


def _is_count(value: Any, low: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_amount(value: Any, high: float = math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= high and value < math.inf


def _is_rate(value: Any) -> bool:
    return _is_amount(value, 1) and value > 0


def _is_step(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and _is_count(value[0]) and _is_rate(value[1])


def _are_milestones(value: Any) -> bool:
    if not (isinstance(value, tuple) and all(map(_is_step, value))):
        return False
    return all(before < after for (before, _), (after, _) in itertools.pairwise(value))


_COUNT = _is_count, "a whole number from 1 up"
_AMOUNT = _is_amount, "a number from 0 up"
_SHARE = (lambda v: _is_amount(v, 1)), "a number between 0 and 1"
_SHARE_BELOW_1 = (lambda v: _is_amount(v, 1) and v < 1), "a number from 0 up and below 1"
_YES_OR_NO = (lambda v: isinstance(v, bool)), "true or false"
_RATE = _is_rate, "a number above 0, at most 1"

# Fields of 0.2.0, and what is written instead.
_OLD = {
    "learning_rate_steps": "iterations, learning_rate, and milestones or final_learning_rate",
    "cosine": 'schedule = "cosine" or "steps"',
    "average": "ema_decay",
}

# What the fields of a plan and of its augmentation may be, in code and in words.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": ((lambda v: isinstance(v, str)), "a text"),
    "iterations": _COUNT,
    "learning_rate": _RATE,
    "final_learning_rate": _RATE,
    "schedule": ((lambda v: v in ("steps", "cosine")), '"steps" or "cosine"'),
    "milestones": (
        _are_milestones,
        "pairs of rising iterations and the learning rate from there on, e.g. [[20000, 1e-5], [50000, 1e-6]]",
    ),
    "learning_rate_steps": (
        (lambda v: isinstance(v, tuple) and len(v) > 0 and all(map(_is_step, v))),
        "pairs of iterations and learning rate, both above 0, the rate at most 1, e.g. [[20000, 1e-4], [10000, 1e-5]]",
    ),
    "cosine": _YES_OR_NO,
    "hard_negatives_at": (
        (lambda v: isinstance(v, tuple) and all(_is_count(at, 0) for at in v)),
        "a list of iterations, e.g. [30000]",
    ),
    "hard_min_score": (lambda v: _is_amount(v, 1) and 0 < v < 1, "a number between 0 and 1, both excluded"),
    "hard_share": _SHARE,
    "foreground_per_batch": _COUNT,
    "background_per_batch": _COUNT,
    "context_share": _SHARE_BELOW_1,
    "fg_lab_per_fg_wsi": (
        (lambda v: isinstance(v, tuple) and len(v) == 2 and all(_is_count(part, 0) for part in v) and sum(v) > 0),
        "two whole numbers that are not both 0, e.g. [1, 1]",
    ),
    "weight_decay": _AMOUNT,
    "ema_decay": _SHARE_BELOW_1,
    "average": _SHARE_BELOW_1,
    "widths": (
        (lambda v: isinstance(v, tuple) and len(v) == 6 and all(map(_is_count, v))),
        "six whole numbers above 0 (stem and five blocks)",
    ),
    "padded": _YES_OR_NO,
    "calibrate": _YES_OR_NO,
    "source_priors": _YES_OR_NO,
    "seed": ((lambda v: _is_count(v, 0) and v < 2**63), "a whole number from 0 up, below 2^63"),
    "evaluate_every": _COUNT,
    "checkpoint_every": _COUNT,
    "contrast_transfer": _SHARE,
    "shift": (lambda v: _is_amount(v, 64), "a number of px between 0 and 64"),
    "scale": _SHARE,
    "colour": _SHARE,
    "stain": _SHARE,
    "gamma": _SHARE,
    "blur": _SHARE,
    "sharpen": _SHARE,
    "jpeg": _SHARE,
}
