"""Comparison of a candidate with the active detector on the same labelled frames: decision and differences.

The difference in F1 has a paired bootstrap interval: cases are drawn with replacement, and both detectors are measured
on the drawn ones. It is narrower than the difference of two separate intervals.

Labelled frames are chosen for their mitoses, so false positives on mitosis-free tissue are compared too, those of one
detector alone. False positives cluster by slide, so they only veto.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from detector import paper
from detector.detection.detect import Detections, detect
from detector.detection.scorer import Scorer
from detector.evaluation.evaluate import by_source, curve, summary
from detector.evaluation.metrics import Evaluation, MatchedFrame, match, paired_intervals
from detector.frames import Case, LabelledFrame, Rgb, cut_plain
from detector.model.card import Metrics
from detector.slide import WorkingFrame
from detector.slide.hatching import hatched

RULE = (
    "Better where the 95 % interval of the difference in max F1, of the locked cases drawn with replacement 1,000 "
    "times, lies above 0 and that of F1 at 0.5 not below; worse where either lies below 0. False alarms where there is "
    "no mitosis are more where those that the candidate makes alone outnumber those that the active version makes "
    "alone by more than chance (sign test, 95 %): then a better one cannot be told, and one that is not better is "
    f"worse. Otherwise, and with fewer than {paper.FEWEST_CASES} cases, one cannot tell."
)
_ONE_SIDE = 0.025  # of a two-sided test at 95 %
_CURVE_POINTS = 200

Progress = Callable[[int], None]


@dataclass
class _Side:
    scorer: Scorer
    shifts: Mapping[str, float]
    matched: list[MatchedFrame] = field(default_factory=list)
    seconds: float = 0.0
    mm2: float = 0.0
    free_mm2: float = 0.0
    free_detections: int = 0
    free_alone: int = 0

    def look_at(self, frame: LabelledFrame) -> Detections:
        began = time.monotonic()
        found = detect(self._scorer_of(frame.source), frame.array_frame(), min_score=paper.LOWEST_THRESHOLD)
        self.seconds += time.monotonic() - began
        hits = match(found.xy, found.scores, frame.mitoses, frame.match_radius)
        self.matched.append(MatchedFrame(frame.case, found.scores, hits, len(frame.mitoses), frame.source))
        mm2 = frame.image.shape[0] * frame.image.shape[1] * frame.mpp**2 / 1e6
        self.mm2 += mm2
        if not len(frame.mitoses):
            self.free_mm2 += mm2
            self.free_detections += int((found.scores >= paper.SCORE_THRESHOLD).sum())
        return found

    def look_at_free(self, slide: WorkingFrame, source: str, mm2: float, progress: Progress) -> Detections:
        """A slide without mitoses, on which every detection is false."""
        began = time.monotonic()
        found = detect(self._scorer_of(source), slide, min_score=paper.STORED_SCORE_FLOOR, progress=progress)
        self.seconds += time.monotonic() - began
        self.mm2 += mm2
        self.free_mm2 += mm2
        self.free_detections += int((found.scores >= paper.SCORE_THRESHOLD).sum())
        return found

    def _scorer_of(self, source: str) -> Scorer:
        """With the shift of the scanner that the source is, if any."""
        shift = self.shifts.get(source)
        return self.scorer if shift is None else self.scorer.adjusted(logit_shift=shift)

    def measured(self) -> SideResult:
        everything = Evaluation(self.matched)
        points = curve(everything)
        shown = sorted(set(np.linspace(0, len(points) - 1, min(_CURVE_POINTS, len(points))).astype(int).tolist()))
        return {
            **summary(everything),
            "curve": [points[i] for i in shown],
            "by_source": by_source(everything),
            "free_mm2": round(self.free_mm2, 4),
            "free_detections": self.free_detections,
            "free_alone": self.free_alone,
            "free_per_mm2": round(self.free_detections / self.free_mm2, 3) if self.free_mm2 else None,
            "seconds_per_mm2": round(self.seconds / self.mm2, 3) if self.mm2 else None,
        }


@dataclass(frozen=True)
class MitosisFreeSlide:
    """A slide without mitoses, as a person says. mm2: area of its tissue. opened: context manager of its frame.

    source: its scanner.
    """

    name: str
    case: str
    mm2: float
    opened: Callable[[], AbstractContextManager[WorkingFrame]]
    source: str = ""


@dataclass(frozen=True)
class Difference:
    """A detection at 0.5 or more of one detector alone. x, y: px of the frame; of a slide, level-0 px.

    other: the best score of the other detector within the matching radius. by: "candidate" or "active". right: it
    matches a label. crop: uint8 [128, 128, 3].
    """

    case: str
    frame: str
    x: float
    y: float
    score: float
    other: float
    by: str
    right: bool
    crop: Rgb


class SideResult(Metrics, total=False):
    """Metrics of one detector on all frames, ready for JSON. free_*: on tissue without mitoses; alone: not by the other
    detector. curve: at most 200 points of precision and recall."""

    curve: list[dict[str, float]]
    by_source: dict[str, Metrics]
    free_mm2: float
    free_detections: int
    free_alone: int
    free_per_mm2: float | None
    seconds_per_mm2: float | None


class ComparisonResult(TypedDict):
    """Two detectors on the same frames, ready for JSON. difference: of "f1" and "max_f1", value and 95 % interval."""

    candidate: SideResult
    active: SideResult
    difference: dict[str, list[float]]
    cases: int
    verdict: str  # "better", "worse" or "cannot tell"
    why: str
    rule: str


def compare_detectors(
    candidate: Scorer, active: Scorer, cases: Sequence[Case], *, free: Sequence[MitosisFreeSlide] = (),
    shifts: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}), progress: Progress = lambda done: None,
) -> tuple[ComparisonResult, list[Difference]]:  # fmt: skip
    """Compare two detectors on all exhaustively labelled frames and on mitosis-free slides.

    Returns the result, and the detections of one alone by falling difference in score.

    shifts: of the candidate and the active detector, added to the log odds of figures of a source (scanner).
    progress: called with the number of frames and slides done, and between the windows of a slide; may raise.
    """
    sides = {"candidate": _Side(candidate, shifts[0]), "active": _Side(active, shifts[1])}
    differences: list[Difference] = []
    frames = [frame for case in cases for frame in case.frames if frame.exhaustive]
    for done, frame in enumerate(frames):
        progress(done)
        found = {name: side.look_at(frame) for name, side in sides.items()}
        for name, other in _BOTH_WAYS:
            hits = sides[name].matched[-1].hits
            own = _only(_place_of(frame), name, found[name], found[other], hits)
            differences += own
            if not len(frame.mitoses):
                sides[name].free_alone += len(own)
    for done, slide in enumerate(free, start=len(frames)):
        differences += _on_free_slide(sides, slide, lambda _, done=done: progress(done))  # type: ignore[misc]
    differences.sort(key=lambda one: (one.other - one.score, one.case, one.frame, one.x))
    paired = paired_intervals(Evaluation(sides["candidate"].matched), Evaluation(sides["active"].matched))
    count = len({frame.case for frame in frames})
    alone = (sides["candidate"].free_alone, sides["active"].free_alone) if sides["active"].free_mm2 else None
    said, why = decide(paired, count, alone)
    return {
        "candidate": sides["candidate"].measured(),
        "active": sides["active"].measured(),
        "difference": {key: [round(value, 4) for value in values] for key, values in paired.items()},
        "cases": count,
        "verdict": said,
        "why": why,
        "rule": RULE,
    }, differences


def decide(
    paired: dict[str, tuple[float, float, float]], cases: int, alone: tuple[int, int] | None = None
) -> tuple[str, str]:
    """By `RULE`: "better", "worse" or "cannot tell", and why. paired: as `paired_intervals` gives it.

    alone: false alarms where there is no mitosis that the candidate makes alone, and that the active version makes
    alone; None where no such tissue was looked at.
    """
    if cases < paper.FEWEST_CASES:
        return "cannot tell", f"There are {cases} locked cases; fewer than {paper.FEWEST_CASES} cannot tell."
    more, alarms = more_false_alarms(alone)
    words = {"max_f1": "Max F1", "f1": "F1 at 0.5"}
    for key, name in words.items():
        value, low, high = paired[key]
        if high < 0:
            return "worse", f"{name} changes by {value:+.3f} [{low:+.3f}, {high:+.3f}], which is below 0. {alarms}"
    value, low, high = paired["max_f1"]
    change = f"Max F1 changes by {value:+.3f} [{low:+.3f}, {high:+.3f}], which"
    if low > 0:
        if more:
            return "cannot tell", f"{change} is above 0. {alarms} A person has to weigh the one against the other."
        return "better", f"{change} is above 0. {alarms}"
    return "worse" if more else "cannot tell", f"{change} holds 0. {alarms}"


def more_false_alarms(alone: tuple[int, int] | None) -> tuple[bool, str]:
    """Whether a candidate has more false positives on mitosis-free tissue (sign test), and a sentence. alone: see
    `decide`."""
    if alone is None:
        return False, "No tissue without mitoses was looked at, so false alarms there are not known."
    candidate, active = alone
    more, fewer = (
        total > 0 and bool(binomtest(count, total, alternative="greater").pvalue < _ONE_SIDE)
        for count, total in ((candidate, candidate + active), (active, candidate + active))
    )
    said = "which is more" if more else "which is fewer" if fewer else "which may be chance"
    return more, (
        f"Of the false alarms where there is no mitosis, {candidate} are the candidate's alone and {active} the active "
        f"version's alone, {said}."
    )


@dataclass(frozen=True)
class _Place:
    """Where two sides are compared. radius: of a match. crop: 128 px of 0.25 um around (x, y), hatched outside."""

    case: str
    name: str
    radius: float
    crop: Callable[[float, float], Rgb]


_BOTH_WAYS = (("candidate", "active"), ("active", "candidate"))


def _place_of(frame: LabelledFrame) -> _Place:
    size = frame.image.shape[1], frame.image.shape[0]

    def crop(x: float, y: float) -> Rgb:
        left, top = (round(at) - paper.PATCH_SIZE // 2 for at in (x, y))
        return hatched(cut_plain(frame.image, x, y), left, top, size)

    return _Place(frame.case, frame.name, frame.match_radius, crop)


def _on_free_slide(sides: dict[str, _Side], slide: MitosisFreeSlide, progress: Progress) -> list[Difference]:
    with slide.opened() as frame:
        found = {name: side.look_at_free(frame, slide.source, slide.mm2, progress) for name, side in sides.items()}
        radius = paper.um(paper.MATCH_RADIUS) * float(np.mean(frame.scale)) / float(np.mean(frame.mpp))

        def crop(x: float, y: float) -> Rgb:
            return frame.crop(round(x / frame.scale[0]), round(y / frame.scale[1]), paper.PATCH_SIZE)

        place = _Place(slide.case, slide.name, radius, crop)
        nothing = np.zeros(max(len(one.scores) for one in found.values()), dtype=bool)
        differences = []
        for name, other in _BOTH_WAYS:
            own = _only(place, name, found[name], found[other], nothing)
            sides[name].free_alone += len(own)
            differences += own
        return differences


def _only(place: _Place, by: str, own: Detections, others: Detections, hits: NDArray[np.bool_]) -> list[Difference]:
    """Detections of one side without one of the other within the radius at 0.5 or more. hits: of `own`."""
    strong = others.at_least(paper.SCORE_THRESHOLD)
    mine = own.at_least(paper.SCORE_THRESHOLD)
    shared = match(mine.xy, mine.scores, strong.xy, place.radius)
    rows = []
    for (x, y), score, both, right in zip(mine.xy.tolist(), mine.scores.tolist(), shared, hits, strict=False):
        if both:
            continue
        near = np.hypot(*(others.xy - (x, y)).T) <= place.radius
        other = float(others.scores[near].max(initial=0.0))
        rows.append(Difference(place.case, place.name, x, y, score, other, by, bool(right), place.crop(x, y)))
    return rows
