"""What is stored as JSON of trainings and comparisons: the frozen manifest, the plan's choices, curve and result."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class ManifestSet(TypedDict):
    """A labelled set with the cases that are trained on. by: who imported it."""

    id: str
    name: str
    sha256: str
    by: int | None
    cases: list[str]


class JudgedFigure(TypedDict):
    """A judged place, level-0 px of its slide, with its verdict when it was asked for, and whose that is."""

    id: str
    slide: str
    case: str
    x: float
    y: float
    label: str
    by: int | None


class ManifestFigure(JudgedFigure):
    """A judged figure that a training learns from. version, at: of its verdict. atypical: what that says of a mitotic
    one; older manifests do not have it."""

    version: int
    at: str | None
    atypical: NotRequired[bool | None]


class ManifestSample(TypedDict):
    """A mined sample, level-0 px of its slide. least: its least confidence under the eight transformations."""

    id: int
    run: str
    slide: str
    case: str
    x: float
    y: float
    least: float
    verdict: str
    by: int | None
    at: str | None


class ManifestSlide(TypedDict):
    """A slide that figures or samples are on. sha256: of its file."""

    name: str
    case: str
    sha256: str


UNKNOWN_SLIDE: ManifestSlide = {"name": "", "case": "", "sha256": ""}  # where a manifest does not name it


class Manifest(TypedDict):
    """The frozen inputs of a training, split by case. slides: by primary key."""

    sets: list[ManifestSet]
    figures: list[ManifestFigure]
    mined: list[ManifestSample]
    slides: dict[str, ManifestSlide]
    train: list[str]
    validation: list[str]
    test: list[str]


class CalibrationFigure(JudgedFigure):
    """A judged figure that a calibration rests on.

    score: its confidence in the slide's newest run of the version, null where the version has not found it.
    logit_shift: what that run added to its logit.
    """

    score: float | None
    logit_shift: float


class CalibrationResult(TypedDict):
    """The shift of a scanner's logits, before and now, and what it rests on: see `detector.model.card.ScannerShift`."""

    logit_shift: float
    before: float
    mitotic: int
    non_mitotic: int
    missed: int
    f1_before: float
    f1_after: float


class PlanChoice(TypedDict):
    """What a person chose of a training plan, see `plans.checked_plan`. changes: as in a plan's TOML."""

    base: str
    iterations: int | None
    ratio: list[int]
    seed: int
    augment: bool
    device: str
    changes: dict[str, Any]


CurveRow = TypedDict(
    "CurveRow",
    {
        "iteration": int,
        "learning_rate": float,
        "loss": float,
        "bg_hard": int,
        "max_f1": float,
        "f1_at_0.5": float,
        "recall": float,
        "precision": float,
    },
    total=False,
)

SideMetrics = TypedDict("SideMetrics", {"max_f1": float, "f1_at_0.5": float}, total=False)


class ComparisonVerdict(TypedDict):
    """Of a comparison, what goes into the card of the candidate. The stored result holds more, for its page."""

    candidate: SideMetrics
    active: SideMetrics
    verdict: str
    why: str
    rule: str
