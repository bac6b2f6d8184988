"""Table 1 (section 4): labelled sets T and M and unlabelled tissue U, alone and together, on held-out cases of T and M.

Each row is trained from one parent that knows none of the sources, by one plan, once for each seed. Held-out cases
rotate with the seed, so that over five seeds every case serves once; they are neither trained on nor mined. U is what a
row is not trained on: the other set's training cases, their labels hidden (`hidden_labels`), and images that have none.
A row with U is trained on what the detector of the row without it has mined. Every part is kept in `out` and known by
its card or stamp, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from detector import paper
from detector.detection.scorer import Scorer, load_scorer
from detector.errors import PlanError
from detector.evaluation.evaluate import evaluate
from detector.evaluation.metrics import Evaluation, MatchedFrame
from detector.experiments.hidden_labels import (
    CONSENSUS_LEVELS,
    ConsensusRow,
    MinedFrames,
    consensus_row,
    hide_labels,
    mine_frames,
)
from detector.experiments.report import Result, Table, table_of, write_table
from detector.frames import Case, LabelledFrame
from detector.model.card import data_summary, read_card, refuse_training_cases
from detector.slide.folder import sha256_of
from detector.split import evaluable_cases, rotated_cases, split_by_case
from detector.training.plan import Plan
from detector.training.train import WEIGHTS, is_trained, train_final_model, train_initial_model

LABELLED = ("T", "M", "T + M")  # the rows without U; each is followed by the one with it
STAMP = "experiment.json"
_EVALUATION = "evaluation.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sources:
    """The data of Table 1.

    t, m: cases of the labelled sets T and M. unlabelled: cases without labels, mined by every row with U. unseen: cases
    of another laboratory, which no row is trained on and every row is tested on. unseen_name: what the table calls it.
    """

    t: Sequence[Case]
    m: Sequence[Case]
    unlabelled: Sequence[Case] = ()
    unseen: Sequence[Case] = ()
    unseen_name: str = "unseen"

    def check(self, parent: Path | None, labelled: Sequence[str]) -> None:
        """Raises ValueError where the sources share a case, where one has labels that should not or lacks them, where
        the parent was trained on one of the cases, or where a row with U would have nothing to mine."""
        parts = [self.t, self.m, self.unlabelled, self.unseen]
        names = [name for part in parts for name in {case.name for case in part}]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is in two of the sources; each case may be in one only")
        if self.unseen_name in {"T", "M"}:
            raise ValueError(f"{self.unseen_name} is the name of a labelled set; the unseen set needs another one")
        for name, part in (("T", self.t), ("M", self.m)):
            if len(evaluable_cases(part)) < 2:
                raise ValueError(f"{name} needs two cases with all their mitoses labelled: one to hold out at least")
        if self.unseen and not evaluable_cases(self.unseen):
            raise ValueError(f"{self.unseen_name} has no case with all its mitoses labelled to be tested on")
        if any(frame.exhaustive or len(frame.mitoses) for case in self.unlabelled for frame in case.frames):
            raise ValueError("the unlabelled cases have labels; hide them, or give the cases as T or M")
        if "T + M" in labelled and not self.unlabelled:
            raise ValueError(
                "T + M + U has nothing to mine, as both are trained on: give unlabelled images, or leave out T + M"
            )
        if parent is not None:
            refuse_training_cases(parent, set(names))


@dataclass(frozen=True)
class Fold:
    """The sources of one seed. training: the cases of T and of M to train on or to mine. tests: by test set."""

    training: dict[str, list[Case]]
    tests: dict[str, list[Case]]


def fold_of(sources: Sources, seed: int) -> Fold:
    """The cases of T and of M that are held out for a seed, and the others; see `rotated_cases`."""
    training, tests = {}, {}
    for name, cases in (("T", sources.t), ("M", sources.m)):
        training[name], tests[name] = split_by_case(cases, rotated_cases(evaluable_cases(cases), seed))
    if sources.unseen:
        tests[sources.unseen_name] = list(sources.unseen)
    return Fold(training, tests)


def run_table(
    sources: Sources, plan: Plan, out: Path, *, tta_consensus: float, say: Say, seeds: int = 5, rounds: int = 1,
    labelled: Sequence[str] = LABELLED, **course: Any,
) -> Table:  # fmt: skip
    """Train and test every row of the table for seeds 1 to `seeds`; `out/table.*` grow by each seed.

    tta_consensus: least score of a mined sample under every flip and rotation, at least `paper.MINING_FIRST_LOOK`.
    rounds: how often is mined; in each round after the first by the detector of the round before. labelled: rows of
    `LABELLED`, each with its row with U. course: options of `train_initial_model`; a `parent` is what all begin with.
    What is in `out` from an earlier call is not done again. plan: its seed is replaced.

    Raises ValueError where the sources or options cannot give a table, PlanError where `out` holds something else.
    """
    if unknown := sorted(set(labelled) - set(LABELLED)):
        raise ValueError(f"there is no row {', '.join(unknown)}; the rows are {', '.join(LABELLED)}, each also with U")
    if not labelled or seeds < 1 or rounds < 1:
        raise ValueError("a table needs one row, one seed and one round at least")
    if not paper.MINING_FIRST_LOOK <= tta_consensus < 1:
        raise ValueError(
            f"the agreement must lie from {paper.MINING_FIRST_LOOK}, which the first look asks for, to below 1, "
            f"not at {tta_consensus}"
        )
    sources.check(course.get("parent"), labelled)
    _stamp(out, sources, plan, course.get("parent"))
    course["parent_peaks"] = {}  # every row begins by mining the parent's false positives on the same frames
    experiment = _Experiment(sources, plan, out, tta_consensus, rounds, say, course)
    results: list[Result] = []
    for seed in range(1, seeds + 1):
        for name in (row for row in LABELLED if row in labelled):
            for result in experiment.pair(name, seed):
                results.append(result)
                say(_line(result))
        write_table(out, table_of(results))
    return table_of(results)


@dataclass
class _Experiment:
    sources: Sources
    plan: Plan
    out: Path
    tta_consensus: float
    rounds: int
    say: Say
    course: dict[str, Any] = field(default_factory=dict)

    def pair(self, name: str, seed: int) -> Iterator[Result]:
        """The row without U of one seed, then the row with it, once for each round."""
        fold, home = fold_of(self.sources, seed), self.out / f"seed-{seed}"
        parts = [one for one in ("T", "M") if one in name.split(" + ")]
        train = [case for part in parts for case in fold.training[part]]
        to_mine = [case for part in ("T", "M") if part not in parts for case in fold.training[part]]
        to_mine += self.sources.unlabelled
        folder = home / name.replace(" ", "")
        weights = self._trained(folder, train, None, seed)
        yield Result(name, seed, self._tested(weights, fold))
        for number in range(1, self.rounds + 1):
            row = f"{name} + U" if number == 1 else f"{name} + U, round {number}"
            mined = self._mined(weights, to_mine, folder.with_name(f"{folder.name} mined"))
            rows = [consensus_row(mined, to_mine, level) for level in sorted({*CONSENSUS_LEVELS, self.tta_consensus})]
            folder = home / f"{name.replace(' ', '')}+U at {self.tta_consensus:g}"
            folder = folder if number == 1 else folder.with_name(f"{folder.name} round {number}")
            if chosen := mined.at_least(self.tta_consensus):
                weights = self._trained(folder, train, chosen, seed)
            else:  # the same training would give the same weights
                self.say(f"seed {seed}: nothing was mined for {row}, so it is the row before")
            yield Result(row, seed, self._tested(weights, fold), self._chosen(rows), rows)

    def _chosen(self, rows: Sequence[ConsensusRow]) -> ConsensusRow:
        return next(row for row in rows if row["tta_consensus"] == self.tta_consensus)

    def _trained(self, folder: Path, train: Sequence[Case], mined: list[LabelledFrame] | None, seed: int) -> Path:
        """The weights in a folder, trained where they are not there. mined: FG-WSI; None for the initial model."""
        plan, weights = replace(self.plan, seed=seed), folder / WEIGHTS
        if is_trained(folder, train, plan, self.course.get("parent")):
            if read_card(weights).get("fg_wsi") != len(mined or ()):
                raise PlanError(f"{folder} was trained on other mined samples; choose another --out")
            return weights
        course = {**self.course, "resume": True}
        what = "" if mined is None else f", {len(mined)} mined samples"
        self.say(f"seed {seed}: {folder.name} learns from {', '.join(case.name for case in train)}{what}")
        if mined is None:
            return train_initial_model(train, (), plan, folder, **course)
        return train_final_model(train, (), mined, plan, folder, **course)

    def _mined(self, weights: Path, cases: Sequence[Case], folder: Path) -> MinedFrames:
        return mine_frames(self._scorer(weights), sha256_of(weights), hide_labels(cases), folder)

    def _scorer(self, weights: Path) -> Scorer:
        device, precision = self.course.get("device", "auto"), self.course.get("precision", "auto")
        return load_scorer(weights, device=device, precision=precision, cascade=False)[0]

    def _tested(self, weights: Path, fold: Fold) -> dict[str, Evaluation]:
        """The evaluation on each test set, kept beside the weights."""
        path, model = weights.with_name(_EVALUATION), sha256_of(weights)
        there = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if there.get("model") != model or set(there["tests"]) != set(fold.tests):
            scorer = self._scorer(weights)
            tests = {name: _frames_to_json(evaluate(scorer, cases)) for name, cases in fold.tests.items()}
            there = {"model": model, "tests": tests}
            _write_json(path, there)
        return {name: _frames_from_json(frames) for name, frames in there["tests"].items()}


def _stamp(out: Path, sources: Sources, plan: Plan, parent: Path | None) -> None:
    """Write what must be the same to go on in `out`. Raises PlanError where it differs, or `out` holds something else.

    Agreement, rounds and rows are not among it: one folder may hold tables of several, which share what they can.
    """
    wanted = {
        "experiment": "Table 1",
        "plan": {key: value for key, value in plan.as_dict().items() if key != "seed"},
        "parent": None if parent is None else read_card(parent)["sha256"],
        "T": data_summary(sources.t),
        "M": data_summary(sources.m),
        "unlabelled": data_summary(sources.unlabelled),
        sources.unseen_name: data_summary(sources.unseen),
    }
    path = out / STAMP
    if path.exists():
        there = json.loads(path.read_text("utf-8"))
        if differs := sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key)):
            raise PlanError(f"{out} holds the table of another {', '.join(differs)}; choose another --out")
    elif out.exists() and any(out.iterdir()):
        raise PlanError(
            f"{out} holds something else than Table 1, or the experiment as it was up to 0.2.0; choose another --out"
        )
    else:
        out.mkdir(parents=True, exist_ok=True)
        _write_json(path, wanted)


def _write_json(path: Path, content: object) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    partial.replace(path)


def _frames_to_json(evaluation: Evaluation) -> list[dict[str, object]]:
    return [
        {"case": frame.case, "scores": frame.scores.tolist(), "hits": frame.hits.tolist(), "truths": frame.truths}
        for frame in evaluation.frames
    ]


def _frames_from_json(frames: Sequence[dict[str, Any]]) -> Evaluation:
    return Evaluation(
        [
            MatchedFrame(
                frame["case"],
                np.array(frame["scores"], dtype=np.float64),
                np.array(frame["hits"], dtype=bool),
                cast(int, frame["truths"]),
            )
            for frame in frames
        ]
    )


def _line(result: Result) -> str:
    scores = ", ".join(f"{name} {one.max_f1()[0]:.3f}" for name, one in result.tests.items())
    return f"seed {result.seed}, {result.row}: max F1 on {scores}"
