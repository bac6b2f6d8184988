"""Weights as safetensors, with a readable card (JSON) beside them. Nothing is pickled."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from detector.errors import WeightsError
from detector.model.card import SCHEMA, Card, read_card, sha256_of
from detector.model.network import ResNet12

_PADDED = {"ResNet12": False, "ResNet12, zero-padded": True}  # what a file says that it holds
_COARSE = "coarse."  # before the names of the coarse network's tensors
_SHIFT = "shift."  # before the name of a scanner: the shift of its mitosis logit, a scalar
SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "mitoscope.safetensors"


def save_weights(
    network: ResNet12,
    path: Path,
    card: Card,
    *,
    coarse: ResNet12 | None = None,
    shifts: Mapping[str, float] | None = None,
) -> None:
    """Write `path` (.safetensors) and its card beside it (.json), with the hash of the weights in the card.

    coarse: the first stage of its cascade, written into the same file. shifts: by scanner, what is added to the mitosis
    logit of its slides; written into the same file, and repeated on the card, which names no other scanner's shift.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shifts = shifts or {}
    state = _floats(network) | ({_COARSE + name: tensor for name, tensor in _floats(coarse).items()} if coarse else {})
    state |= {_SHIFT + name: torch.tensor(value, dtype=torch.float64) for name, value in shifts.items()}
    partial = path.with_suffix(".partial")
    name = next(name for name, padded in _PADDED.items() if padded == network.padded)
    # One key only: safetensors writes several in no fixed order, and the same weights must have the same hash.
    save_file(state, partial, metadata={"network": name})
    partial.replace(path)
    written: Card = {
        **card,
        "schema": SCHEMA,
        "network": name,
        "widths": list(network.widths),
        "sha256": sha256_of(path),
    }
    found = written.pop("scanner_shifts", {})
    if shifts:
        written["scanner_shifts"] = {
            name: {**found.get(name, {}), "logit_shift": shift} for name, shift in shifts.items()
        }
        written["scanners"] = sorted({*written.get("scanners", []), *shifts})
    path.with_suffix(".json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", "utf-8")


def load_weights(path: Path) -> tuple[ResNet12, Card]:
    """The network in evaluation mode, and its card. Raises WeightsError in words."""
    state, padded = _read(path)
    fine = {k: v for k, v in state.items() if not k.startswith((_COARSE, _SHIFT))}
    return _network(fine, padded, path), read_card(path)


def load_coarse(path: Path) -> ResNet12 | None:
    """The coarse network in a file of weights, in evaluation mode; None where it has none. Raises WeightsError."""
    state, padded = _read(path)
    coarse = {k.removeprefix(_COARSE): v for k, v in state.items() if k.startswith(_COARSE)}
    return _network(coarse, padded, path) if coarse else None


def load_shifts(path: Path) -> dict[str, float]:
    """The shift of the mitosis logit of each scanner that a file of weights has one for. Raises WeightsError."""
    state, _ = _read(path)
    found = {k.removeprefix(_SHIFT): v for k, v in state.items() if k.startswith(_SHIFT)}
    for scanner, shift in found.items():
        if shift.ndim or not math.isfinite(float(shift)):
            raise WeightsError(f"{path} has a shift for {scanner} that is no finite number; calibrate anew")
    return {scanner: float(shift) for scanner, shift in sorted(found.items())}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], bool]:
    """All tensors of a file by name, and whether its networks are zero-padded."""
    if not path.is_file():
        raise WeightsError(f"there are no weights at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            state = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is no safetensors file: {error}") from error
    if metadata.get("network") not in _PADDED:
        raise WeightsError(f"{path} holds weights of another network, not of ResNet12")
    return state, _PADDED[metadata["network"]]


def _network(state: dict[str, torch.Tensor], padded: bool, path: Path) -> ResNet12:
    try:
        widths = [len(state["stem.weight"]), *(len(state[f"blocks.{i}.conv1.weight"]) for i in range(5))]
        network = ResNet12(widths, padded=padded)
        missing, unexpected = network.load_state_dict(state, strict=False)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # the last for tensors of other shapes
        reason = ": ".join(str(error).split("\n\t")[:2])
        raise WeightsError(f"{path} does not fit ResNet12: {reason}") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise WeightsError(f"{path} does not fit ResNet12: missing {missing}, unexpected {unexpected}")
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise WeightsError(f"{path} holds weights that are no finite numbers; its training went wrong")
    return network.eval()


def _floats(network: ResNet12) -> dict[str, torch.Tensor]:
    state = network.state_dict().items()
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in state if tensor.is_floating_point()}
