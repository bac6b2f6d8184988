"""Table 1 in print: means over seeds, paired differences with their intervals, what was mined at which agreement."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from detector.evaluation.metrics import Evaluation
from detector.evaluation.seeds import f1_of, paired_intervals_over_seeds
from detector.experiments.hidden_labels import ConsensusRow

_WITH_U = " + U"


@dataclass(frozen=True)
class Result:
    """One row of Table 1 for one seed. tests: the evaluation on each test set.

    mined: of a row with U, what it was trained on; by_consensus: the same at other agreements.
    """

    row: str
    seed: int
    tests: dict[str, Evaluation]
    mined: ConsensusRow | None = None
    by_consensus: Sequence[ConsensusRow] = field(default=())


Cell = TypedDict(
    "Cell", {"max_f1": float, "max_f1_deviation": float, "f1_at_0.5": float, "f1_at_0.5_deviation": float}
)  # mean and standard deviation over seeds


class MeanRow(TypedDict):
    """A row of Table 1. tests: by test set."""

    row: str
    seeds: int
    tests: dict[str, Cell]


Difference = TypedDict(
    "Difference",
    {
        "row": str,  # with U
        "minus": str,  # without
        "test": str,
        "seeds": int,
        "cases": int,  # distinct ones
        "max_f1": list[float],  # difference, low, high
        "f1_at_0.5": list[float],
    },
)


class MinedRow(ConsensusRow):
    """What the seeds of a row mined, added up. trained_on: whether the row was trained on this agreement's samples."""

    row: str
    seeds: int
    trained_on: bool
    precision: float | None  # right / judged


SeedRow = TypedDict(
    "SeedRow",
    {
        "seed": int,
        "row": str,
        "test": str,
        "cases": str,
        "mitoses": int,
        "max_f1": float,
        "max_f1_threshold": float,
        "f1_at_0.5": float,
        "precision_at_0.5": float,
        "recall_at_0.5": float,
        "mined": int | None,
        "mined_judged": int | None,
        "mined_right": int | None,
    },
)


class Table(TypedDict):
    """Everything that `table.json` holds."""

    rows: list[MeanRow]
    differences: list[Difference]
    mined: list[MinedRow]
    by_seed: list[SeedRow]


def table_of(results: Sequence[Result]) -> Table:
    """The table of some results, in the order of their first seed."""
    rows = list(dict.fromkeys(result.row for result in results))
    of_row = {row: [result for result in results if result.row == row] for row in rows}
    return {
        "rows": [_mean_row(row, of_row[row]) for row in rows],
        "differences": [
            difference
            for row in rows
            if _WITH_U in row
            for difference in _differences(of_row[row], of_row[row.split(_WITH_U)[0]])
        ],
        "mined": [one for row in rows for one in _mined_rows(row, of_row[row])],
        "by_seed": [one for result in results for one in _seed_rows(result)],
    }


def write_table(out: Path, table: Table) -> None:
    """`table.json`, `table.md` as `markdown` and `table.csv`, a line for each seed, row and test set."""
    (out / "table.json").write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    (out / "table.md").write_text(markdown(table), "utf-8")
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, list(SeedRow.__annotations__))
        lines.writeheader()
        lines.writerows(table["by_seed"])


def markdown(table: Table) -> str:
    """The three tables as Markdown."""
    tests = list(table["rows"][0]["tests"]) if table["rows"] else []
    heads = [f"{name}: max F1 | F1 at 0.5" for name in tests]
    lines = [
        "Mean over seeds and, in brackets, its standard deviation between seeds.\n",
        f"| train set | seeds | {' | '.join(heads)} |",
        "|---" * (2 + 2 * len(tests)) + "|",
        *(_mean_line(row) for row in table["rows"]),
        "\nPaired differences, 95 % intervals over seeds and cases.\n",
        "| difference | test set | seeds | cases | max F1 | F1 at 0.5 |",
        "|---|---|---|---|---|---|",
        *(_difference_line(row) for row in table["differences"]),
        "\nMined, all seeds together; * trained on. Precision and recall by the hidden labels.\n",
        "| train set | agreement | mined | from frames with hidden labels | right | precision | recall |",
        "|---|---|---|---|---|---|---|",
        *(_mined_line(row) for row in table["mined"]),
    ]
    return "\n".join(lines) + "\n"


def _mean_row(row: str, results: Sequence[Result]) -> MeanRow:
    tests: dict[str, Cell] = {}
    for name in results[0].tests:
        f1, max_f1 = np.array([f1_of(result.tests[name]) for result in results]).T
        tests[name] = {
            "max_f1": round(float(max_f1.mean()), 4),
            "max_f1_deviation": round(float(max_f1.std()), 4),
            "f1_at_0.5": round(float(f1.mean()), 4),
            "f1_at_0.5_deviation": round(float(f1.std()), 4),
        }
    return {"row": row, "seeds": len(results), "tests": tests}


def _differences(with_u: Sequence[Result], without: Sequence[Result]) -> list[Difference]:
    by_seed = {result.seed: result for result in without}
    both = [(result, by_seed[result.seed]) for result in with_u]
    differences: list[Difference] = []
    for name in with_u[0].tests:
        first, second = ([pair[side].tests[name] for pair in both] for side in (0, 1))
        intervals = {
            key: [round(value, 4) for value in values]
            for key, values in paired_intervals_over_seeds(first, second).items()
        }
        differences.append(
            {
                "row": with_u[0].row,
                "minus": without[0].row,
                "test": name,
                "seeds": len(both),
                "cases": len({frame.case for one in first for frame in one.frames}),
                "max_f1": intervals["max_f1"],
                "f1_at_0.5": intervals["f1"],
            }
        )
    return differences


def _mined_rows(row: str, results: Sequence[Result]) -> list[MinedRow]:
    rows: list[MinedRow] = []
    for index, level in enumerate(results[0].by_consensus):
        mined, judged, right, hidden = (
            sum(counts)
            for counts in zip(
                *(
                    (at["mined"], at["judged"], at["right"], at["hidden"])
                    for at in (result.by_consensus[index] for result in results)
                ),
                strict=True,
            )
        )
        rows.append(
            {
                "row": row,
                "seeds": len(results),
                "trained_on": level == results[0].mined,
                "tta_consensus": level["tta_consensus"],
                "mined": mined,
                "judged": judged,
                "right": right,
                "hidden": hidden,
                "precision": round(right / judged, 4) if judged else None,
            }
        )
    return rows


def _seed_rows(result: Result) -> list[SeedRow]:
    rows: list[SeedRow] = []
    for name, evaluation in result.tests.items():
        counts, (best, threshold) = evaluation.counts(), evaluation.max_f1()
        rows.append(
            {
                "seed": result.seed,
                "row": result.row,
                "test": name,
                "cases": " ".join(sorted({frame.case for frame in evaluation.frames})),
                "mitoses": sum(frame.truths for frame in evaluation.frames),
                "max_f1": round(best, 4),
                "max_f1_threshold": round(threshold, 4),
                "f1_at_0.5": round(counts.f1, 4),
                "precision_at_0.5": round(counts.precision, 4),
                "recall_at_0.5": round(counts.recall, 4),
                "mined": result.mined["mined"] if result.mined else None,
                "mined_judged": result.mined["judged"] if result.mined else None,
                "mined_right": result.mined["right"] if result.mined else None,
            }
        )
    return rows


def _mean_line(row: MeanRow) -> str:
    cells = [
        f"{cell['max_f1']:.3f} ({cell['max_f1_deviation']:.3f}) "
        f"| {cell['f1_at_0.5']:.3f} ({cell['f1_at_0.5_deviation']:.3f})"
        for cell in row["tests"].values()
    ]
    return f"| {row['row']} | {row['seeds']} | {' | '.join(cells)} |"


def _difference_line(row: Difference) -> str:
    alone = row["seeds"] == row["cases"] == 1  # then the interval is a point and says nothing
    max_f1, f1 = (
        f"{value:+.3f}" if alone else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
        for value, low, high in (row["max_f1"], row["f1_at_0.5"])
    )
    return f"| ({row['row']}) - ({row['minus']}) | {row['test']} | {row['seeds']} | {row['cases']} | {max_f1} | {f1} |"


def _mined_line(row: MinedRow) -> str:
    precision = "-" if row["precision"] is None else f"{row['precision']:.2f}"
    recall = f"{row['right'] / row['hidden']:.2f}" if row["hidden"] else "-"
    mark = " *" if row["trained_on"] else ""
    return (
        f"| {row['row']} | {row['tta_consensus']:g}{mark} | {row['mined']} | {row['judged']} | {row['right']} "
        f"| {precision} | {recall} |"
    )
