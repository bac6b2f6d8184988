"""The augmentation of `augment.py` for a whole batch at once, in torch: on a GPU the network never waits for patches.

The frames lie on the device as bytes; a batch is cut from them, augmented and passed through the quantisation of JPEG
without leaving it. `augment.augment_patch` is the reference (tested against it).

Letters in shape comments: n patches, s = 128 px, c = 3 channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detector import paper
from detector.frames import LabelledFrame
from detector.training.augment import Variations

_SIDE = paper.PATCH_SIZE
_BLUR_REACH = 4  # px; more than three deviations of the widest blur
_WHITE = (0.950456, 1.0, 1.088754)  # D65, as OpenCV has it
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_RGB_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
# The quantisation tables of ITU T.81, annex K, from which every encoder derives its own by quality.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = tuple(
    tuple({(0, 0): 17, (0, 1): 18, (1, 0): 18, (1, 1): 21, (0, 2): 24, (2, 0): 24, (1, 2): 26, (2, 1): 26,
           (0, 3): 47, (3, 0): 47, (2, 2): 56, (1, 3): 66, (3, 1): 66}.get((row, column), 99) for column in range(8))
    for row in range(8)
)  # fmt: skip


class FramesOnDevice:
    """The pixels of some frames on a device, in one uint8 tensor (pixels, 3)."""

    def __init__(self, frames: Sequence[LabelledFrame], device: str | torch.device) -> None:
        self.device = torch.device(device)
        self._index = {id(frame): i for i, frame in enumerate(frames)}
        sizes = np.array([frame.image.shape[:2] for frame in frames], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))[:-1]])
        self._geometry = np.column_stack([starts, sizes])  # (frames, 3): first pixel, height, width
        self._pixels = torch.empty((int(sizes.prod(axis=1).sum()), 3), dtype=torch.uint8, device=self.device)
        for frame, start in zip(frames, starts, strict=True):
            flat = torch.from_numpy(np.ascontiguousarray(frame.image)).reshape(-1, 3)
            self._pixels[start : start + len(flat)] = flat.to(self.device)

    @torch.no_grad()
    def augment_batch(self, frames: Sequence[LabelledFrame], variations: Variations) -> Tensor:
        """Patch i, cut from frames[i] and augmented. Returns float32 (n, s, s, 3), RGB in whole numbers 0..255."""

        def on_device(array: np.typing.NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(array.astype(np.float32)).to(self.device, non_blocking=True)

        geometry = torch.from_numpy(self._geometry[[self._index[id(frame)] for frame in frames]]).to(self.device)
        patches = self._cut(geometry, on_device(variations.matrices))
        restained = transfer_stain(patches, on_device(variations.stain_scale), on_device(variations.stain_shift))
        where = torch.from_numpy(variations.stain_transferred).to(self.device)
        patches = torch.where(where[:, None, None, None], restained, patches)
        if stained := np.flatnonzero((variations.density != np.eye(3, 4)).any(axis=(1, 2))).tolist():
            patches[stained] = transform_density(patches[stained], on_device(variations.density[stained]))
        gamma, gain, offset = (
            on_device(part).reshape(len(frames), 1, 1, -1)
            for part in (variations.gamma, variations.gain, variations.offset)
        )
        patches = _rounded(255 * (patches / 255) ** gamma * gain + offset)
        if blurred := np.flatnonzero(variations.blur).tolist():
            patches[blurred] = blur(patches[blurred], on_device(variations.blur[blurred]))
        if sharp := np.flatnonzero(variations.sharpen).tolist():
            patches[sharp] = sharpen(patches[sharp], on_device(variations.sharpen[sharp]))
        if saved := np.flatnonzero(variations.jpeg).tolist():
            patches[saved] = as_jpeg(patches[saved], on_device(variations.jpeg[saved]))
        return patches

    def _cut(self, geometry: Tensor, matrices: Tensor) -> Tensor:
        axis = torch.arange(_SIDE, device=self.device, dtype=torch.float32)
        ones = torch.ones((_SIDE, _SIDE), device=self.device)
        grid = torch.stack([axis[None].expand(_SIDE, -1), axis[:, None].expand(-1, _SIDE), ones])  # (u, v, 1), s, s
        x, y = torch.einsum("nij,jvu->invu", matrices, grid)  # (n, s, s) each
        left, top = x.floor(), y.floor()
        right_part, lower_part = (x - left)[..., None], (y - top)[..., None]
        start, height, width = (part[:, None, None] for part in geometry.unbind(1))

        def pixels(column: Tensor, row: Tensor) -> Tensor:
            place = start + _mirrored(row.long(), height) * width + _mirrored(column.long(), width)
            return self._pixels[place].float()  # (n, s, s, c)

        upper = pixels(left, top) * (1 - right_part) + pixels(left + 1, top) * right_part
        lower = pixels(left, top + 1) * (1 - right_part) + pixels(left + 1, top + 1) * right_part
        return _rounded(upper * (1 - lower_part) + lower * lower_part)


def transfer_stain(patches: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """LAB (8 bit: L * 2.55, a + 128, b + 128) times scale plus shift. patches: (n, s, s, c); scale, shift: (n, c)."""
    matrix = torch.tensor(_RGB_TO_XYZ, device=patches.device)
    white = torch.tensor(_WHITE, device=patches.device)
    rgb = patches / 255
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ matrix.T / white
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116)
    lab = torch.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], dim=-1)
    byte = torch.tensor([2.55, 1.0, 1.0], device=patches.device)
    zero = torch.tensor([0.0, 128.0, 128.0], device=patches.device)
    moved = ((lab * byte + zero) * scale[:, None, None] + shift[:, None, None]).clamp(0, 255)
    lightness, a, b = ((moved - zero) / byte).unbind(-1)
    fy = (lightness + 16) / 116
    f = torch.stack([fy + a / 500, fy, fy - b / 200], dim=-1)
    xyz = torch.where(f > 6 / 29, f**3, (f - 16 / 116) / 7.787) * white
    linear = (xyz @ torch.linalg.inv(matrix).T).clamp(0, 1)
    rgb = torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
    return _rounded(rgb * 255)


def transform_density(patches: Tensor, density: Tensor) -> Tensor:
    """Optical densities moved by matrices (n, 3, 4), see `augment.stain_matrices`; patches (n, s, s, c)."""
    moved = -torch.log((patches + 1) / 256) @ density[:, None, :, :3].mT + density[:, None, None, :, 3]
    return _rounded(256 * torch.exp(-moved) - 1)


def sharpen(patches: Tensor, amount: Tensor) -> Tensor:
    """The patches (n, s, s, c) and `amount` (n,) times their difference to blurred ones."""
    blurred = blur(patches, torch.full_like(amount, paper.SHARPENING_DEVIATION))
    return _rounded(patches + amount[:, None, None, None] * (patches - blurred))


def blur(patches: Tensor, deviation: Tensor) -> Tensor:
    """Gaussian blur with a deviation (n,) in px of each patch; (n, s, s, c)."""
    n = len(patches)
    taps = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1, device=patches.device)
    kernel = torch.exp(-((taps[None] / deviation[:, None]) ** 2) / 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (n c, taps)
    image = patches.permute(0, 3, 1, 2).reshape(1, 3 * n, _SIDE, _SIDE)
    image = torch.nn.functional.pad(image, (_BLUR_REACH,) * 4, mode="reflect")
    image = torch.nn.functional.conv2d(image, kernel[:, None, None, :], groups=3 * n)
    image = torch.nn.functional.conv2d(image, kernel[:, None, :, None], groups=3 * n)
    return _rounded(image.reshape(n, 3, _SIDE, _SIDE).permute(0, 2, 3, 1))


def as_jpeg(patches: Tensor, quality: Tensor) -> Tensor:
    """JPEG quantisation of patches (n, s, s, c) by quality (n,): colour at half resolution, 8 x 8 cosine transform."""
    matrix = torch.tensor(_RGB_TO_YCC, device=patches.device)
    luma, *colours = (patches @ matrix.T).unbind(-1)  # (n, s, s) each, colours around 0
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    luma = _quantised(luma - 128, _LUMA, percent) + 128
    halves = [torch.nn.functional.avg_pool2d(colour[:, None], 2)[:, 0] for colour in colours]
    halves = [_quantised(half, _CHROMA, percent) for half in halves]
    blue, red = (
        torch.nn.functional.interpolate(half[:, None], scale_factor=2, mode="bilinear")[:, 0] for half in halves
    )
    return _rounded(torch.stack([luma, blue, red], dim=-1) @ torch.linalg.inv(matrix).T)


def _quantised(plane: Tensor, table: Sequence[Sequence[int]], percent: Tensor) -> Tensor:
    n, side, _ = plane.shape
    k = torch.arange(8, device=plane.device, dtype=torch.float32)
    cosine = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / 16) / 2
    cosine[0] /= math.sqrt(2)
    steps = torch.tensor(table, device=plane.device, dtype=torch.float32)[None]
    steps = ((steps * percent + 50) / 100).floor().clamp(1, 255)[:, None, None]  # (n, 1, 1, 8, 8)
    blocks = plane.reshape(n, side // 8, 8, side // 8, 8).transpose(2, 3)  # (n, rows, columns, 8, 8)
    waves = torch.round(cosine @ blocks @ cosine.T / steps) * steps
    return (cosine.T @ waves @ cosine).transpose(2, 3).reshape(n, side, side)


def _mirrored(index: Tensor, size: Tensor) -> Tensor:
    """Indices beyond an edge, mirrored at it (the edge pixel twice), as often as it takes."""
    index = index.remainder(2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _rounded(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255)
