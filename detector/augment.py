"""Data augmentation (3.1): contrast transfer between HPFs, flips, rotation, jitter; blur and JPEG on top.

Everything works on one patch at a time with OpenCV on uint8, about 3,000 patches/s on one core; inputs are not changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector import paper
from detector.hpf import LabStatistics, Rgb


@dataclass(frozen=True)
class Augmentation:
    """How strongly patches are varied. Probabilities 0..1; see `paper` for the reasons of the defaults."""

    contrast_transfer: float = paper.CONTRAST_TRANSFER_PROBABILITY
    shift: float = paper.JITTER_PIXELS  # px
    scale: float = paper.JITTER_SCALE
    colour: float = paper.JITTER_COLOUR
    blur: float = 0.0  # probability; labels do not change under the blur of another scanner's focus
    jpeg: float = 0.0  # probability of saving as JPEG of quality 50..95


def cut(image: Rgb, x: float, y: float, augmentation: Augmentation, rng: np.random.Generator) -> Rgb:
    """A 128 x 128 patch centred on (x, y) px of the image, flipped, rotated by any angle, scaled and shifted.

    What lies outside of the image is mirrored, as in testing.
    """
    angle = rng.uniform(0, 2 * np.pi)
    scale = np.exp(rng.uniform(-augmentation.scale, augmentation.scale))
    flip = rng.choice([-1.0, 1.0])
    shift = rng.uniform(-augmentation.shift, augmentation.shift, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    turn[:, 0] *= flip
    # OpenCV counts pixel centres, we count pixel corners: hence the halves.
    middle = paper.PATCH_SIZE / 2 - 0.5
    centre = np.array([x, y]) - 0.5
    offset = centre - turn @ (np.array([middle, middle]) + shift)
    return warp(image, np.column_stack([turn, offset]))


def cut_plain(image: Rgb, x: float, y: float) -> Rgb:
    """The 128 x 128 patch centred on the pixel corner nearest to (x, y), as the network sees it in testing."""
    middle = paper.PATCH_SIZE // 2
    return warp(image, np.array([[1.0, 0.0, round(x) - middle], [0.0, 1.0, round(y) - middle]]))


def warp(image: Rgb, matrix: np.typing.NDArray[np.float64]) -> Rgb:
    """Patch whose pixel (u, v) is the image at matrix @ (u, v, 1)."""
    size = (paper.PATCH_SIZE, paper.PATCH_SIZE)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


def contrast_transfer(patch: Rgb, source: LabStatistics, target: LabStatistics) -> Rgb:
    """Reinhard et al. 2001: LAB mean and deviation of the HPF that the patch is from, moved to those of another HPF.

    source, target: statistics of whole HPFs, not of the patch. A channel without deviation is only shifted.
    """
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)
    value = np.arange(256, dtype=np.float64)
    tables = []
    for channel in range(3):
        ratio = target.deviation[channel] / source.deviation[channel] if source.deviation[channel] > 1e-6 else 1.0
        table = (value - source.mean[channel]) * ratio + target.mean[channel]
        tables.append(np.clip(np.round(table), 0, 255).astype(np.uint8))
    moved = cv2.merge([cv2.LUT(lab[..., channel], tables[channel]) for channel in range(3)])
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), dtype=np.uint8)


def jitter_colour(patch: Rgb, amount: float, rng: np.random.Generator) -> Rgb:
    """Brightness and contrast of each RGB channel changed by up to `amount` of the range."""
    gain = 1 + rng.uniform(-amount, amount, 3)
    offset = 255 * rng.uniform(-amount, amount, 3) / 2
    tables = np.clip(np.arange(256)[:, None] * gain + offset, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(patch, np.ascontiguousarray(tables[None])), dtype=np.uint8)


def soften(patch: Rgb, augmentation: Augmentation, rng: np.random.Generator) -> Rgb:
    """Blur and JPEG artefacts of another scanner, each with its probability."""
    if rng.random() < augmentation.blur:
        patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), rng.uniform(0.3, 1.2)), dtype=np.uint8)
    if rng.random() < augmentation.jpeg:
        quality = int(rng.integers(50, 96))
        _, data = cv2.imencode(".jpg", patch[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        patch = np.asarray(decoded[..., ::-1], dtype=np.uint8)
    return patch
