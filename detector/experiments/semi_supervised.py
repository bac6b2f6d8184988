"""The semi-supervised experiment (4, Table 1): labelled slides alone (T) against labelled and mined slides (T + U).

The labels of some cases of a labelled data set are hidden. Their frames, tiled into slides, are mined by the detector
trained on T; the hidden labels give the precision of the mined samples. Both detectors are trained by the same plan
and evaluated on a case that neither has seen. The one with the higher max F1 is promoted, and detects in the slide of
that case.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector import paper
from detector.detection.detect import detect
from detector.detection.scorer import Scorer
from detector.errors import PlanError
from detector.evaluation.compare import decide
from detector.evaluation.evaluate import evaluate, summary
from detector.evaluation.metrics import Evaluation, match, paired_intervals
from detector.frames import Case, Points, points
from detector.mine import FILE as MINED
from detector.mine import MinedSample, mine_slide, mined_patch, mined_to_json, read_mined, write_mined
from detector.model.card import refuse_training_cases, sha256_of
from detector.model.checkpoint import load_weights
from detector.slide import WorkingFrame, open_slide
from detector.slide.pyramid import write_pyramid
from detector.split import split_by_case
from detector.training.plan import Plan
from detector.training.train import WEIGHTS, is_trained, train_final_model, train_initial_model

_GAP = 256  # px of glass between the frames of a tiled slide: no patch sees two of them
_GLASS = 244

Say = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """Names of cases: trained on with labels (T), mined without (U), and evaluated on."""

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    test: str


def make_splits(names: Sequence[str], tests: Sequence[str]) -> list[Split]:
    """One split for each test case: of the others, in cyclic order of the names, the next half is T, the rest U.

    Raises ValueError where a test case is not there or fewer than two others are.
    """
    ordered = sorted(names)
    if missing := sorted(set(tests) - set(ordered)):
        raise ValueError(f"no case is called {', '.join(missing)}; there are {', '.join(ordered)}")
    if len(ordered) < 3:
        raise ValueError(f"the experiment needs three cases at least, not {len(ordered)}")
    splits = []
    for test in tests:
        at = ordered.index(test)
        others = [*ordered[at + 1 :], *ordered[:at]]
        half = math.ceil(len(others) / 2)
        splits.append(Split(tuple(others[:half]), tuple(others[half:]), test))
    return splits


def parse_split(text: str, names: Sequence[str]) -> Split:
    """The split written as labelled:unlabelled:test, e.g. A02,A03:A00,A04:A01. Raises ValueError where it is none."""
    parts = [tuple(part.split(",")) for part in text.split(":")]
    if len(parts) != 3 or len(parts[2]) != 1:
        raise ValueError(f"a split is written as labelled:unlabelled:test, e.g. A02,A03:A00,A04:A01, not {text}")
    mentioned = [name for part in parts for name in part]
    if unknown := sorted(set(mentioned) - set(names)):
        raise ValueError(f"no case is called {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    if twice := sorted({name for name in mentioned if mentioned.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} cannot be on two sides of {text}")
    return Split(parts[0], parts[1], parts[2][0])


def run_experiment(
    cases: Sequence[Case], splits: Sequence[Split], plan: Plan, out: Path, *, tta_consensus: float, say: Say,
    beside: Sequence[Case] = (), **course: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """For every split train T, mine U, train T + U, evaluate both; `out/table.json` and `out/table.md` grow by rows.

    tta_consensus: least score of a mined sample under every flip and rotation. beside: cases of other sources that both
    learn from besides T. course: options of `train_initial_model`; a `parent` is what both begin with. What is there
    from an earlier call is not done again. Raises ValueError where the parent has learnt from one of the cases, or one
    of them is beside as well, and PlanError where `out` holds what was made otherwise.
    """
    names = {case.name for case in cases}
    if course.get("parent") is not None:
        refuse_training_cases(course["parent"], names)
    if twice := sorted(names & {case.name for case in beside}):
        raise ValueError(f"{', '.join(twice)} cannot be hidden or judged on: it is among what both learn from")
    rows, before, after = [], Evaluation([]), Evaluation([])
    for split in splits:
        say(f"{split.test}: T = {', '.join(split.labelled)}, U = {', '.join(split.unlabelled)}")
        row, of_t, of_both = _row(cases, split, plan, out, tta_consensus, beside, course)
        rows.append(row)
        before, after = Evaluation([*before.frames, *of_t.frames]), Evaluation([*after.frames, *of_both.frames])
        said, why = decide(paired_intervals(after, before), len(rows))
        content = {"plan": plan.as_dict(), "agreement": tta_consensus, "splits": rows, "verdict": said, "why": why}
        (out / "table.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        (out / "table.md").write_text(
            f"{table(rows)}\nT + U against T, all test cases together: {said}. {why}\n", "utf-8"
        )
        say(table(rows[-1:]).splitlines()[-1])
    return rows


def _row(
    cases: Sequence[Case], split: Split, plan: Plan, out: Path, tta_consensus: float, beside: Sequence[Case],
    course: dict[str, Any],
) -> tuple[dict[str, Any], Evaluation, Evaluation]:  # fmt: skip
    folder = out / split.test
    labelled, unlabelled, test = (
        split_by_case(cases, names)[1] for names in (split.labelled, split.unlabelled, (split.test,))
    )
    initial = out / f"T {','.join(split.labelled)}" / WEIGHTS  # the same of every split that learns from these
    train, parent = [*labelled, *beside], course.get("parent")
    if not is_trained(initial.parent, train, plan, parent):
        train_initial_model(train, (), plan, initial.parent, **course)
    mined = _mined(unlabelled, initial, folder / "U", tta_consensus)
    final = folder / "T+U" / WEIGHTS
    if not is_trained(final.parent, train, plan, parent):
        train_final_model(train, (), read_mined(folder / "U"), plan, final.parent, **course)
    of_t, of_both = Scorer(load_weights(initial)[0]), Scorer(load_weights(final)[0])
    before, after = evaluate(of_t, test), evaluate(of_both, test)
    better = after.max_f1()[0] > before.max_f1()[0]
    row = {
        **asdict(split),
        "mined": mined,
        "T": summary(before),
        "T+U": summary(after),
        "promoted": "T+U" if better else "T",
        "detections": _detected(test[0], of_both if better else of_t, sha256_of(final if better else initial), folder),
    }
    return row, before, after


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown, columns named as in Table 1, and their mean."""
    lines = [
        "| test | T | U | mined | precision | right of the hidden | max F1: T | T + U | F1 at 0.5: T | T + U "
        "| promoted | new detections |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mined, before, after = row["mined"], row["T"], row["T+U"]
        precision = "-" if mined["precision"] is None else f"{mined['precision']:.2f}"
        lines.append(
            f"| {row['test']} | {', '.join(row['labelled'])} | {', '.join(row['unlabelled'])} | {mined['mined']} "
            f"| {precision} | {mined['right']} of {mined['hidden']} | {before['max_f1']:.3f} | {after['max_f1']:.3f} "
            f"| {before['f1_at_0.5']:.3f} | {after['f1_at_0.5']:.3f} | {row['promoted']} | {row['detections']} |"
        )
    if len(rows) > 1:
        found, right = (sum(row["mined"][key] for row in rows) for key in ("mined", "right"))
        means = [np.mean([row[m][key] for row in rows]) for key in ("max_f1", "f1_at_0.5") for m in ("T", "T+U")]
        share = f"{right / found:.2f}" if found else "-"
        lines.append(f"| mean | | | {found} | {share} | | {' | '.join(f'{mean:.3f}' for mean in means)} | | |")
    return "\n".join(lines) + "\n"


def write_tiled(path: Path, case: Case) -> Points:
    """Write the frames of a case side by side on glass, as one slide. Returns (x, y) of their mitoses in its pixels."""
    columns = math.ceil(math.sqrt(len(case.frames)))
    cell_height, cell_width = (max(frame.image.shape[axis] for frame in case.frames) + _GAP for axis in (0, 1))
    rows = math.ceil(len(case.frames) / columns)
    image = np.full((rows * cell_height + _GAP, columns * cell_width + _GAP, 3), _GLASS, dtype=np.uint8)
    truths = []
    for index, frame in enumerate(case.frames):
        top, left = _GAP + index // columns * cell_height, _GAP + index % columns * cell_width
        height, width = frame.image.shape[:2]
        image[top : top + height, left : left + width] = frame.image
        truths.append(frame.mitoses + np.array([left, top]))
    mpp = case.frames[0].mpp
    size = (image.shape[1], image.shape[0])
    write_pyramid(path, lambda top, bottom: image[top:bottom], size, (mpp, mpp), compression="deflate")
    return np.concatenate(truths)


def count_matches(samples: Sequence[MinedSample], truths: Points, mpp: float) -> int:
    """Number of samples that match a hidden label as in evaluation: within 7.5 um, each label once. mpp: um/px."""
    xy = points([(sample.x, sample.y) for sample in samples])
    scores = np.array([min(sample.scores) for sample in samples])
    return int(match(xy, scores, truths, paper.um(paper.MATCH_RADIUS) / mpp).sum())


def _mined(cases: Sequence[Case], weights: Path, folder: Path, tta_consensus: float) -> dict[str, Any]:
    """Mine the tiled slides of some cases; their labels serve for the precision only."""
    said = folder / "precision.json"
    network, card = load_weights(weights)
    model, parameters = {"sha256": card["sha256"]}, {"agreement": tta_consensus}
    if said.exists():
        there = json.loads((folder / MINED).read_text("utf-8"))
        if (there["model"], there["parameters"]) != (model, parameters):
            raise PlanError(f"{folder} was mined by other weights or at another agreement; choose another --out")
        result: dict[str, Any] = json.loads(said.read_text("utf-8"))
        return result
    folder.mkdir(parents=True, exist_ok=True)
    scorer = Scorer(network)
    slides, patches, right, hidden = [], [], 0, 0
    for case in cases:
        path, mpp = folder / f"{case.name}.tif", case.frames[0].mpp
        truths = write_tiled(path, case)
        with open_slide(path) as slide:
            assert slide.mpp is not None
            frame = WorkingFrame(slide, slide.mpp)
            samples, counters = mine_slide(scorer, frame, tta_consensus=tta_consensus)
            patches += [mined_patch(frame, (sample.x, sample.y), slide=case.name) for sample in samples]
        slides.append(mined_to_json(path.name, samples, counters))
        right += count_matches(samples, truths, mpp)
        hidden += len(truths)
    write_mined(folder, slides, patches, model=model, parameters=parameters)
    precision = round(right / len(patches), 4) if patches else None
    result = {"mined": len(patches), "right": right, "hidden": hidden, "precision": precision}
    said.write_text(json.dumps(result) + "\n", "utf-8")
    return result


def _detected(case: Case, scorer: Scorer, sha256: str, folder: Path) -> int:
    """Detect in the tiled slide of a case; `detections.json` has them in its px. Returns how many."""
    path = folder / f"{case.name}.tif"
    write_tiled(path, case)
    with open_slide(path) as slide:
        assert slide.mpp is not None
        found = detect(scorer, WorkingFrame(slide, slide.mpp), min_score=paper.SCORE_THRESHOLD)
    content = {"slide": path.name, "model": sha256, "detections": found.rows()}
    (folder / "detections.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return len(found.scores)
