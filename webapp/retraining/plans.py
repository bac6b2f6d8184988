"""The choices of a person in a training plan. The plans, and the checks of their values, are the detector's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings

from webapp.core.errors import InvalidInput
from webapp.retraining.types import PlanChoice

DEVICES = ("auto", "cpu", "cuda")
_SEED_LIMIT, _ITERATIONS_LIMIT = 2**31, 1_000_000


# Those for a laboratory, the quickest first, with what each is for.
PLANS = {
    "short": "short: for trying things out",
    "standard": "standard: 1,600 iterations on top of initial weights",
    "paper": "paper: the paper's 60,000 iterations, for a GPU",
}


def plan_names() -> list[str]:
    """The plans that are shipped with the detector: those for a laboratory, then those of its development."""
    folder = settings.BASE_DIR / "detector" / "plans"
    return [*PLANS, *sorted(path.stem for path in folder.glob("*.toml") if path.stem not in PLANS)]


def checked_plan(given: Mapping[str, Any]) -> PlanChoice:
    """The choices, completed by defaults. Raises InvalidInput naming the field.

    base: a shipped plan. iterations: its course at another length, null for its own. ratio: FG-Lab : FG-WSI. augment:
    augmentation of colour, position and sharpness. changes: other fields of the plan, as in a plan's TOML.
    """
    plan: dict[str, Any] = {
        "base": "short", "iterations": None, "ratio": [1, 1], "seed": 1, "augment": True, "device": "auto",
        "changes": {}, **given,
    }  # fmt: skip
    if unknown := set(given) - {"base", "iterations", "ratio", "seed", "augment", "device", "changes"}:
        raise InvalidInput(f"{', '.join(sorted(unknown))} is no part of a plan.")
    if plan["base"] not in plan_names():
        raise InvalidInput(f"There is no plan {plan['base']}; there are {', '.join(plan_names())}.")
    if plan["iterations"] is not None and not _whole(plan["iterations"], 1, _ITERATIONS_LIMIT):
        raise InvalidInput(f"Iterations are a whole number from 1 to {_ITERATIONS_LIMIT:,}.")
    if not _is_ratio(plan["ratio"]):
        raise InvalidInput("The ratio is two whole numbers, FG-Lab : FG-WSI, the first above 0.")
    if not _whole(plan["seed"], 0, _SEED_LIMIT):
        raise InvalidInput("The seed is a whole number from 0 up.")
    if plan["device"] not in DEVICES:
        raise InvalidInput(f"The device is one of {', '.join(DEVICES)}.")
    if not isinstance(plan["changes"], dict) or not isinstance(plan["augment"], bool):
        raise InvalidInput("`changes` is a table of fields of the plan, `augment` true or false.")
    return cast(PlanChoice, plan)


def _is_ratio(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _whole(value[0], 1, 100) and _whole(value[1], 0, 100)


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
