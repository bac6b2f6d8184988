"""Weights as safetensors, with a readable card (JSON) beside them. Nothing is pickled.

The file itself says what it is, in the metadata of its header: network, widths, um/px, side of a patch, stride, and the
SHA-256 of its tensors.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from detector import paper
from detector.errors import WeightsError
from detector.model.card import SCHEMA, Card, read_card
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12
from detector.slide.folder import sha256_of

_PADDED = {"ResNet12": False, "ResNet12, zero-padded": True}  # what a file says that it holds
# What it takes and gives: um/px of its input, the side of a patch and the step from cell to cell in px.
_INPUT = {
    "um_per_px": str(paper.WORKING_MPP),
    "patch_size": str(paper.PATCH_SIZE),
    "output_stride": str(paper.OUTPUT_STRIDE),
}
_COARSE = "coarse."  # before the names of the coarse network's tensors
_ATYPICAL = "atypical."  # before those of the network for atypical mitoses
_FIGURE = "figure."  # before those of the figure scale
_SHIFT = "shift."  # before the name of a scanner: the shift of the log odds of its figures, a scalar
SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "mitoscope.safetensors"


class Beside(TypedDict):
    """What a file of weights holds beside its network; see `save_weights`."""

    coarse: ResNet12 | None
    figures: FigureScale
    shifts: dict[str, float]
    atypical: ResNet12 | None


def save_weights(
    network: ResNet12,
    path: Path,
    card: Card,
    *,
    coarse: ResNet12 | None = None,
    figures: FigureScale | None = None,
    shifts: Mapping[str, float] | None = None,
    atypical: ResNet12 | None = None,
) -> None:
    """Write `path` (.safetensors) and its card beside it (.json), with the hash of the weights in the card.

    coarse: the first stage of its cascade, figures: the scale of its scores, shifts: by scanner, what is added to the
    log odds of the figures on its slides, atypical: the network for atypical mitoses; all in the same file. The card
    names the shifts, and no others.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shifts = shifts or {}
    state = _floats(network)
    for before, other in ((_COARSE, coarse), (_ATYPICAL, atypical)):
        state |= {before + name: tensor for name, tensor in _floats(other).items()} if other else {}
    if figures is not None:
        state |= {_FIGURE + name: torch.tensor(value, dtype=torch.float64) for name, value in asdict(figures).items()}
    state |= {_SHIFT + name: torch.tensor(value, dtype=torch.float64) for name, value in shifts.items()}
    partial = path.with_suffix(".partial")
    name = next(name for name, padded in _PADDED.items() if padded == network.padded)
    about = {"network": name, "widths": json.dumps(network.widths), "tensors_sha256": _hash_of(state), **_INPUT}
    partial.write_bytes(_in_order(save(state, metadata=about)))
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
    fine = {
        name: tensor for name, tensor in state.items() if not name.startswith((_COARSE, _ATYPICAL, _FIGURE, _SHIFT))
    }
    return _network(fine, padded, path), read_card(path)


def load_coarse(path: Path) -> ResNet12 | None:
    """The coarse network in a file of weights, in evaluation mode; None where it has none. Raises WeightsError."""
    return _other_network(path, _COARSE)


def load_atypical(path: Path) -> ResNet12 | None:
    """The network for atypical mitoses in a file of weights, likewise."""
    return _other_network(path, _ATYPICAL)


def _other_network(path: Path, before: str) -> ResNet12 | None:
    state, padded = _read(path)
    found = {k.removeprefix(before): v for k, v in state.items() if k.startswith(before)}
    return _network(found, padded, path) if found else None


def load_beside(path: Path) -> Beside:
    """All that a file of weights holds beside its network, to be written with another one. Raises WeightsError."""
    return {
        "coarse": load_coarse(path),
        "figures": load_figure_scale(path),
        "shifts": load_shifts(path),
        "atypical": load_atypical(path),
    }


def load_figure_scale(path: Path) -> FigureScale:
    """The scale of the scores in a file of weights; the default where it has none. Raises WeightsError."""
    state, _ = _read(path)
    values = {f.name: state[_FIGURE + f.name] for f in fields(FigureScale) if _FIGURE + f.name in state}
    return FigureScale(**{name: _number(tensor, path) for name, tensor in values.items()})


def load_shifts(path: Path) -> dict[str, float]:
    """The shift of the figures' log odds of each scanner that a file of weights has one for. Raises WeightsError."""
    state, _ = _read(path)
    found = {k.removeprefix(_SHIFT): v for k, v in state.items() if k.startswith(_SHIFT)}
    return {scanner: _number(shift, path, of=f"a shift for {scanner}") for scanner, shift in sorted(found.items())}


def _number(tensor: torch.Tensor, path: Path, of: str = "a scale of scores") -> float:
    if tensor.ndim or not math.isfinite(float(tensor)):
        raise WeightsError(f"{path} has {of} that is no finite number; calibrate anew")
    return float(tensor)


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
    for name, value in _INPUT.items():  # files of 0.2.0 do not say
        if metadata.get(name, value) != value:
            raise WeightsError(f"{path} holds weights for {name} {metadata[name]}; here it is {value}")
    if metadata.get("tensors_sha256", hashed := _hash_of(state)) != hashed:
        raise WeightsError(f"{path} is damaged: its tensors are not those that were saved; copy it anew")
    return state, _PADDED[metadata["network"]]


def _hash_of(state: Mapping[str, torch.Tensor]) -> str:
    """Hexadecimal SHA-256 of tensors with their names and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names: the same weights must have the same hash."""
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + file[8 + length :]


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
