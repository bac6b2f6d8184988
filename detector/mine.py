"""Mining (3.2): mitoses of unlabelled slides on which all eight test-time augmentations agree become FG-WSI.

"It is important that the additional mitosis samples have very few false positives. We achieve this by using test-time
data augmentations (flipping and rotations), which removes many FPs with high score for only few of these
transformations." Both short cuts of the paper are taken: bright windows are skipped, and where the first
transformation finds nothing in a window (prefilter), the other seven are not computed. As a patch scores the same as
the map at its centre, the other seven are computed only around the candidates of the first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import cv2
import numpy as np

from detector import paper
from detector.detection.detect import Progress, place, scan
from detector.detection.scorer import Scorer, sigmoid
from detector.detection.turned import TRANSFORMATIONS, flips_and_rotations
from detector.detection.windows import WINDOW_CELLS, plan_windows
from detector.errors import DataSetError
from detector.frames import LabelledFrame, LabStatistics, Points, Rgb, lab_statistics, points
from detector.slide import Frame, WorkingFrame

FILE = "mined.json"
_CONTEXT = paper.PATCH_SIZE + 2 * paper.REFINE_RADIUS  # px: 5 x 5 cells around a candidate


@dataclass(frozen=True)
class MinedSample:
    """One mined mitosis. x, y: level-0 px of the slide. scores: (8,), under each of `TRANSFORMATIONS` the highest
    within 16 px of (x, y)."""

    x: float
    y: float
    scores: tuple[float, ...]

    def as_json(self) -> MinedSampleJson:
        """Rounded: positions to 0.01 px, scores to five digits."""
        return {"x": round(self.x, 2), "y": round(self.y, 2), "scores": [round(score, 5) for score in self.scores]}


class MinedSampleJson(TypedDict):
    """A `MinedSample` in JSON."""

    x: float
    y: float
    scores: list[float]


@dataclass(frozen=True)
class Counters:
    """Numbers of windows and candidates of one slide, by what became of them."""

    windows: int
    bright: int  # windows skipped as glass
    nothing_at_first: int  # windows without a candidate under the first transformation, where no other is computed
    candidates: int  # of the first transformation, after suppression
    disagreed: int  # candidates below `tta_consensus` under one of the eight
    mined: int


class MinedSlideJson(TypedDict):
    """One slide of `mined.json`. slide: its file name. counters: `Counters`."""

    slide: str
    counters: dict[str, int]
    samples: list[MinedSampleJson]


def mine_slide(
    scorer: Scorer,
    frame: Frame,
    *,
    prefilter_score: float = paper.MINING_FIRST_LOOK,
    tta_consensus: float = paper.MINING_AGREEMENT,
    progress: Progress | None = None,
) -> tuple[list[MinedSample], Counters]:
    """Mined samples of one slide, by falling least score, and the counters.

    prefilter_score: least score under the first transformation. tta_consensus: least score under all eight.
    Scores lie in (0, 1), else ValueError. progress: called with the number of windows done; may raise `Cancelled`.
    """
    for name, value in (("prefilter_score", prefilter_score), ("tta_consensus", tta_consensus)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not at {value}")
    plan = plan_windows(frame)
    cells = scan(
        scorer, frame, plan, floor=min(prefilter_score, paper.STORED_SCORE_FLOOR), figures=False, progress=progress
    )
    strong = sigmoid(cells.logits.astype(np.float64)) >= prefilter_score
    windows_with_some = len(np.unique(cells.m_xy[strong] // WINDOW_CELLS, axis=0))
    candidates = place(cells, frame).at_least(prefilter_score).xy
    scored = [(xy, transformed_scores(scorer, frame, xy)) for xy in candidates]
    samples = [
        MinedSample(float(x), float(y), scores) for (x, y), scores in scored if reaches_consensus(scores, tta_consensus)
    ]
    samples.sort(key=lambda sample: -min(sample.scores))
    seen = plan.windows_total - plan.windows_skipped
    counters = Counters(
        windows=plan.windows_total,
        bright=plan.windows_skipped,
        nothing_at_first=seen - windows_with_some,
        candidates=len(candidates),
        disagreed=len(candidates) - len(samples),
        mined=len(samples),
    )
    return samples, counters


def transformed_scores(scorer: Scorer, frame: Frame, xy: Sequence[float] | Points) -> tuple[float, ...]:
    """The score at (x, y), level-0 px, under each of `TRANSFORMATIONS`: the highest within two map cells (16 px)."""
    image = around(frame, xy, _CONTEXT, grid=paper.OUTPUT_STRIDE)  # so that the first one sees cells of the slide's map
    highest = np.array([scorer.logits(turned).max() for turned in flips_and_rotations(image)], dtype=np.float64)
    return tuple(sigmoid(highest).tolist())


def reaches_consensus(scores: Sequence[float], tta_consensus: float = paper.MINING_AGREEMENT) -> bool:
    """Whether every test-time augmentation scores `tta_consensus` or more."""
    return min(scores) >= tta_consensus


def mined_patch(frame: Frame, xy: Sequence[float] | Points, *, slide: str) -> LabelledFrame:
    """The patch of 192 x 192 px around a mined mitosis, with the stain of its surroundings, for `train_final_model`.

    xy: level-0 px of the slide. slide: becomes the case and the beginning of the name.
    """
    x, y = float(xy[0]), float(xy[1])
    return LabelledFrame(
        name=f"{slide}_{x:.0f}_{y:.0f}",
        case=slide,
        image=around(frame, xy, paper.MINED_PATCH),
        mitoses=points([(paper.MINED_PATCH / 2, paper.MINED_PATCH / 2)]),
        non_mitoses=points(),
        mpp=frame.mpp[0],
        stain=lab_statistics([around(frame, xy, paper.MINED_STAIN)]),
        source="FG-WSI",
        exhaustive=False,
    )


def verdict_patch(
    frame: Frame, xy: Sequence[float], mitoses: Points, *, mitotic: bool, case: str, name: str, source: str
) -> LabelledFrame:
    """The patch of 192 x 192 px around a figure with a person's verdict. xy, mitoses: (n, 2), level-0 px of the slide.

    mitotic: a non-exhaustive patch, as of a mined sample. Otherwise a small exhaustive frame whose mitoses are
    those of `mitoses` inside: false positives of the network in it become hard negatives.
    """
    patch = mined_patch(frame, xy, slide=case)
    if mitotic:
        return replace(patch, name=name, source=source)
    scale = frame.scale if isinstance(frame, WorkingFrame) else 1.0
    inside = (mitoses - np.asarray(xy)) / scale + paper.MINED_PATCH / 2
    inside = inside[((inside >= 0) & (inside <= paper.MINED_PATCH)).all(axis=1)]
    middle = patch.mitoses
    return replace(patch, name=name, source=source, mitoses=inside, non_mitoses=middle, exhaustive=True)


def write_mined(out: Path, slides: Sequence[MinedSlideJson], patches: Sequence[LabelledFrame], **stamp: Any) -> Path:
    """Write the folder that `read_mined` reads: `mined.json` with every sample, and the patches as PNG.

    slides: see `mined_to_json`. stamp: model and parameters, to reproduce the mining.
    """
    (out / "patches").mkdir(parents=True, exist_ok=True)
    rows = []
    for patch in patches:
        _, data = cv2.imencode(".png", patch.image[..., ::-1])
        (out / "patches" / f"{patch.name}.png").write_bytes(data.tobytes())
        rows.append({"name": patch.name, "slide": patch.case, "mpp": patch.mpp, "stain": asdict(patch.stain)})
    content = {**stamp, "transformations": TRANSFORMATIONS, "slides": list(slides), "patches": rows}
    (out / FILE).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return out / FILE


def mined_to_json(slide: str, samples: Sequence[MinedSample], counters: Counters) -> MinedSlideJson:
    """The samples and counters of one slide, as `write_mined` takes them. slide: its file name."""
    return {"slide": slide, "counters": asdict(counters), "samples": [sample.as_json() for sample in samples]}


def read_mined(folder: Path) -> list[LabelledFrame]:
    """The mined patches of a folder, for `train_final_model`. Raises DataSetError naming what is missing or broken."""
    path = folder / FILE
    try:
        rows = json.loads(path.read_text("utf-8"))["patches"]
        patches = []
        for row in rows:
            stain = LabStatistics(_three(row["stain"]["mean"]), _three(row["stain"]["deviation"]))
            image = cv2.imread(str(folder / "patches" / f"{row['name']}.png"), cv2.IMREAD_COLOR)
            if image is None or min(image.shape[:2]) < paper.PATCH_SIZE:
                raise DataSetError(f"{folder}: patches/{row['name']}.png is missing or smaller than 128 px; mine again")
            rgb = np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)
            middle = points([(rgb.shape[1] / 2, rgb.shape[0] / 2)])
            mpp = float(row["mpp"])
            patches.append(
                LabelledFrame(row["name"], row["slide"], rgb, middle, points(), mpp, stain, "FG-WSI", exhaustive=False)
            )
    except OSError as error:
        raise DataSetError(f"{folder} holds no mined samples ({FILE} cannot be read): {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataSetError(f"{path} is not what `mine` writes ({error!r}); mine again") from error
    return patches


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def around(frame: Frame, xy: Sequence[float] | Points, size: int, *, grid: int = 1) -> Rgb:
    """uint8 [size, size, 3] at the working resolution around a level-0 position, rounded to a grid of working px.

    Mirrored beyond the edge of the slide.
    """
    scale = frame.scale if isinstance(frame, WorkingFrame) else 1.0
    x, y = (round(float(v) / grid) * grid for v in np.asarray(xy) / scale)
    return frame.read(x - size // 2, y - size // 2, size, size)
