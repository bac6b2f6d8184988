"""The network of a model version, loaded once per process, and the settings that it runs with."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from detector.detection.scorer import Scorer, load_scorer, parse_device
from detector.detection.slide_fit import SlideFit, fit_slide
from detector.errors import WeightsError
from detector.model.card import Card, tells_atypical
from detector.model.checkpoint import load_atypical, load_shifts
from detector.slide import Frame
from webapp.core import environment
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_weights
from webapp.slides.models import Slide

DEVICE = environment.text("DEVICE", "auto")
PRECISION = environment.choice("PRECISION", "auto", of=("auto", "fp32", "bf16"))
CASCADE = environment.choice("CASCADE", "auto", of=("auto", "off"))  # off: every cell is scored by the fine network
MEMORY_GB = environment.integer("WORKER_MEMORY_GB", 8, low=2, high=10_000)  # of a process that detects on a CPU
READERS = environment.integer("READERS", 0, low=0, high=256)  # 0: one for a CPU, up to eight for a GPU


def scorer_of(model: ModelVersion) -> Scorer:
    """The scorer of a version, kept warm. Raises WeightsError where the file is not the one that was registered."""
    return _loaded(model).scorer


def shifts_of(model: ModelVersion) -> dict[str, float]:
    """The shift of the logit of each scanner that a version is calibrated for. Raises as `scorer_of`."""
    return _loaded(model).shifts


def fit_of(model: ModelVersion, slide: Slide, frame: Frame) -> SlideFit:
    """How a version fits a slide: the shift of its scanner, and whether stain and scanner are known."""
    loaded = _loaded(model)
    return fit_slide(frame, slide.scanner, loaded.card, loaded.shifts)


def atypical_scorer_of(model: ModelVersion) -> Scorer | None:
    """The scorer of a version's network for atypical mitoses; None where it has none that is good enough."""
    return _loaded(model).atypical


def readers() -> int:
    """Threads that read slides ahead: a CPU computes longer than it reads, a GPU waits for one reader."""
    if READERS:
        return READERS
    return 1 if parse_device(DEVICE).type == "cpu" else min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class _Loaded:
    scorer: Scorer
    card: Card
    shifts: dict[str, float]
    atypical: Scorer | None  # none where it does not say it well enough


def _loaded(model: ModelVersion) -> _Loaded:
    return _load(version_weights(version=model), model.sha256)


@functools.lru_cache(maxsize=2)
def _load(path: Path, sha256: str) -> _Loaded:
    scorer, card = load_scorer(path, device=DEVICE, precision=PRECISION, cascade=CASCADE == "auto")
    if card["sha256"] != sha256:
        raise WeightsError(f"the weights {path.name} have changed since they were registered; register them anew")
    network = load_atypical(path) if tells_atypical(card) else None
    atypical = Scorer(network, device=DEVICE, precision=PRECISION) if network is not None else None
    return _Loaded(scorer, card, load_shifts(path), atypical)
