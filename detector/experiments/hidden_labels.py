"""Mining frames whose labels are hidden (3.2 on labelled data), and what the hidden labels say of the samples.

The detector sees the pixels of a frame alone: `hide_labels` takes everything else away before mining. Labels are looked
at afterwards, to count how many of the samples are mitoses. Frames are mined instead of slides, since the data sets
hold frames; a slide has no borders inside its tissue, so samples at the border of a frame are dropped.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from detector import paper
from detector.detection.scorer import Scorer
from detector.errors import PlanError
from detector.evaluation.metrics import match
from detector.frames import Case, LabelledFrame, Points, points
from detector.mine import FILE, MinedSample, mine_slide, mined_patch, mined_to_json, read_mined, write_mined

CONSENSUS_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)  # of the table by agreement
BORDER = paper.PATCH_SIZE / 2  # px. A patch nearer to the border of its frame is in part a mirror image.


class ConsensusRow(TypedDict):
    """What was mined at one least score under every flip and rotation.

    mined: samples. judged: those from frames with hidden labels. right: of these, true by the labels, each label once.
    hidden: the labels of these frames.
    """

    tta_consensus: float
    mined: int
    judged: int
    right: int
    hidden: int


@dataclass(frozen=True)
class MinedFrames:
    """Samples of some frames, and the patches cut around them in the same order. frames: the key of each sample's."""

    samples: Sequence[MinedSample]
    frames: Sequence[str]
    patches: Sequence[LabelledFrame]

    def at_least(self, tta_consensus: float) -> list[LabelledFrame]:
        """The patches whose least score reaches `tta_consensus`: FG-WSI."""
        return [
            patch
            for sample, patch in zip(self.samples, self.patches, strict=True)
            if min(sample.scores) >= tta_consensus
        ]


def hide_labels(cases: Iterable[Case]) -> list[Case]:
    """The same frames without a label, and no longer exhaustive: nothing of them can be trained on or measured by."""
    return [
        Case(
            case.name,
            tuple(
                replace(frame, mitoses=points(), non_mitoses=points(), exhaustive=False, rim_known=False)
                for frame in case.frames
            ),
        )
        for case in cases
    ]


def mine_frames(scorer: Scorer, model: str, cases: Sequence[Case], folder: Path) -> MinedFrames:
    """Mine all frames of some cases, or read what is in `folder` from an earlier call.

    model: SHA-256 of the weights. Mined at `paper.MINING_FIRST_LOOK`, below which no candidate is looked at; a higher
    agreement is asked for afterwards, of the stored scores, so mining is done once.

    Raises ValueError where two frames have one name, PlanError where the folder was mined by other weights or in other
    frames.
    """
    stamp = {"model": {"sha256": model}, "parameters": {"agreement": paper.MINING_FIRST_LOOK, "border": BORDER}}
    named = [(_key(frame), frame) for case in cases for frame in case.frames]
    if len({key for key, _ in named}) < len(named):
        raise ValueError("two of the frames to mine have one source, case and name")
    if not (folder / FILE).exists():
        partial = folder.with_name(f"{folder.name}.partial")  # so that a killed run leaves no half of it
        shutil.rmtree(partial, ignore_errors=True)
        slides, patches = [], []
        for key, frame in named:
            found, counters = mine_slide(scorer, frame.array_frame(), tta_consensus=paper.MINING_FIRST_LOOK)
            samples = [sample for sample in found if _is_inside(sample, frame)]
            patches += [mined_patch(frame.array_frame(), (one.x, one.y), slide=key) for one in samples]
            slides.append(mined_to_json(key, samples, replace(counters, mined=len(samples))))
        write_mined(partial, slides, patches, **stamp)
        partial.rename(folder)
    content = json.loads((folder / FILE).read_text("utf-8"))
    there = [slide["slide"] for slide in content["slides"]]
    if [content["model"], content["parameters"], there] != [*stamp.values(), [key for key, _ in named]]:
        raise PlanError(f"{folder} was mined by other weights or in other frames; choose another --out")
    rows = [(slide["slide"], sample) for slide in content["slides"] for sample in slide["samples"]]
    samples = [MinedSample(row["x"], row["y"], tuple(row["scores"])) for _, row in rows]
    return MinedFrames(samples, [key for key, _ in rows], read_mined(folder))


def consensus_row(mined: MinedFrames, labelled: Sequence[Case], tta_consensus: float) -> ConsensusRow:
    """What of the samples reaches an agreement, and how much of it is right.

    labelled: the cases that were mined, with their labels; those without (`exhaustive` is False) are not judged.
    """
    by_frame: dict[str, list[MinedSample]] = {}
    for sample, key in zip(mined.samples, mined.frames, strict=True):
        if min(sample.scores) >= tta_consensus:
            by_frame.setdefault(key, []).append(sample)
    known = {_key(frame): frame for case in labelled for frame in case.frames if frame.exhaustive}
    return {
        "tta_consensus": tta_consensus,
        "mined": sum(map(len, by_frame.values())),
        "judged": sum(len(samples) for key, samples in by_frame.items() if key in known),
        "right": sum(
            count_matches(samples, known[key].mitoses, known[key].mpp)
            for key, samples in by_frame.items()
            if key in known
        ),
        "hidden": sum(len(frame.mitoses) for frame in known.values()),
    }


def count_matches(samples: Sequence[MinedSample], truths: Points, mpp: float) -> int:
    """Number of samples that match a label as in evaluation: within 7.5 um, each label once.

    truths: (n, 2), px of the frame as the samples are. mpp: um/px.
    """
    xy = points([(sample.x, sample.y) for sample in samples])
    scores = np.array([min(sample.scores) for sample in samples])
    return int(match(xy, scores, truths, paper.um(paper.MATCH_RADIUS) / mpp).sum())


def _is_inside(sample: MinedSample, frame: LabelledFrame) -> bool:
    height, width = frame.image.shape[:2]
    return bool(min(sample.x, sample.y, width - sample.x, height - sample.y) >= BORDER)


def _key(frame: LabelledFrame) -> str:
    """Names a frame among those of all sources, and is the beginning of a file name."""
    return re.sub(r"[^\w.-]+", "-", f"{frame.source} {frame.case} {frame.name}")
