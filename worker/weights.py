"""The network of a model version, loaded once per process."""

from __future__ import annotations

import functools
from pathlib import Path

from detector.checkpoint import load_weights
from detector.detect import Scorer
from detector.errors import WeightsError
from webapp import environment
from webapp.registry.models import ModelVersion


def scorer_of(model: ModelVersion) -> Scorer:
    """The scorer of a version, kept warm. Raises WeightsError where the file is not the one that was registered."""
    return _load(model.file, model.sha256)


@functools.lru_cache(maxsize=2)
def _load(path: Path, sha256: str) -> Scorer:
    network, card = load_weights(path)
    if card["sha256"] != sha256:
        raise WeightsError(f"the weights {path.name} have changed since they were registered; register them anew")
    return Scorer(network, device=environment.text("DEVICE", "auto"), precision=environment.text("PRECISION", "auto"))
