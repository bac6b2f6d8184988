"""The network of a model version, loaded once per process, and the settings that it runs with."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from detector.detection.scorer import Scorer, load_scorer, parse_device
from detector.errors import WeightsError
from webapp.core import environment
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_weights

DEVICE = environment.text("DEVICE", "auto")
PRECISION = environment.choice("PRECISION", "auto", of=("auto", "fp32", "bf16"))
CASCADE = environment.choice("CASCADE", "auto", of=("auto", "off"))  # off: every cell is scored by the fine network
MEMORY_GB = environment.integer("WORKER_MEMORY_GB", 8, low=2, high=10_000)  # of a process that detects on a CPU
READERS = environment.integer("READERS", 0, low=0, high=256)  # 0: one for a CPU, up to eight for a GPU


def scorer_of(model: ModelVersion) -> Scorer:
    """The scorer of a version, kept warm. Raises WeightsError where the file is not the one that was registered."""
    return _load(version_weights(version=model), model.sha256)


def readers() -> int:
    """Threads that read slides ahead: a CPU computes longer than it reads, a GPU waits for one reader."""
    if READERS:
        return READERS
    return 1 if parse_device(DEVICE).type == "cpu" else min(8, os.cpu_count() or 1)


@functools.lru_cache(maxsize=2)
def _load(path: Path, sha256: str) -> Scorer:
    scorer, card = load_scorer(path, device=DEVICE, precision=PRECISION, cascade=CASCADE == "auto")
    if card["sha256"] != sha256:
        raise WeightsError(f"the weights {path.name} have changed since they were registered; register them anew")
    return scorer
