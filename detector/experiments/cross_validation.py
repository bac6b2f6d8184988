"""Leave-one-case-out cross-validation of training plans.

Each plan trains one network for each case, on all others, and is evaluated on that case; the detections of all its
networks are pooled. So a choice between plans rests on every labelled case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detector.detection.scorer import load_scorer
from detector.errors import PlanError
from detector.evaluation.compare import decide
from detector.evaluation.evaluate import evaluate, summary
from detector.evaluation.metrics import Evaluation, MatchedFrame, paired_intervals
from detector.experiments.table1 import STAMP
from detector.frames import Case
from detector.model.card import refuse_training_cases
from detector.split import evaluable_cases, split_by_case
from detector.training.plan import Plan
from detector.training.train import WEIGHTS, is_trained, train_initial_model

Say = Callable[[str], None]


def cross_validate(
    cases: Sequence[Case], plans: Sequence[Plan], out: Path, *, say: Say, **course: Any
) -> list[dict[str, Any]]:
    """One row for each plan, compared with the first plan; `out/table.json` and `out/table.md` grow by them.

    The weights are in a folder for each plan and case. course: options of `train_initial_model`. Finished
    trainings in `out` are reused. Raises ValueError where two plans have one name, where fewer than two cases can be
    evaluated on, or where the parent was trained on one of these, and PlanError where `out` holds other trainings.
    """
    names = evaluable_cases(cases)
    if len(names) < 2:
        raise ValueError(f"cross-validation needs two cases with all their mitoses labelled, not {len(names)}")
    if (out / STAMP).exists():
        raise PlanError(f"{out} holds what `reproduce` wrote; choose another --out")
    folders = [out / re.sub(r"[^\w.]+", "-", plan.name).strip("-") for plan in plans]
    if len(set(folders)) < len(folders):
        raise ValueError("two of the plans have one name; each needs its own")
    if course.get("parent") is not None:
        refuse_training_cases(course["parent"], set(names))
    rows: list[dict[str, Any]] = []
    evaluations: list[Evaluation] = []
    for plan, folder in zip(plans, folders, strict=True):
        frames: list[MatchedFrame] = []
        for name in names:
            train, test = split_by_case(cases, [name])
            weights = folder / name / WEIGHTS
            if not is_trained(weights.parent, train, plan, course.get("parent")):
                say(f"{plan.name}: learns from all but {name}")
                train_initial_model(train, (), plan, weights.parent, **course)
            frames += evaluate(load_scorer(weights, cascade=False)[0], test).frames
        evaluations.append(Evaluation(frames))
        rows.append(_row(plan, names, evaluations[0], evaluations[-1]))
        (out / "table.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        (out / "table.md").write_text(table(rows), "utf-8")
        say(table(rows[-1:]).splitlines()[-1])
    return rows


def _row(plan: Plan, names: Sequence[str], first: Evaluation, own: Evaluation) -> dict[str, Any]:
    row: dict[str, Any] = {
        "plan": plan.as_dict(),
        "max_f1_by_case": {name: Evaluation([own.pooled(name)]).max_f1()[0] for name in names},
        "all": summary(own),
    }
    if own is not first:
        paired = paired_intervals(own, first)
        row["verdict"], _ = decide(paired, len(names))
        row["difference"] = {key: [round(value, 4) for value in values] for key, values in paired.items()}
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown: max F1 on each case, and on all together at one threshold; F1, precision, recall at 0.5."""
    names = list(rows[0]["max_f1_by_case"])
    lines = [
        f"| plan | max F1: {' | '.join(names)} | all | F1 at 0.5 | precision | recall | against the first |",
        "|---" * (len(names) + 6) + "|",
    ]
    for row in rows:
        of_all = [row["all"][key] for key in ("max_f1", "f1_at_0.5", "precision", "recall")]
        figures = " | ".join(f"{value:.3f}" for value in [*row["max_f1_by_case"].values(), *of_all])
        said = ""
        if "verdict" in row:
            value, low, high = row["difference"]["max_f1"]
            said = f"{row['verdict']}: {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {row['plan']['name']} | {figures} | {said} |")
    return "\n".join(lines) + "\n"
