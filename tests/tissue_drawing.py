"""What drawn overviews of slides are made of: sections, stain, ink, light through glass.

Pixels are glass colour * light * exp(-optical density), then blur, noise and JPEG.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.float32]
Colour = tuple[int, int, int]
Ellipse = tuple[float, float, float, float]  # centre x, y, radius x, y

WIDTH, HEIGHT = 1024, 768
GLASS: Colour = (245, 243, 245)
EOSIN: Colour = (214, 130, 182)
DARK: Colour = (150, 60, 130)
BLOOD: Colour = (204, 58, 72)
HAEMATOXYLIN: Colour = (96, 72, 148)
MELANIN: Colour = (88, 56, 38)


@dataclass(frozen=True)
class TissuePicture:
    """An overview of a slide, its tissue, and how far from it an answer may be."""

    name: str
    pixels: Rgb  # [h, w, 3]
    tissue: Mask  # [h, w], truth
    tolerance: float  # 0.05, or 0.10 where glass has a gradient; without any tissue, 0.5 % of the picture is allowed


def seeded_rng(name: str) -> np.random.Generator:
    """Each kind has its own numbers, whatever the others draw."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def grid() -> tuple[Field, Field]:
    """The x and the y of each pixel, to be broadcast."""
    return np.arange(WIDTH, dtype=np.float32)[None], np.arange(HEIGHT, dtype=np.float32)[:, None]


def smooth_noise(rng: np.random.Generator, scale: float) -> Field:
    """Smooth noise of mean 0 and deviation 1, with spots about scale px wide."""
    step = max(scale / 3, 1)
    coarse = rng.standard_normal((int(HEIGHT / step) + 9, int(WIDTH / step) + 9), dtype=np.float32)
    coarse = cv2.GaussianBlur(coarse, (0, 0), 1.2)[4:-4, 4:-4]
    smooth: Field = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (smooth - smooth.mean()) / smooth.std()


def grains_in(rng: np.random.Generator, share: Field) -> Field:
    """Grains of 2 px at this share of the pixels, of uneven strength."""
    hits = rng.random((HEIGHT, WIDTH), dtype=np.float32) < share
    strength = hits * rng.uniform(1.5, 4.5, (HEIGHT, WIDTH)).astype(np.float32)
    grains: Field = cv2.GaussianBlur(strength, (0, 0), 0.8)
    return grains


def density_of(colour: Colour, glass: Colour = GLASS) -> Field:
    """The optical density that turns glass into this colour."""
    return -np.log(np.array(colour, np.float32) / np.array(glass, np.float32))


def draw_sections(rng: np.random.Generator, ellipses: Sequence[Ellipse], *, holes: int = 2) -> Mask:
    """Ellipses with uneven outlines, each without holes but these many, which are 30 to 60 px wide."""
    x, y = grid()
    uneven = 0.2 * smooth_noise(rng, 150) + 0.075 * smooth_noise(rng, 45) + 0.02 * smooth_noise(rng, 12)
    tissue = np.zeros((HEIGHT, WIDTH), bool)
    for cx, cy, rx, ry in ellipses:
        tissue |= np.hypot((x - cx) / rx, (y - cy) / ry) + uneven < 1
    tissue = without_holes(tissue, 400)
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for cx, cy, rx, ry in ellipses:
        for _ in range(holes):
            turn, out = rng.uniform(0, 6.28), rng.uniform(0.1, 0.6)
            place = (cx + out * rx * np.cos(turn), cy + out * ry * np.sin(turn))
            fill_ellipse(canvas, (*place, *rng.uniform(15, 30, 2)), rng.uniform(0, 180))
    soft = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), 3)
    return tissue & ~(soft + 0.07 * smooth_noise(rng, 12) > 0.5)


def stain_density(
    rng: np.random.Generator,
    tissue: Mask,
    colour: Colour = EOSIN,
    *,
    nuclei: float = 1,
    lumina: float = 1,
    texture: float = 1,
) -> Field:
    """Optical density: eosin of uneven thickness, nuclei in clusters and along glands, none in small lumina."""
    uneven = (
        0.10 * smooth_noise(rng, 160)
        + 0.12 * smooth_noise(rng, 28)
        + 0.09 * smooth_noise(rng, 6)
        + 0.05 * smooth_noise(rng, 3)
    )
    thickness = np.clip(1 + texture * uneven, 0.3, None)
    purple = np.clip(0.5 + 0.5 * smooth_noise(rng, 70), 0, 1)  # epithelium is more purple than stroma
    clusters = np.clip(smooth_noise(rng, 22) - 0.9, 0, 0.8) * 0.2
    glands = np.clip(1 - np.abs(smooth_noise(rng, 20)) / 0.22, 0, 1) * purple * 0.14
    haematoxylin = grains_in(rng, 0.012 + clusters + glands) * 0.8 + 0.06 * purple
    density: Field = thickness[..., None] * density_of(colour)
    density += (nuclei * haematoxylin)[..., None] * density_of(HAEMATOXYLIN)
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y in rng.uniform((0, 0), (WIDTH, HEIGHT), (int(lumina * 900), 2)):
        fill_ellipse(empty, (x, y, *rng.uniform(0.7, 2.0, 2)), rng.uniform(0, 180))
    density[~tissue | (empty > 0)] = 0
    return density


def ink_density(rng: np.random.Generator, strokes: NDArray[np.uint8], colour: Colour) -> Field:
    """What ink on top of the coverslip lets through: out of focus and uneven."""
    soft = cv2.GaussianBlur(strokes.astype(np.float32), (0, 0), 1.6)
    through: Field = np.exp(-(soft * (1 + 0.12 * smooth_noise(rng, 25)))[..., None] * density_of(colour))
    return through


def coverslip_edge(beyond: Field, through: tuple[float, float, float]) -> Field:
    """What is let through by a dark line, and beyond it. beyond: px from the line."""
    marks: Field = np.where(beyond[..., None] > 0, np.float32(through), np.float32(1))
    return marks * (1 - 0.5 * np.exp(-((beyond / 1.4) ** 2) / 2))[..., None]


def draw_specks(rng: np.random.Generator, count: int, *, fibres: int = 0) -> Field:
    """What dust lets through: specks of 1 to 3 px, a quarter of them out of focus, and thin bent fibres."""
    sharp = np.zeros((HEIGHT, WIDTH), np.uint8)
    soft = np.zeros_like(sharp)
    for place, (x, y) in enumerate(rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))):
        canvas = soft if place % 4 == 0 else sharp
        fill_ellipse(canvas, (x, y, *rng.uniform(0.6, 2.6, 2)), rng.uniform(0, 180), int(rng.integers(90, 255)))
    for _ in range(fibres):
        x, y, turn = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(0, 6.28)
        points = []
        for _ in range(14):
            turn += rng.normal(0, 0.3)
            x, y = x + 3 * np.cos(turn), y + 3 * np.sin(turn)
            points.append((x, y))
        cv2.polylines(sharp, [np.array(points, np.int32)], False, 110, 1, cv2.LINE_AA)
    cover = np.maximum(sharp, cv2.GaussianBlur(soft, (0, 0), 2.5)).astype(np.float32) / 255
    through: Field = np.exp(-1.5 * cover[..., None] * np.array((1, 1.04, 1.1), np.float32))
    return through


def lit_picture(
    name: str,
    rng: np.random.Generator,
    tissue: Mask,
    density: Field,
    *,
    glass: Colour = GLASS,
    light: Field | None = None,
    marks: Field | None = None,
    sensor: float = 1.5,
    holder: tuple[Mask, Colour] | None = None,
    tolerance: float = 0.05,
) -> TissuePicture:
    """Light through glass, tissue and marks, seen by the sensor, with what was not scanned, as a JPEG of quality 88."""
    through = np.exp(-density)
    if marks is not None:
        through *= marks
    seen = cv2.GaussianBlur(through, (0, 0), 0.7) * np.array(glass, np.float32)
    if light is not None:
        seen *= light[..., None]
    seen += sensor * rng.standard_normal(seen.shape, dtype=np.float32)
    pixels = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    if holder is not None:
        pixels[holder[0]] = holder[1]
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    decoded = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return TissuePicture(name, decoded.astype(np.uint8, copy=False), tissue, tolerance)


def fill_ellipse(canvas: NDArray[np.uint8], ellipse: Ellipse, angle: float = 0, value: int = 1) -> None:
    """A filled ellipse, placed to 1/16 px."""
    x, y, rx, ry = (round(16 * float(number)) for number in ellipse)
    cv2.ellipse(canvas, (x, y), (rx, ry), angle, 0, 360, value, -1, cv2.LINE_8, 4)


def whole_px(point: tuple[float, float]) -> tuple[int, int]:
    """The pixel of a point."""
    return int(point[0]), int(point[1])


def grown_by(mask: Mask, by: int) -> Mask:
    """The mask, and what is within these many px of it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    grown: Mask = cv2.dilate(mask.astype(np.uint8), disc) > 0
    return grown


def without_small(mask: Mask, smallest: int) -> Mask:
    """The mask without pieces of fewer pixels than these."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = statistics[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False
    kept: Mask = large[labels]
    return kept


def without_holes(mask: Mask, smallest: int) -> Mask:
    """The mask without holes and without pieces of fewer pixels than these."""
    outlines, _ = cv2.findContours(
        without_small(mask, smallest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.drawContours(canvas, outlines, -1, 1, -1)
    return canvas > 0
