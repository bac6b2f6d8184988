"""A drawn, not scanned, H&E-like slide with mitotic figures at known places: for demonstration and tests.

Everything is procedural. Coordinates are level-0 pixels at 0.25 um/px, origin top left, (x, y).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from detector.slide.pyramid import write_pyramid
from detector.slide.reader import Rgb

MPP = 0.25
DESCRIPTION = "Drawn by Mitoscope; not a scan of tissue"

_COARSE = 32  # px of the slide per px of the maps of tissue and nests
_SPRITE = 112  # px
_SPACING = 47  # px between cells of a nest
_VARIANTS = 40  # of each kind of cell

_GLASS = np.array([243, 241, 244], dtype=np.float32)
_STROMA = np.array([214, 136, 172], dtype=np.float32)
_NEST = np.array([196, 132, 176], dtype=np.float32)

Field = NDArray[np.float32]


def draw_slide(path: Path, *, size: int = 20_000, figures: int = 60, seed: int = 1) -> NDArray[np.float64]:
    """Write the slide as a pyramidal TIFF and return the centres of its mitotic figures, float (n, 2).

    size: width and height in px. The same arguments give the same slide.
    """
    slide = _Drawing(size, figures, seed)
    write_pyramid(path, slide.rows, (size, size), (MPP, MPP), compression="jpeg", description=DESCRIPTION)
    return slide.figures


def figure_positions(size: int = 20_000, figures: int = 60, seed: int = 1) -> NDArray[np.float64]:
    """Where `draw_slide` puts the mitotic figures, float (n, 2), without drawing."""
    return _Drawing(size, figures, seed).figures


@dataclass(frozen=True)
class _Sprite:
    colour: Field  # (n, n, 3)
    alpha: Field  # (n, n, 1)


class _Drawing:
    def __init__(self, size: int, figures: int, seed: int) -> None:
        self.size = size
        rng = np.random.default_rng(seed)
        side = -(-size // _COARSE) + 4
        self._tissue, self._nests, self._shade = _maps(side, rng)
        self.figures = self._place_figures(figures, rng)
        self._cells, self._kinds = self._place_cells(rng)
        self._texture = _texture(rng)
        self._sprites = {kind: [draw(rng) for _ in range(_VARIANTS)] for kind, draw in _KINDS.items()}
        self._noise = rng.integers(0, 256, (1024, 1024)).astype(np.uint8)

    def rows(self, top: int, bottom: int) -> Rgb:
        """Rows [top, bottom) of level 0, uint8 [bottom - top, size, 3]."""
        out = np.empty((bottom - top, self.size, 3), dtype=np.uint8)
        out[:] = _GLASS.astype(np.uint8)
        tissue = self._upsampled(self._tissue, top, bottom)
        columns = np.flatnonzero((tissue > 0.01).any(axis=0))
        if not len(columns):
            return out
        left, right = int(columns[0]), int(columns[-1]) + 1
        tissue = tissue[:, left:right, None]
        nests = self._upsampled(self._nests, top, bottom)[:, left:right, None]
        shade = self._upsampled(self._shade, top, bottom)[:, left:right, None]
        ground = _STROMA + nests * (_NEST - _STROMA) + shade
        side = self._texture.shape[0]
        texture = self._texture[np.arange(top, bottom) % side][:, np.arange(left, right) % side]
        ground += texture * (1 - 0.55 * nests)
        self._stamp(ground, left, top)
        # The rim follows the fibres instead of the smooth map.
        tissue = np.clip((tissue - 0.5) * 7 + 0.5 + 0.035 * texture[..., 1:2], 0, 1) * (tissue > 0.05)
        band = _GLASS + tissue * (ground - _GLASS)
        out[:, left:right] = np.clip(band, 0, 255)
        return out

    def _upsampled(self, field: Field, top: int, bottom: int) -> Field:
        """Rows of a coarse map at full size."""
        matrix = np.array([[1 / _COARSE, 0, 0.5], [0, 1 / _COARSE, top / _COARSE + 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        shape = (self.size, bottom - top)
        return np.asarray(cv2.warpAffine(field, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE))

    def _at(self, field: Field, xy: NDArray[np.float64]) -> Field:
        index = (xy / _COARSE + 0.5).astype(int)
        return np.asarray(field[index[:, 1], index[:, 0]])

    def _place_figures(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """In the nests, two fifths of them in one hotspot, none nearer than 140 px to another."""
        margin = min(200, self.size // 8)
        chosen: list[NDArray[np.float64]] = []
        inside = np.argwhere((self._nests > 0.6) & (self._tissue > 0.97))[:, ::-1] * float(_COARSE)
        hotspot = inside[rng.integers(len(inside))]
        reach = min(1600.0, self.size / 6)
        for _ in range(count * 400):
            hot = len(chosen) < 0.4 * count
            xy = hotspot + rng.uniform(-reach, reach, 2) if hot else inside[rng.integers(len(inside))]
            xy = np.round(xy + rng.uniform(-_COARSE / 2, _COARSE / 2, 2))
            if (xy < margin).any() or (xy > self.size - margin).any():
                continue
            fits = self._at(self._nests, xy[None])[0] > 0.5 and self._at(self._tissue, xy[None])[0] > 0.95
            if fits and all(np.hypot(*(xy - other)) > 140 for other in chosen):
                chosen.append(xy)
                if len(chosen) == count:
                    break
        return np.array(chosen).reshape(-1, 2)

    def _place_cells(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
        """Cells on a jittered grid: a tumour cell at nearly every place of a nest, few and small ones in the stroma."""
        grid = np.arange(_SPACING / 2, self.size, _SPACING)
        xy = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
        xy = np.clip(xy + rng.uniform(-13, 13, xy.shape), 0, self.size - 1)
        nests, tissue = self._at(self._nests, xy), self._at(self._tissue, xy)
        chance = rng.random(len(xy))
        keep = (tissue > 0.9) & (chance < np.where(nests > 0.5, 0.9, 0.34))
        xy, nests = xy[keep], nests[keep]
        if len(self.figures):
            far = cKDTree(self.figures).query(xy)[0] > 52
            xy, nests = xy[far], nests[far]
        draw = rng.random(len(xy))
        kinds = np.where(nests > 0.5, "tumour", np.where(draw < 0.62, "spindle", "lymphocyte"))
        kinds[(nests > 0.5) & (draw < 0.05)] = "lymphocyte"
        kinds[(nests > 0.5) & (draw > 0.994)] = "apoptotic"
        figures = rng.choice(["metaphase", "anaphase", "prometaphase"], len(self.figures), p=[0.5, 0.25, 0.25])
        xy, kinds = np.concatenate([xy, self.figures]), np.concatenate([kinds, figures])
        order = np.argsort(xy[:, 1], kind="stable")
        return xy[order], kinds[order]

    def _stamp(self, ground: Field, left: int, top: int) -> None:
        half = _SPRITE // 2
        first, last = np.searchsorted(self._cells[:, 1], [top - half, top + len(ground) + half])
        for index in range(int(first), int(last)):
            x, y = (round(v) for v in self._cells[index])
            # Which variant a cell gets depends on the cell alone, not on the strip that it is drawn in.
            sprite = self._sprites[str(self._kinds[index])][int(self._noise[y % 1024, x % 1024]) % _VARIANTS]
            x0, y0 = x - half - left, y - half - top
            a, b = max(y0, 0), min(y0 + _SPRITE, ground.shape[0])
            c, d = max(x0, 0), min(x0 + _SPRITE, ground.shape[1])
            if a >= b or c >= d:
                continue
            alpha = sprite.alpha[a - y0 : b - y0, c - x0 : d - x0]
            target = ground[a:b, c:d]
            target += alpha * (sprite.colour[a - y0 : b - y0, c - x0 : d - x0] - target)


# ---- maps and textures -----------------------------------------------------------------------------------------


def _smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Field:
    """Noise of unit deviation with features of `scale` px."""
    rows, columns = max(int(shape[0] / scale) + 4, 4), max(int(shape[1] / scale) + 4, 4)
    coarse = rng.normal(size=(rows, columns)).astype(np.float32)
    fine = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine / max(float(fine.std()), 1e-6), dtype=np.float32)


def _blurred(field: NDArray[Any], sigma: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field.astype(np.float32), (0, 0), sigma), dtype=np.float32)


def _maps(side: int, rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Tissue (0 glass .. 1), nests of tumour cells (0 .. 1), shade (RGB units); [side, side]."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    shape = (side, side)
    wobble = 0.5 * _smooth_noise(shape, side / 5, rng) + 0.16 * _smooth_noise(shape, max(side / 40, 3), rng)
    large = 1.0 - np.hypot((x - 0.43) / 0.33, (y - 0.52) / 0.36)
    small = 1.0 - np.hypot((x - 0.83) / 0.10, (y - 0.24) / 0.14)
    distance = np.maximum(large, small * 0.8) * 4 + 0.75 * wobble
    tissue = np.clip(distance * 2.2, 0, 1)
    field = _smooth_noise(shape, max(side / 22, 8), rng) + 0.35 * _smooth_noise(shape, 5, rng)
    nests = np.clip((field + 0.35) * 3.0, 0, 1)
    shade = 5 * _smooth_noise(shape, max(side / 9, 8), rng)
    return _blurred(tissue, 0.8), _blurred(nests, 0.7), shade


def _texture(rng: np.random.Generator, side: int = 1536) -> Field:
    """Eosinophilic fibres and grain, RGB offsets [side, side, 3], seamless when repeated."""
    flow = np.zeros((side, side), dtype=np.float32)
    for length, thickness, weight in ((44, 2.6, 9.0), (22, 1.3, 7.0)):
        noise = rng.normal(size=(side, side)).astype(np.float32)
        for angle in (12, 47, 81):
            line = cv2.getGaussianKernel(4 * length + 1, length) @ cv2.getGaussianKernel(17, thickness).T
            square = np.pad(line, ((0, 0), (2 * length - 8, 2 * length - 8)))
            turn = cv2.getRotationMatrix2D((2 * length, 2 * length), angle, 1)
            kernel = cv2.warpAffine(square, turn, square.shape)
            fibres = np.fft.irfft2(np.fft.rfft2(noise) * np.fft.rfft2(kernel, s=noise.shape)).astype(np.float32)
            flow += weight * fibres / fibres.std() / 1.7
    grain = _blurred(rng.normal(size=(side, side)), 1.0)
    grain *= 6.0 / grain.std()
    clefts = 1.1 * np.clip(flow - 15, 0, 60)  # pale clefts between fibres
    tint = np.array([0.55, 1.25, 0.95], dtype=np.float32)
    return np.asarray((flow * 0.8 + grain)[..., None] * tint + clefts[..., None], dtype=np.float32)


# ---- cells -----------------------------------------------------------------------------------------------------


def _grid() -> tuple[Field, Field]:
    y, x = np.mgrid[0:_SPRITE, 0:_SPRITE].astype(np.float32) - (_SPRITE - 1) / 2
    return x, y


def _blob(
    rng: np.random.Generator,
    width: float,
    height: float,
    *,
    rough: float,
    turn: float,
    at: tuple[float, float] = (0.0, 0.0),
    waves: int = 7,
) -> Field:
    """Signed distance (px, about; positive inside) to an irregular ellipse of these half axes."""
    x, y = _grid()
    x, y = x - at[0], y - at[1]
    u = x * np.cos(turn) + y * np.sin(turn)
    v = -x * np.sin(turn) + y * np.cos(turn)
    angle = np.arctan2(v / height, u / width)
    edge = np.ones_like(angle)
    for k in range(2, 2 + waves):
        edge += rough * rng.normal() / k**0.7 * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    radius = np.hypot(u / width, v / height)
    return np.asarray((edge - radius) * min(width, height), dtype=np.float32)


def _soft(distance: Field, softness: float = 1.4) -> Field:
    """0 outside .. 1 inside of a signed distance."""
    return np.asarray(0.5 + 0.5 * np.tanh(distance / softness), dtype=np.float32)


def _layers(*layers: tuple[Field, NDArray[np.float32] | tuple[float, float, float]]) -> _Sprite:
    """Alpha layers with a colour each, from bottom to top, as one sprite."""
    colour: Field = np.zeros((_SPRITE, _SPRITE, 3), dtype=np.float32)
    alpha = np.zeros((_SPRITE, _SPRITE, 1), dtype=np.float32)
    for mask, tone in layers:
        a = mask[..., None]
        total = a + alpha * (1 - a)
        mixed = np.asarray(tone, dtype=np.float32) * a + colour * alpha * (1 - a)
        colour = np.asarray(mixed / np.maximum(total, 1e-6), dtype=np.float32)
        alpha = total
    return _Sprite(colour, alpha)


def _speckle(rng: np.random.Generator, scale: float) -> Field:
    noise = _blurred(rng.normal(size=(_SPRITE, _SPRITE)), scale)
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _tumour(rng: np.random.Generator) -> _Sprite:
    width = rng.uniform(15, 21)
    height = width * rng.uniform(0.68, 0.95)
    nucleus = _blob(rng, width, height, rough=0.05, turn=rng.uniform(0, np.pi))
    inside = _soft(nucleus)
    chromatin = np.clip(0.45 + 0.3 * _speckle(rng, 1.7), 0, 1) * inside
    membrane = np.exp(-((nucleus / 1.7) ** 2)).astype(np.float32) * rng.uniform(0.55, 0.85)
    layers = [
        (inside * 0.82, (186.0, 144.0, 192.0)),
        (chromatin * 0.5, (112.0, 62.0, 132.0)),
        (membrane, (88.0, 42.0, 112.0)),
    ]
    for _ in range(rng.integers(1, 3)):
        place = rng.uniform(-0.35, 0.35, 2) * width
        spot = _blob(rng, *rng.uniform(2.2, 3.8, 2), rough=0.08, turn=0, at=(place[0], place[1]))
        layers.append((_soft(spot) * 0.75 * inside, (92.0, 38.0, 108.0)))
    return _layers(*layers)


def _lymphocyte(rng: np.random.Generator) -> _Sprite:
    radius = rng.uniform(9.5, 12)
    nucleus = _blob(rng, radius, radius * rng.uniform(0.88, 1), rough=0.03, turn=rng.uniform(0, np.pi))
    membrane = np.exp(-((nucleus / 1.5) ** 2)).astype(np.float32) * 0.5
    clumps = np.clip(0.45 + 0.6 * _speckle(rng, 1.6), 0, 1) * _soft(nucleus)
    return _layers(
        (_soft(nucleus) * 0.85, (158.0, 112.0, 172.0)),
        (clumps * 0.6, (98.0, 54.0, 122.0)),
        (membrane, (96.0, 50.0, 120.0)),
    )


def _spindle(rng: np.random.Generator) -> _Sprite:
    nucleus = _blob(rng, rng.uniform(15, 24), rng.uniform(3.8, 5.6), rough=0.05, turn=rng.normal(0.75, 0.35), waves=3)
    membrane = np.exp(-((nucleus / 1.3) ** 2)).astype(np.float32) * 0.45
    clumps = np.clip(0.4 + 0.4 * _speckle(rng, 1.6), 0, 1) * _soft(nucleus)
    return _layers(
        (_soft(nucleus) * 0.75, (176.0, 130.0, 180.0)),
        (clumps * 0.45, (112.0, 66.0, 130.0)),
        (membrane, (104.0, 58.0, 124.0)),
    )


def _apoptotic(rng: np.random.Generator) -> _Sprite:
    radius = rng.uniform(6.5, 8.5)
    body = _blob(rng, radius * 2.3, radius * 2.0, rough=0.03, turn=rng.uniform(0, np.pi))
    ball = _blob(rng, radius, radius * 0.95, rough=0.01, turn=0)
    return _layers(
        (_soft(body + 5, 2.5) * 0.8, (238.0, 222.0, 234.0)),
        (_soft(body, 2) * 0.9, (214.0, 96.0, 140.0)),
        (_soft(ball, 1.2) * 0.95, (78.0, 28.0, 92.0)),
    )


def _cytoplasm(rng: np.random.Generator) -> tuple[Field, tuple[float, float, float]]:
    """The cleared, pale cell around a mitotic figure."""
    cell = _blob(rng, rng.uniform(29, 34), rng.uniform(26, 31), rough=0.04, turn=rng.uniform(0, np.pi))
    mottled = np.clip(0.72 + 0.09 * _speckle(rng, 2.5), 0, 1)
    return _soft(cell, 3.0) * mottled, (222.0, 178.0, 208.0)


def _chromatin(distance: Field, rng: np.random.Generator) -> list[tuple[Field, tuple[float, float, float]]]:
    """Condensed chromatin: nearly black blue, ragged, without a membrane."""
    ragged = distance + 0.7 * _speckle(rng, 1.4)
    body = _soft(ragged, 1.5)
    streaks = np.clip(0.35 * _speckle(rng, 1.8), 0, 1) * body
    return [(body * 0.97, (56.0, 24.0, 76.0)), (streaks * 0.5, (96.0, 52.0, 116.0))]


def _metaphase(rng: np.random.Generator) -> _Sprite:
    plate = _blob(rng, rng.uniform(14, 18), rng.uniform(6.4, 8.4), rough=0.12, turn=rng.uniform(0, np.pi), waves=12)
    return _layers(_cytoplasm(rng), *_chromatin(plate, rng))


def _anaphase(rng: np.random.Generator) -> _Sprite:
    turn = rng.uniform(0, np.pi)
    gap = rng.uniform(9, 13)
    shift = np.array([-np.sin(turn), np.cos(turn)]) * gap
    plates = [
        _blob(
            rng,
            rng.uniform(12, 15),
            rng.uniform(4.2, 5.4),
            rough=0.09,
            turn=turn + rng.normal(0, 0.08),
            at=(sign * shift[0], sign * shift[1]),
            waves=12,
        )
        for sign in (-1, 1)
    ]
    return _layers(_cytoplasm(rng), *_chromatin(np.maximum(*plates), rng))


def _prometaphase(rng: np.random.Generator) -> _Sprite:
    clump = _blob(rng, rng.uniform(12, 14.5), rng.uniform(10, 12.5), rough=0.13, turn=rng.uniform(0, np.pi), waves=16)
    if rng.random() < 0.4:  # seen from the pole: a ring
        clump = np.minimum(clump, -_blob(rng, 4.2, 3.6, rough=0.15, turn=0))
    return _layers(_cytoplasm(rng), *_chromatin(clump, rng))


_KINDS = {
    "tumour": _tumour,
    "lymphocyte": _lymphocyte,
    "spindle": _spindle,
    "apoptotic": _apoptotic,
    "metaphase": _metaphase,
    "anaphase": _anaphase,
    "prometaphase": _prometaphase,
}
