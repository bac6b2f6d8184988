"""Weight averaging over the stages of one training; results in docs/training.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from detector.detection.scorer import Scorer
from detector.errors import WeightsError
from detector.evaluation.evaluate import measure_held_out
from detector.frames import Case
from detector.model.card import AveragedCard, Card, refuse_training_cases
from detector.model.checkpoint import load_beside, load_weights, save_weights
from detector.version import code_version


@torch.no_grad()
def average_weights(
    paths: Sequence[Path], held_out: Sequence[Case], out: Path, *, shares: Sequence[float] | None = None
) -> Path:
    """Write the mean of the weights to `out` (.safetensors) with its card; what the card measures is on `held_out`.

    shares: how much each counts, all alike by default.
    Each must be the parent of the next: the mean of independent trainings detects nothing. Data and plan on the card
    are those of the last, as is the coarse network of its cascade, which is to be distilled anew; shifts of scanners,
    which were found for other weights, are dropped. Raises WeightsError for networks of different widths or weights
    that are no such chain, ValueError where one was trained on a held-out case, or shares do not fit.
    """
    counts = np.array(shares if shares is not None else [1.0] * len(paths), float)
    if len(counts) != len(paths) or not (counts > 0).all():
        raise ValueError(f"there are {len(paths)} weights; give as many shares, each above 0")
    counts /= counts.sum()
    out.parent.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
    loaded = [load_weights(path) for path in paths]
    for (_, before), (_, after), path in zip(loaded, loaded[1:], paths[1:], strict=False):
        if (after.get("parent") or {}).get("sha256") != before["sha256"]:
            raise WeightsError(f"{path} did not begin with the weights named before it; give a course in its order")
    for path in paths:
        refuse_training_cases(path, {case.name for case in held_out})
    network, last = loaded[-1]
    if any(one.widths != network.widths or one.padded != network.padded for one, _ in loaded):
        raise WeightsError("the weights are of networks of different widths; their mean is of none of them")
    states = [one.state_dict() for one, _ in loaded]
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(sum((state[name] * share for state, share in zip(states, counts, strict=True)), tensor * 0))
    last.pop("scanners", None)
    card: Card = {
        **last,
        "name": out.stem,
        "code_version": code_version(),
        "average_of": [_averaged(one, share) for (_, one), share in zip(loaded, counts.tolist(), strict=True)],
        "calibration": None,
    }
    beside = load_beside(paths[-1])
    measure_held_out(card, Scorer(network, figures=beside["figures"], precision="fp32"), held_out)
    beside["shifts"] = {}  # found on other weights
    save_weights(network, out, card, **beside)
    return out


def _averaged(card: Card, share: float) -> AveragedCard:
    plan = card.get("plan") or {}
    return {
        "name": card.get("name"),
        "sha256": card.get("sha256"),
        "iterations": card.get("iterations"),
        "calibration": card.get("calibration"),
        "plan": str(plan["name"]) if "name" in plan else None,
        "share": round(share, 6),
    }
