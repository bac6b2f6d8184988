"""Data Augmentation (3.1): contrast transfer, flips, rotations, jitter; ours besides: blur and JPEG of other scanners.

What is done to a patch is drawn first (`draw_variations`) and carried out then: patch by patch with OpenCV (`vary`),
fast enough for a CPU, or a batch at once with torch on a GPU (`augment_gpu.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.frames import LabStatistics, Rgb, warp

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Augmentation:
    """How strongly patches are varied. Probabilities 0..1; see `paper` for the reasons of the defaults."""

    contrast_transfer: float = paper.CONTRAST_TRANSFER_PROBABILITY
    shift: float = paper.JITTER_PIXELS  # px
    scale: float = paper.JITTER_SCALE
    colour: float = paper.JITTER_COLOUR
    blur: float = 0.0  # probability; labels do not change under the blur of another scanner's focus
    jpeg: float = 0.0  # probability of saving as JPEG of a quality drawn from paper.JPEG_QUALITY


@dataclass(frozen=True)
class Variations:
    """What is done to each of n patches, in this order.

    matrices: (n, 2, 3), patch pixel (u, v) shows the image at matrix @ (u, v, 1). stain_scale, stain_shift: (n, 3), LAB
    (8 bit) becomes LAB * scale + shift where `restained`. gain, offset: (n, 3), RGB becomes RGB * gain + offset.
    blur: (n,) deviation in px, 0 for none. jpeg: (n,) quality, 0 for none. size: side of a patch in px.
    """

    matrices: Floats
    restained: NDArray[np.bool_]
    stain_scale: Floats
    stain_shift: Floats
    gain: Floats
    offset: Floats
    blur: Floats
    jpeg: NDArray[np.int64]
    size: int = paper.PATCH_SIZE


def draw_variations(
    xy: Floats,
    own: Sequence[LabStatistics],
    others: Sequence[LabStatistics],
    augmentation: Augmentation,
    rng: np.random.Generator,
    *,
    size: int = paper.PATCH_SIZE,
) -> Variations:
    """Draw what is done to n patches. xy: (n, 2), their centres. own: the stain of the HPF of each; others: all stains.

    "With a fixed probability, we change the mean and standard deviation (in LAB color-space) of the HPF from which a
    patch is sampled to the values from another randomly selected HPF."
    """
    n = len(xy)
    matrices = turned_about(
        xy,
        angle=rng.uniform(0, 2 * np.pi, n),
        scale=np.exp(rng.uniform(-augmentation.scale, augmentation.scale, n)),
        flip=rng.choice([-1.0, 1.0], n),
        shift=rng.uniform(-augmentation.shift, augmentation.shift, (n, 2)),
        size=size,
    )
    wanted, drawn = rng.random(n) < augmentation.contrast_transfer, rng.random(n)
    target = [_another(own[i], others, drawn[i]) if wanted[i] else None for i in range(n)]
    restained = np.array([stain is not None for stain in target], dtype=bool)
    stain = [(np.ones(3), np.zeros(3)) if to is None else stain_change(own[i], to) for i, to in enumerate(target)]
    gain = 1 + rng.uniform(-augmentation.colour, augmentation.colour, (n, 3))
    offset = 255 * rng.uniform(-augmentation.colour, augmentation.colour, (n, 3)) / 2
    blur = np.where(rng.random(n) < augmentation.blur, rng.uniform(*paper.BLUR_DEVIATION, n), 0.0)
    jpeg = np.where(rng.random(n) < augmentation.jpeg, rng.integers(*paper.JPEG_QUALITY, n, endpoint=True), 0)
    scales, shifts = (np.array(part).reshape(n, 3) for part in zip(*stain, strict=True)) if n else (gain, offset)
    return Variations(matrices, restained, scales, shifts, gain, offset, blur, jpeg, size)


def _another(own: LabStatistics, stains: Sequence[LabStatistics], drawn: float) -> LabStatistics | None:
    """One of some stains that is not `own`, by a number drawn from 0..1; None where there is no other."""
    first = int(drawn * len(stains))
    return next((one for one in (*stains[first:], *stains[:first]) if one != own), None)


def vary(image: Rgb, variations: Variations, index: int) -> Rgb:
    """Patch `index`, cut from its image and varied. What lies outside of the image is mirrored."""
    patch = warp(image, variations.matrices[index], variations.size)
    if variations.restained[index]:
        patch = _restained(patch, variations.stain_scale[index], variations.stain_shift[index])
    patch = recoloured(patch, variations.gain[index], variations.offset[index])
    if variations.blur[index]:
        patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), float(variations.blur[index])), dtype=np.uint8)
    if variations.jpeg[index]:
        patch = as_jpeg(patch, int(variations.jpeg[index]))
    return patch


def turned_about(
    xy: Floats, *, angle: Floats, scale: Floats, flip: Floats, shift: Floats, size: int = paper.PATCH_SIZE
) -> Floats:
    """Matrices (n, 2, 3) of patches centred on xy, turned by any angle, scaled, mirrored (flip -1) and shifted (px)."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.stack([np.stack([cos * flip, -sin], axis=-1), np.stack([sin * flip, cos], axis=-1)], axis=-2)  # (n, 2, 2)
    # OpenCV counts pixel centres, we count pixel corners: hence the halves.
    middle = size / 2 - 0.5
    offset = xy - 0.5 - np.einsum("nij,nj->ni", turn, middle + shift)
    return np.concatenate([turn, offset[..., None]], axis=2)


def stain_change(source: LabStatistics, target: LabStatistics) -> tuple[Floats, Floats]:
    """Scale and shift of each LAB channel that bring the statistics of one HPF to those of another.

    A channel without deviation is only shifted.
    """
    deviation = np.array(source.deviation)
    scale = np.where(deviation > 1e-6, np.array(target.deviation) / np.maximum(deviation, 1e-6), 1.0)
    return scale, np.array(target.mean) - np.array(source.mean) * scale


def contrast_transfer(patch: Rgb, source: LabStatistics, target: LabStatistics) -> Rgb:
    """Reinhard et al. 2001: LAB mean and deviation of the HPF that the patch is from, moved to those of another HPF.

    source, target: statistics of whole HPFs, not of the patch.
    """
    return _restained(patch, *stain_change(source, target))


def recoloured(patch: Rgb, gain: Floats, offset: Floats) -> Rgb:
    """Each RGB channel times its gain, plus its offset."""
    tables = np.clip(np.arange(256)[:, None] * gain + offset, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(patch, np.ascontiguousarray(tables[None])), dtype=np.uint8)


def as_jpeg(patch: Rgb, quality: int) -> Rgb:
    """The patch as it comes back from a JPEG file of this quality (1..100)."""
    _, data = cv2.imencode(".jpg", patch[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], dtype=np.uint8)


def _restained(patch: Rgb, scale: Floats, shift: Floats) -> Rgb:
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)
    tables = np.clip(np.arange(256)[:, None] * scale + shift, 0, 255).round().astype(np.uint8)
    moved = cv2.LUT(lab, np.ascontiguousarray(tables[None]))
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), dtype=np.uint8)
