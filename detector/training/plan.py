"""Training plans: the paper's schedule, a short one, or a TOML file of one's own."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from detector import paper
from detector.errors import PlanError
from detector.training.augment import Augmentation

_FOLDER = Path(__file__).parents[1] / "plans"


@dataclass(frozen=True)
class Plan:
    """Everything that decides a training besides the data. The defaults are the paper's."""

    name: str = "paper"
    learning_rate_steps: tuple[tuple[int, float], ...] = paper.LEARNING_RATE_STEPS
    cosine: bool = False  # within the whole schedule, from the first rate to the last, instead of in steps
    hard_negatives_at: tuple[int, ...] = (paper.HARD_NEGATIVES_AT,)
    hard_min_score: float = paper.BG_HARD_MIN_SCORE  # of a false positive that enters BG-Hard
    hard_share: float = 1.0  # share of background patches from BG-Hard once it is there
    foreground_per_batch: int = paper.FOREGROUND_PER_BATCH
    background_per_batch: int = paper.BACKGROUND_PER_BATCH
    context_share: float = 0.0  # of the background for single patches, the share cut beside their own mitosis
    fg_lab_per_fg_wsi: tuple[int, int] = paper.FG_LAB_PER_FG_WSI
    weight_decay: float = 0.0
    average: float = 0.0  # decay of the moving average of weights; 0 for none
    widths: tuple[int, ...] = paper.WIDTHS
    padded: bool = False  # the network with zero padding
    seed: int = 1
    calibrate: bool = False  # at the end, shift the logits so that score 0.5 is near the best F1 on the held-out cases
    evaluate_every: int = 5000
    checkpoint_every: int = 500
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def iterations(self) -> int:
        """Length of the whole schedule."""
        return sum(count for count, _ in self.learning_rate_steps)

    def learning_rate(self, iteration: int) -> float:
        """Adam's learning rate at an iteration counted from 0."""
        if self.cosine:
            first, last = self.learning_rate_steps[0][1], self.learning_rate_steps[-1][1]
            warm = min(1.0, (iteration + 1) / max(1, int(self.iterations * paper.WARM_UP_SHARE)))
            return warm * (last + (first - last) * 0.5 * (1 + math.cos(math.pi * iteration / self.iterations)))
        end = 0
        for count, rate in self.learning_rate_steps:
            end += count
            if iteration < end:
                return rate
        return self.learning_rate_steps[-1][1]

    def as_dict(self) -> dict[str, Any]:
        """For the card of the weights."""
        return asdict(self)


def read_plan(name: str) -> Plan:
    """The plan "paper", another one that is shipped ("short"), or a TOML file with some of the fields of `Plan`.

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


def override(plan: Plan, values: dict[str, Any], *, where: str) -> Plan:
    """The plan with some of its fields changed. where: for errors. Raises PlanError naming the field."""
    values = dict(values)
    augmentation = values.pop("augmentation", {})
    if not isinstance(augmentation, dict):
        raise PlanError(f"{where}: augmentation must be a table, not {augmentation!r}")
    augmentation = dict(augmentation)
    for table, kind in ((values, Plan), (augmentation, Augmentation)):
        if unknown := sorted(set(table) - {f.name for f in fields(kind)}):
            raise PlanError(f"{where}: {', '.join(unknown)} is no field of a plan")
        for key, value in table.items():
            table[key] = _as_tuples(value)
            right, what = _RULES[key]
            if not right(table[key]):
                raise PlanError(f"{where}: {key} must be {what}, not {value!r}")
    made = replace(plan, **values, augmentation=replace(plan.augmentation, **augmentation))
    if late := [at for at in made.hard_negatives_at if at >= made.iterations]:
        raise PlanError(
            f"{where}: hard_negatives_at {late[0]} is not before the end, iteration {made.iterations}; give iterations "
            "before it, or [] to mine no hard negatives"
        )
    return made


def override_toml(plan: Plan, text: str) -> Plan:
    """The plan with what a line of TOML says, and named by it: "augmentation.blur = 0; weight_decay = 0".

    Raises PlanError naming the field.
    """
    try:
        values = tomllib.loads(text.replace(";", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{text} is no TOML ({error}); write a change as 'augmentation.blur = 0'") from error
    return override(replace(plan, name=text), values, where=text)


def scaled(plan: Plan, iterations: int) -> Plan:
    """The same course in about another number of iterations: every date of it moves by the same factor."""
    factor = iterations / plan.iterations
    return replace(
        plan,
        learning_rate_steps=tuple((max(1, round(count * factor)), rate) for count, rate in plan.learning_rate_steps),
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


def _is_step(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and _is_count(value[0])
        and _is_amount(value[1], 1)
        and value[1] > 0
    )


_COUNT = _is_count, "a whole number from 1 up"
_AMOUNT = _is_amount, "a number from 0 up"
_SHARE = (lambda v: _is_amount(v, 1)), "a number between 0 and 1"
_SHARE_BELOW_1 = (lambda v: _is_amount(v, 1) and v < 1), "a number from 0 up and below 1"

# What the fields of a plan and of its augmentation may be, in code and in words.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": ((lambda v: isinstance(v, str)), "a text"),
    "learning_rate_steps": (
        (lambda v: isinstance(v, tuple) and len(v) > 0 and all(map(_is_step, v))),
        "pairs of iterations and learning rate, both above 0, the rate at most 1, e.g. [[20000, 1e-4], [10000, 1e-5]]",
    ),
    "cosine": ((lambda v: isinstance(v, bool)), "true or false"),
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
    "average": _SHARE_BELOW_1,
    "widths": (
        (lambda v: isinstance(v, tuple) and len(v) == 6 and all(map(_is_count, v))),
        "six whole numbers above 0 (stem and five blocks)",
    ),
    "padded": ((lambda v: isinstance(v, bool)), "true or false"),
    "calibrate": ((lambda v: isinstance(v, bool)), "true or false"),
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
