"""The model card: JSON beside a file of weights, in one typed schema that is checked on reading. No torch.

Training, averaging, calibration and distillation write it by `save_weights`; the web reads it with the same types.
Keys are stored names and stay. Cards of 0.2.0 have no `schema`; `Plan` reads the names of their plans.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypedDict, cast, get_args, get_origin, get_type_hints, is_typeddict

from detector import paper
from detector.errors import WeightsError
from detector.frames import Case, frames_by_source
from detector.slide.folder import sha256_of

SCHEMA = 1  # of the cards written now; a higher one cannot be read

PlanFields = Mapping[str, object]  # `Plan.as_dict`
Recall = dict[str, float]  # `CascadeRecall` as a dict


class SourceSummary(TypedDict, total=False):
    """Cases, frames and labels of one source of data. case_names: at most 20, else three and "..."."""

    source: str
    cases: int
    case_names: list[str]
    frames: int
    mitoses: int
    look_alikes: int


class ReliabilityBin(TypedDict):
    """Detections with a score from `at_least` up to, but not, `below`; how many of them are mitoses by the labels."""

    at_least: float
    below: float
    detections: int
    mitoses: int


Reliability = list[ReliabilityBin]

Calibration = TypedDict(
    "Calibration",
    {
        "on": list[str],  # names of cases
        "scale": float,  # of the scores of figures, as is the next: `FigureScale`
        "shift": float,
        "logit_shift": float,  # of 0.2.0: what was added to the mitosis logit
        "f1_at_0.5_before": float,  # on these cases
        "reliability": dict[str, Reliability],  # on these cases, by source
    },
    total=False,
)

Metrics = TypedDict(
    "Metrics",
    {
        "cases": int,
        "frames": int,
        "mitoses": int,
        "f1_at_0.5": float,
        "precision": float,
        "recall": float,
        "true_positives": int,
        "false_positives": int,
        "false_negatives": int,
        "max_f1": float,
        "max_f1_threshold": float,
        "f1_at_0.5_interval": list[float] | None,
        "max_f1_interval": list[float] | None,
        "f1_by_case": dict[str, float],
        "f1_case_mean": float | None,
        "f1_case_deviation": float | None,
    },
    total=False,
)  # the numbers of section 4 on some cases; intervals of 95 %


class ScannerShift(TypedDict, total=False):
    """A scanner's shift of the log odds of its figures, and what it was found on: figures that people judged there.

    missed: mitotic ones that the network had not found. f1_before, f1_after: at 0.5 on these figures. at: ISO 8601.
    """

    logit_shift: float
    mitotic: int  # the missed ones included
    non_mitotic: int
    missed: int
    f1_before: float
    f1_after: float
    cases: list[str]
    at: str


class StainRange(TypedDict, total=False):
    """What the stains of frames ranged over: of each LAB channel (8-bit OpenCV scale) its lowest and highest value.

    mean, deviation: [[low, high]] of L, A and B. frames: number of frames.
    """

    mean: list[list[float]]
    deviation: list[list[float]]
    frames: int


class HeldOut(TypedDict, total=False):
    """Cases that were not learnt from, and how the weights score there; no metrics without such a case."""

    held_out: list[SourceSummary]
    metrics: Metrics
    metrics_by_source: dict[str, Metrics]
    measured_by: CourseCard  # where these weights have learnt from the held-out cases


class ParentCard(TypedDict, total=False):
    """The weights that a training began with: some fields of their card, null where it had none."""

    name: str | None
    sha256: str | None
    iterations: int | None
    data: list[SourceSummary] | None
    bg_hard: int | None
    plan: PlanFields | None
    held_out: list[SourceSummary] | None
    metrics: Metrics | None
    calibration: Calibration | None


class CourseCard(TypedDict, total=False):
    """The same training with some cases left out. data: what it learnt from. The scale of the scores was set, and all
    metrics were measured, with it; the weights of the card have then learnt from those cases too.
    """

    name: str | None
    sha256: str | None
    iterations: int | None
    data: list[SourceSummary] | None


class LeftOut(TypedDict):
    """What the same recipe finds in a laboratory that it has not seen: for each source, of a network that has neither
    learnt from it nor been calibrated on it. plan: of these networks. parent: SHA-256 of the weights that they began
    with, null where there were none.
    """

    plan: str
    parent: str | None
    metrics_by_source: dict[str, Metrics]


class AveragedCard(TypedDict, total=False):
    """One of the weights that were averaged. plan: its name. share: of the mean."""

    name: str | None
    sha256: str | None
    iterations: int | None
    calibration: Calibration | None
    plan: str | None
    share: float


class CoarseCard(TypedDict, total=False):
    """The first stage of a cascade. kept: its recall by the data measured on ("data", "held_out", "calibrated_on")."""

    code_version: str
    plan: PlanFields
    before: PlanFields | None  # the plan of the coarse network that it began with
    data: list[SourceSummary]
    held_out: list[SourceSummary]
    kept: dict[str, Recall]
    of_parent: bool  # distilled for the parent; its threshold was set anew


class AtypicalMetrics(TypedDict):
    """What the network for atypical mitoses finds on cases that it has not seen, at 0.5. Interval: 95 %, over cases;
    over patches where the cases of a source are not known."""

    mitoses: int
    atypical: int
    balanced_accuracy: float
    balanced_accuracy_interval: list[float] | None
    sensitivity: float
    specificity: float
    roc_auc: float


class AtypicalCard(TypedDict, total=False):
    """The network that tells atypical mitoses from normal ones. metrics_by_source: by cross-validation over `folds`
    parts of the cases, and of all sources together under "all"; the network itself has learnt from all cases.
    """

    code_version: str
    plan: PlanFields
    data: list[SourceSummary]
    folds: int
    metrics_by_source: dict[str, AtypicalMetrics]
    of_parent: bool  # came with the parent's weights; figures are those of that
    refined_on: int  # mitoses of known kind that it has learnt from since, with the parent's weights


class Card(HeldOut, total=False):
    """Everything that is known of a file of weights. bg_hard, fg_wsi: samples at the end of the training."""

    schema: int
    name: str
    code_version: str
    plan: PlanFields
    iterations: int
    precision: str  # of the training: "fp32" or "bf16"
    parent: ParentCard | None
    data: list[SourceSummary]  # trained on
    cases_learnt: list[str]  # all of them, the parents' included
    bg_hard: int
    fg_wsi: int
    calibration: Calibration | None
    left_out: LeftOut  # of `cross-validate --by source`
    scanner_shifts: dict[str, ScannerShift]  # by the name of the scanner; the shifts themselves are in the weights
    scanners: list[str]  # those that the weights are known to fit: at least those with a shift
    stains: StainRange | None  # of the frames trained on, the parents' included
    average_of: list[AveragedCard]
    coarse: CoarseCard
    atypical: AtypicalCard
    network: str
    widths: list[int]
    sha256: str  # of the file of weights, hexadecimal
    manifest_sha256: str  # of the training's manifest, from the web
    judgement: dict[str, object]  # the comparison with the active version, from the web


def parse_card(values: object, where: str) -> Card:
    """A card from JSON. Fields may be missing, and others may stand beside them. where: for errors.

    Raises WeightsError naming the first field of another type, or a schema of a later version.
    """
    if wrong := _mismatch(values, Card, ""):
        raise WeightsError(f"{where} does not say what was learnt from, as training writes it: {wrong}")
    card = cast(Card, values)
    if card.get("schema", SCHEMA) > SCHEMA:
        raise WeightsError(f"{where} has schema {card['schema']}, of a later version; update to read it")
    return card


def _mismatch(value: object, kind: Any, field: str) -> str:
    """What in `value` is not of the annotated type, in words; "" where all is."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is object:
        return ""
    if origin is UnionType:
        failed = [_mismatch(value, part, field) for part in parts]
        return "" if "" in failed else failed[0]
    if is_typeddict(kind) or origin in {dict, Mapping}:
        if not isinstance(value, dict):
            return f"{field or 'it'} must be an object, not {value!r:.40}"
        fields = get_type_hints(kind) if is_typeddict(kind) else dict.fromkeys(value, parts[-1])
        wrong = (_mismatch(value[name], fields[name], f"{field}.{name}".strip(".")) for name in fields if name in value)
        return next(filter(None, wrong), "")
    if origin is list:
        if not isinstance(value, list):
            return f"{field} must be a list, not {value!r:.40}"
        return next(filter(None, (_mismatch(one, parts[0], f"{field}[{i}]") for i, one in enumerate(value))), "")
    right = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    return "" if right else f"{field} must be {_WORDS[kind]}, not {value!r:.40}"


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def read_card(path: Path) -> Card:
    """The card beside a weights file, whose SHA-256 must be that on the card. Raises WeightsError."""
    card_path = path.with_suffix(".json")
    try:
        values = json.loads(card_path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"the card {card_path} beside the weights cannot be read: {error}") from error
    if not isinstance(values, dict) or values.get("sha256") != sha256_of(path):
        raise WeightsError(f"{path} is not the file that its card {card_path.name} describes (SHA-256 differs)")
    return parse_card(values, f"the card {card_path}")


def data_summary(cases: Sequence[Case]) -> list[SourceSummary]:
    """Cases, frames and labels of each source of data, for a card."""
    summaries = []
    for source, frames in frames_by_source(cases).items():
        names = sorted({frame.case for frame in frames})
        summary: SourceSummary = {
            "source": source,
            "cases": len(names),
            "case_names": names if len(names) <= 20 else [*names[:3], "..."],
            "frames": len(frames),
            "mitoses": sum(frame.mitosis_count for frame in frames),
        }
        if look_alikes := sum(len(frame.non_mitoses) for frame in frames):
            summary["look_alikes"] = look_alikes
        summaries.append(summary)
    return summaries


def tells_atypical(card: Card) -> bool:
    """Whether weights with this card say which mitoses are atypical, and well enough to be shown."""
    measured = (card.get("atypical") or {}).get("metrics_by_source", {}).get("all")
    return measured is not None and measured["balanced_accuracy"] >= paper.ATYPICAL_LEAST


def training_cases(card: Card) -> set[str]:
    """Names of all cases that weights with this card, and those that they began with, were trained on.

    Cards without `cases_learnt` go one parent back, and name three of many cases.
    """
    summaries = [*(card.get("data") or []), *((card.get("parent") or {}).get("data") or [])]
    named = {name for summary in summaries for name in summary.get("case_names") or []} - {"..."}
    return named | set(card.get("cases_learnt") or [])


def refuse_training_cases(path: Path, names: set[str]) -> None:
    """ValueError where weights were trained on one of these cases, which they are to be measured on."""
    if known := sorted(names & training_cases(read_card(path))):
        raise ValueError(f"{path} has learnt from {', '.join(known)}, so it cannot be judged on them")
