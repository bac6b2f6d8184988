"""Cross-validation of training plans, leaving out one case or one source of data after the other.

Each plan trains one network for each part, on all others, and is evaluated on that part; the detections of all its
networks are pooled. So a choice between plans rests on every labelled case. By source it says what a laboratory gets
that the detector has neither learnt from nor been calibrated on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.detection.scorer import Scorer, load_scorer
from detector.errors import PlanError
from detector.evaluation.compare import decide
from detector.evaluation.evaluate import evaluate, main_metrics, summary
from detector.evaluation.metrics import Evaluation, paired_intervals
from detector.experiments.table1 import STAMP
from detector.frames import Case
from detector.model.card import LeftOut, read_card, refuse_training_cases
from detector.model.checkpoint import load_weights
from detector.split import evaluable_cases, split_by_case
from detector.training.calibrate import calibrate
from detector.training.plan import Plan
from detector.training.train import WEIGHTS, is_trained, train_initial_model

Say = Callable[[str], None]


def cross_validate(
    cases: Sequence[Case],
    plans: Sequence[Plan],
    out: Path,
    *,
    say: Say,
    by: str = "case",
    calibrate_on: Sequence[str] = (),
    **course: Any,
) -> list[dict[str, Any]]:
    """One row for each plan, compared with the first plan; `out/table.json` and `out/table.md` grow by them.

    The weights are in a folder for each plan and part. by: "case" or "source", what is left out in turn. calibrate_on:
    names of cases that no network learns from; those of other parts set the scale of its scores before it is evaluated.
    course: options of `train_initial_model`. Finished trainings in `out` are reused. Raises ValueError where two plans
    have one name, where fewer than two cases or sources can be evaluated on, where the parent was trained on a case of
    these, or where a part leaves no case to calibrate on, and PlanError where `out` holds other trainings.
    """
    names, parts = evaluable_cases(cases), _parts(cases, by)
    if len(parts) < 2:
        raise ValueError(f"cross-validation needs two {by}s with all their mitoses labelled, not {len(parts)}")
    if (out / STAMP).exists():
        raise PlanError(f"{out} holds what `reproduce` wrote; choose another --out")
    folders = [out / re.sub(r"[^\w.]+", "-", plan.name).strip("-") for plan in plans]
    if len(set(folders)) < len(folders):
        raise ValueError("two of the plans have one name; each needs its own")
    parent = read_card(course["parent"])["sha256"] if course.get("parent") else None
    if parent:
        refuse_training_cases(course["parent"], {name for part in parts.values() for name in part})
    course["parent_peaks"] = {}
    rows: list[dict[str, Any]] = []
    evaluations: list[Evaluation] = []
    for plan, folder in zip(plans, folders, strict=True):
        found: dict[str, Evaluation] = {}
        for name, part in parts.items():
            train, test = split_by_case(cases, part)
            if calibrate_on:
                train, scale_on = split_by_case(train, [name for name in calibrate_on if name not in part])
                if not scale_on:
                    raise ValueError(f"no case is left to calibrate on without {name}; name some of other {by}s")
            weights = folder / name.replace("/", "-") / WEIGHTS
            if not is_trained(weights.parent, train, plan, course.get("parent")):
                say(f"{plan.name}: learns from all but {name}")
                train_initial_model(train, (), plan, weights.parent, **course)
            test = [case for case in test if case.name in names]
            if calibrate_on:
                network, _ = load_weights(weights)
                scorer = Scorer(network, figures=calibrate(network, scale_on)[0])
            else:
                scorer = load_scorer(weights, cascade=False)[0]
            found[name] = evaluate(scorer, test)
        evaluations.append(Evaluation([frame for one in found.values() for frame in one.frames]))
        rows.append(_row(plan, found, len(names), evaluations[0], evaluations[-1]) | {"by": by, "parent": parent})
        (out / "table.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        (out / "table.md").write_text(table(rows), "utf-8")
        say(table(rows[-1:]).splitlines()[-1])
    return rows


def _parts(cases: Sequence[Case], by: str) -> dict[str, list[str]]:
    """Names of the cases that are left out together, by the name of their case or source; each can be evaluated on."""
    names = evaluable_cases(cases)
    if by == "case":
        return {name: [name] for name in names}
    of = {case.name: {frame.source for frame in case.frames} for case in cases}
    sources = sorted({source for name in names for source in of[name]})
    return {source: [name for name, held in of.items() if source in held] for source in sources}


def _row(plan: Plan, found: Mapping[str, Evaluation], cases: int, first: Evaluation, own: Evaluation) -> dict[str, Any]:
    row: dict[str, Any] = {
        "plan": plan.as_dict(),
        "parts": {name: main_metrics(one) for name, one in found.items()},
        "all": summary(own),
    }
    if own is not first:
        paired = paired_intervals(own, first)
        row["verdict"], _ = decide(paired, cases)
        row["difference"] = {key: [round(value, 4) for value in values] for key, values in paired.items()}
    return row


def read_left_out(path: Path) -> LeftOut:
    """What the first row of a `table.json` by source says, for a card. Raises ValueError where it is none."""
    try:
        first = json.loads(path.read_text("utf-8"))[0]
        if first["by"] != "source":
            raise ValueError(f"{path} leaves out one {first['by']} after the other; a card takes a table by source")
        return {"plan": first["plan"]["name"], "parent": first["parent"], "metrics_by_source": first["parts"]}
    except (OSError, KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no table.json of `cross-validate`: {error}") from error


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown: F1 at 0.5 on each part, max F1 and its threshold; on all together max F1 at one threshold,
    and F1, precision and recall at 0.5."""
    names = list(rows[0]["parts"])
    lines = [
        f"| plan | F1 at 0.5, max F1 (at): {' | '.join(names)} | all: max F1 "
        "| F1 at 0.5 | precision | recall | against the first |",
        "|---" * (len(names) + 6) + "|",
    ]
    for row in rows:
        parts = [
            f"{one['f1_at_0.5']:.3f}, {one['max_f1']:.3f} ({one['max_f1_threshold']:.2f})"
            for one in (row["parts"][name] for name in names)
        ]
        of_all = [f"{row['all'][key]:.3f}" for key in ("max_f1", "f1_at_0.5", "precision", "recall")]
        said = ""
        if "verdict" in row:
            value, low, high = row["difference"]["max_f1"]
            said = f"{row['verdict']}: {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {row['plan']['name']} | {' | '.join([*parts, *of_all])} | {said} |")
    return "\n".join(lines) + "\n"
