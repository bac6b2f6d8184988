"""Data Augmentation (3.1): contrast transfer, flips, rotations, jitter; ours besides: blur and JPEG of other scanners.

The parameters of each patch are drawn first (`draw_variations`) and applied then: patch by patch with OpenCV on a CPU
(`augment_patch`), or a batch at once with torch on a GPU (`augment_gpu.py`).
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

_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)  # optical density of a value of 8 bit
_SAME_DENSITY = np.eye(3, 4)


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation. Probabilities 0..1; `paper` has the reasons of the defaults."""

    contrast_transfer: float = paper.CONTRAST_TRANSFER_PROBABILITY
    shift: float = paper.JITTER_PIXELS  # px
    scale: float = paper.JITTER_SCALE
    colour: float = paper.JITTER_COLOUR
    stain: float = 0.0  # amounts of haematoxylin, eosin and the rest vary by this share, each for itself
    gamma: float = 0.0  # the tone curve of a scanner: its exponent varies by this share
    blur: float = 0.0  # probability; labels do not change under the blur of another scanner's focus
    sharpen: float = 0.0  # probability of the halo of a scanner that sharpens
    jpeg: float = 0.0  # probability of saving as JPEG of a quality drawn from paper.JPEG_QUALITY


@dataclass(frozen=True)
class Variations:
    """Augmentation parameters of n patches, in the order of application.

    matrices: (n, 2, 3), patch pixel (u, v) shows the image at matrix @ (u, v, 1). stain_scale, stain_shift: (n, 3), LAB
    (8 bit) becomes LAB * scale + shift where `stain_transferred`. density: (n, 3, 4), optical densities of RGB become
    density @ (r, g, b, 1). gain, offset: (n, 3), RGB becomes 255 * (RGB / 255) ** gamma * gain + offset; gamma (n,).
    blur: (n,) deviation in px, 0 for none. sharpen: (n,) how much of the difference to a blurred patch is added.
    jpeg: (n,) quality, 0 for none. size: side of a patch in px.
    """

    matrices: Floats
    stain_transferred: NDArray[np.bool_]
    stain_scale: Floats
    stain_shift: Floats
    density: Floats
    gamma: Floats
    gain: Floats
    offset: Floats
    blur: Floats
    sharpen: Floats
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
    target_stains: Sequence[LabStatistics | None] | None = None,
) -> Variations:
    """Draw the augmentation of n patches. xy: (n, 2), their centres, px of their images. own: the stain of the HPF of
    each; others: all stains.

    "With a fixed probability, we change the mean and standard deviation (in LAB color-space) of the HPF from which a
    patch is sampled to the values from another randomly selected HPF." target_stains: of each patch, a stain that
    it gets in any case, or None.
    """
    n = len(xy)
    matrices = affine_matrices(
        xy,
        angle=rng.uniform(0, 2 * np.pi, n),
        scale=np.exp(rng.uniform(-augmentation.scale, augmentation.scale, n)),
        flip=rng.choice([-1.0, 1.0], n),
        shift=rng.uniform(-augmentation.shift, augmentation.shift, (n, 2)),
        size=size,
    )
    wanted, drawn = rng.random(n) < augmentation.contrast_transfer, rng.random(n)
    target = [_another(own[i], others, drawn[i]) if wanted[i] else None for i in range(n)]
    if target_stains is not None:
        target = [given or to for given, to in zip(target_stains, target, strict=True)]
    stain_transferred = np.array([stain is not None for stain in target], dtype=bool)
    stain = [(np.ones(3), np.zeros(3)) if to is None else stain_scale_shift(own[i], to) for i, to in enumerate(target)]
    gain = 1 + rng.uniform(-augmentation.colour, augmentation.colour, (n, 3))
    offset = 255 * rng.uniform(-augmentation.colour, augmentation.colour, (n, 3)) / 2
    blur = np.where(rng.random(n) < augmentation.blur, rng.uniform(*paper.BLUR_DEVIATION, n), 0.0)
    jpeg = np.where(rng.random(n) < augmentation.jpeg, rng.integers(*paper.JPEG_QUALITY, n, endpoint=True), 0)
    scales, shifts = (np.array(part).reshape(n, 3) for part in zip(*stain, strict=True)) if n else (gain, offset)
    density = stain_matrices(
        rng.uniform(-augmentation.stain, augmentation.stain, (n, 3)),
        rng.uniform(-augmentation.stain, augmentation.stain, (n, 3)) * paper.STAIN_OFFSET,
    )
    gamma = np.exp(rng.uniform(-augmentation.gamma, augmentation.gamma, n))
    sharp = (rng.random(n) < augmentation.sharpen) & (blur == 0)  # a scanner is out of focus, or sharpens
    sharpen = np.where(sharp, rng.uniform(*paper.SHARPENING, n), 0.0)
    return Variations(
        matrices, stain_transferred, scales, shifts, density, gamma, gain, offset, blur, sharpen, jpeg, size
    )


def _another(own: LabStatistics, stains: Sequence[LabStatistics], drawn: float) -> LabStatistics | None:
    """A stain other than `own`, uniform by `drawn` in [0, 1); None without one."""
    index, rest = divmod(drawn * len(stains), 1)
    if stains and stains[int(index)] != own:
        return stains[int(index)]
    others = [one for one in stains if one != own]  # seldom: there may be thousands
    return others[int(rest * len(others))] if others else None


def augment_patch(image: Rgb, variations: Variations, index: int) -> Rgb:
    """Patch `index`, uint8 [s, s, 3], cut from its image (mirrored outside) and augmented."""
    patch = warp(image, variations.matrices[index], variations.size)
    if variations.stain_transferred[index]:
        patch = _transfer_stain(patch, variations.stain_scale[index], variations.stain_shift[index])
    if not np.array_equal(variations.density[index], _SAME_DENSITY):
        patch = transform_density(patch, variations.density[index])
    patch = adjust_colour(patch, variations.gain[index], variations.offset[index], float(variations.gamma[index]))
    if variations.blur[index]:
        patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), float(variations.blur[index])), dtype=np.uint8)
    if variations.sharpen[index]:
        patch = sharpen(patch, float(variations.sharpen[index]))
    if variations.jpeg[index]:
        patch = as_jpeg(patch, int(variations.jpeg[index]))
    return patch


def affine_matrices(
    xy: Floats, *, angle: Floats, scale: Floats, flip: Floats, shift: Floats, size: int = paper.PATCH_SIZE
) -> Floats:
    """Affine matrices (n, 2, 3) from patch px to image px: rotation (radians), scale, mirror (flip -1), shift (px)."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.stack([np.stack([cos * flip, -sin], axis=-1), np.stack([sin * flip, cos], axis=-1)], axis=-2)  # (n, 2, 2)
    # OpenCV counts pixel centres, we count pixel corners: hence the halves.
    middle = size / 2 - 0.5
    offset = xy - 0.5 - np.einsum("nij,nj->ni", turn, middle + shift)
    return np.concatenate([turn, offset[..., None]], axis=2)


def stain_scale_shift(source: LabStatistics, target: LabStatistics) -> tuple[Floats, Floats]:
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
    return _transfer_stain(patch, *stain_scale_shift(source, target))


def stain_matrices(share: Floats, offset: Floats) -> Floats:
    """Matrices (n, 3, 4) on optical densities that vary haematoxylin, eosin and the rest apart (Tellez et al. 2018).

    share: (n, 3), by which the amount of each changes; offset: (n, 3), added to it, in units of optical density.
    """
    basis = paper.STAIN_VECTORS / np.linalg.norm(paper.STAIN_VECTORS, axis=1, keepdims=True)  # (3 stains, rgb)
    # Row vectors: density = amounts @ basis. Column vectors as OpenCV has them: transposed.
    # No share is the identity to the last bit.
    matrix = np.eye(3) + np.einsum("sr,ns,qs->nrq", basis, share, np.linalg.inv(basis))  # (n, rgb, rgb)
    return np.concatenate([matrix, (offset @ basis)[..., None]], axis=2)


def transform_density(patch: Rgb, density: Floats) -> Rgb:
    """The patch with its optical densities moved by a matrix (3, 4). Optical density: -ln((RGB + 1) / 256)."""
    moved = cv2.transform(_DENSITY[patch], density.astype(np.float32))
    return np.asarray(np.clip(256 * cv2.exp(-moved) - 1, 0, 255).round(), dtype=np.uint8)


def sharpen(patch: Rgb, amount: float) -> Rgb:
    """The patch and `amount` times its difference to a blurred one: the halo around nuclei of scanners that sharpen."""
    blurred = cv2.GaussianBlur(patch, (0, 0), paper.SHARPENING_DEVIATION)
    return np.asarray(cv2.addWeighted(patch, 1 + amount, blurred, -amount, 0), dtype=np.uint8)


def adjust_colour(patch: Rgb, gain: Floats, offset: Floats, gamma: float = 1.0) -> Rgb:
    """Each RGB channel under the tone curve of an exponent, times its gain, plus its offset."""
    tone = 255 * (np.arange(256) / 255) ** gamma
    tables = np.clip(tone[:, None] * gain + offset, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(patch, np.ascontiguousarray(tables[None])), dtype=np.uint8)


def as_jpeg(patch: Rgb, quality: int) -> Rgb:
    """The patch after JPEG compression of this quality (1..100)."""
    _, data = cv2.imencode(".jpg", patch[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], dtype=np.uint8)


def _transfer_stain(patch: Rgb, scale: Floats, shift: Floats) -> Rgb:
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)
    tables = np.clip(np.arange(256)[:, None] * scale + shift, 0, 255).round().astype(np.uint8)
    moved = cv2.LUT(lab, np.ascontiguousarray(tables[None]))
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), dtype=np.uint8)
