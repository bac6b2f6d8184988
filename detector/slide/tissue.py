"""Tissue against glass on a picture of a whole slide, by the slide's own glass.

What tells tissue from everything else on a slide is stain: haematoxylin and eosin absorb green more than red or blue.
Glass of any tint, shadows, coverslip edges, dust and unscanned areas, black, grey or white, absorb all three alike. So
the colour of the glass is measured first (bright, even, nearly colourless), with its slow change over the slide, and
tissue is where green is absorbed more, against that glass, than its noise explains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.slide.masks import Mask
from detector.slide.reader import Rgb

Floats = NDArray[np.float32]

BLACK: Final = 20  # grey level; below are scan gaps, padding and a label's edge
_PALE: Final = 0.1  # glass has no more colour: (highest - lowest channel) / highest
_DARKEST: Final = 170  # grey level; no scanner's glass is darker
_BRIGHT: Final = 0.75  # of the brightest even part of the picture; glass is no darker
_MODE: Final = 0.3  # of the most frequent brightness: as often, a brighter one is taken for that of the glass
_WHITE: Final = 245.0  # grey level of the glass, where the picture shows none
_EVEN: Final = 3.0  # grey levels: local standard deviation of glass, at most, or twice that of the evenest parts
_MEASURED: Final = 512
_LEAST_GLASS: Final = 0.01  # of the picture; with less there is no glass to measure
_LEAST_SCANNED: Final = 0.01  # of the picture; with less besides what is filled in, the glass is what is filled in
_SIDE: Final = 0.8  # of a side of the picture, along which glass of another colour lies
_SEAM: Final = 5  # px: the edge of a coverslip, at most
_HOLE_IN_GLASS: Final = 0.2  # of the picture: what lies on glass of another colour, at most
_FLAT: Final = 9  # px: what is of one value is no glass from this size on
_NEUTRAL: Final = 6  # grey levels between the channels of what a scanner fills in, at most
_FILLS: Final = 3  # colours that may be filled in
_LEAST_STAIN: Final = 0.008  # optical density by which green must exceed the less absorbed of red and blue
_NOISES: Final = 5.0  # standard deviations of the glass by which it must, too
_RIM: Final = 0.4  # of the stain beside it: a pixel at the rim of tissue with less is mostly glass
_HOLE_UM2: Final = 180.0**2  # holes in tissue up to here are tissue: fat cells, small vessels, lumina
_SPECK_UM2: Final = 40.0**2  # what is smaller is no tissue
_ASSUMED_UM_PER_PX: Final = 8.0  # of a picture whose scale is not known


@dataclass(frozen=True)
class Glass:
    """The slide's glass. rgb: float32 [h, w, 3], its colour everywhere; noise: of the stain there, optical density.

    share: of the picture that it was measured on; 0 where there is none, and white is taken.
    """

    rgb: Floats
    noise: float
    share: float


def tissue_mask(picture: Rgb, um_per_px: float | None = None) -> Mask:
    """True [h, w] where a picture of a slide (or frame) shows tissue.

    um_per_px: of the picture, for holes (up to 0.03 mm2 are tissue) and specks (less than 0.0016 mm2 are none).
    """
    smooth: Rgb = picture
    if min(picture.shape[:2]) >= 3:
        smooth = np.asarray(cv2.medianBlur(np.ascontiguousarray(picture), 3), np.uint8)
    glass = measure_glass(smooth)
    density = _density(smooth, glass.rgb)
    stained = _beyond_grey(density)
    found = (stained > max(_LEAST_STAIN, _NOISES * glass.noise)) & (density[..., 1] > 0) & ~_pen(density)
    found &= (smooth.max(axis=2) > BLACK) & ~_filled(smooth)
    strongest = cv2.dilate(stained, np.ones((5, 5), np.uint8))
    at_the_rim = cv2.dilate((~found).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    found &= ~(at_the_rim & (stained < _RIM * strongest))
    px_um2 = (um_per_px or _ASSUMED_UM_PER_PX) ** 2
    found = ~_without_small(~found, _HOLE_UM2 / px_um2)
    return _without_small(found, max(_SPECK_UM2 / px_um2, 9))


def measure_glass(picture: Rgb) -> Glass:
    """The glass of a picture: what is bright, even and nearly colourless, and how its colour changes over the slide.

    Measured on every nth pixel, so that about `_MEASURED` a side are looked at.
    """
    size = picture.shape[1::-1]
    step = -(-max(size) // _MEASURED)
    pixels: Floats = picture[::step, ::step].astype(np.float32)
    brightness, colour = pixels.max(axis=2), pixels.max(axis=2) - pixels.min(axis=2)
    spread = _local_deviation(pixels.mean(axis=2))
    pale = (brightness >= _DARKEST) & (colour <= _PALE * brightness)
    even = pale & (spread <= max(_EVEN, 2 * float(np.percentile(spread[pale], 5)) if pale.any() else 0))
    if even.any():
        even &= brightness >= _BRIGHT * np.percentile(brightness[even], 99)
    if even.mean() < _LEAST_GLASS:
        return Glass(np.full((*picture.shape[:2], 3), _WHITE, np.float32), 0.0, 0.0)
    scanned = even & (cv2.dilate(_filled(pixels).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0)
    if scanned.mean() >= _LEAST_SCANNED:
        even = scanned
    often = np.bincount(pixels[..., 1][even].astype(int), minlength=256).astype(np.float32)
    green = np.asarray(cv2.GaussianBlur(often[:, None], (1, 5), 1))[:, 0]
    mode = int(np.flatnonzero(green >= _MODE * green.max())[-1])  # the brightest that is common: tissue absorbs
    kept = even & (np.abs(pixels[..., 1] - mode) <= 3)
    tolerance = _LEAST_STAIN
    for _ in range(3):  # the surface says which even pixels are glass, glass gives the surface
        rgb: Floats = _surface(pixels, kept)
        stained: Floats = stain(pixels, rgb)
        kept = even & (np.abs(stained) <= tolerance)
        noise = 1.4826 * float(np.median(np.abs(stained[kept])))
        tolerance = max(0.75 * _LEAST_STAIN, 3 * noise)
    for beyond in _beyond_coverslip(even & (np.abs(stained) > tolerance)):
        rgb[beyond] = np.median(pixels[beyond & even], axis=0)
    return Glass(np.asarray(cv2.resize(rgb, size), np.float32), noise, float(kept.mean()))


def _beyond_coverslip(others: Mask) -> Iterator[Mask]:
    """Glass of another colour, with what lies on it: along a whole side of the picture, as where the coverslip ends.

    others: [h, w], what is bright, even and pale as glass is, and has another colour.
    """
    window = np.ones((_SEAM, _SEAM), np.uint8)
    closed = cv2.morphologyEx(others.astype(np.uint8), cv2.MORPH_CLOSE, window)
    number, labels = cv2.connectedComponents(closed, connectivity=4)
    sides = labels[0], labels[-1], labels[:, 0], labels[:, -1]
    for one in range(1, number):
        if any((side == one).mean() >= _SIDE for side in sides):
            region = ~_without_small(labels != one, _HOLE_IN_GLASS * labels.size)
            yield cv2.dilate(region.astype(np.uint8), window) > 0


def _filled(pixels: NDArray[Any]) -> Mask:
    """Where nothing was scanned: large areas of exactly one colour without a tint, be it black, grey or white."""
    colourless = np.ptp(pixels, axis=2) <= _NEUTRAL
    flat = (_local_deviation(pixels.mean(axis=2, dtype=np.float32)) < 1e-3) & colourless
    window = np.ones((_FLAT, _FLAT), np.uint8)
    large = cv2.morphologyEx(flat.astype(np.uint8), cv2.MORPH_OPEN, window) > 0
    filled = np.zeros_like(large)
    grey = pixels[..., 1].astype(int)
    for value in np.argsort(-np.bincount(grey[large], minlength=256))[:_FILLS]:
        of_it = (large & (grey == value)).astype(np.uint8)
        beside = cv2.dilate(of_it, np.ones((2 * _FLAT - 1, 2 * _FLAT - 1), np.uint8)) > 0
        filled |= beside & (np.abs(grey - value) <= _NEUTRAL) & colourless  # JPEG changes it a little at its rim
    return np.asarray(filled)


def stain(pixels: NDArray[Any], glass: NDArray[Any]) -> Floats:
    """Optical density [h, w] of green beyond the less absorbed of red and blue: none for what absorbs all alike.

    pixels, glass: RGB [h, w, 3] in 0..255, of the picture and of the glass at the same places.
    """
    return _beyond_grey(_density(pixels, glass))


def _beyond_grey(density: Floats) -> Floats:
    return density[..., 1] - np.minimum(density[..., 0], density[..., 2])


def _density(pixels: NDArray[Any], glass: NDArray[Any]) -> Floats:
    return np.asarray(np.log10(glass / np.maximum(pixels, 1).astype(np.float32)), np.float32)


_COLD: Final = 1.05  # times the density of green: tissue has less than 0.9 of red in 99.9 % of it, blue ink above 1.08
_WARM: Final = 1.1  # of blue: tissue of nine sources has less than 1.0 in 99.9 % of it
_RED: Final = 0.75, 0.2  # of blue at least and of red at most: eosin absorbs less blue, most of what is blood more red
_RED_CORE: Final = 0.85  # optical density of green in the midst of a stroke; blood on an overview has less


def _pen(density: Floats) -> Mask:
    """Ink that is neither haematoxylin nor eosin: blue and green absorb red most, yellow and brown blue, red green and
    blue alike, black all three."""
    red, green, blue = (density[..., channel] for channel in range(3))
    strong = density.max(axis=2) > 0.1
    cold, warm = red > _COLD * green, blue > _WARM * np.maximum(green, 0)
    of_red = (blue > _RED[0] * green) & (red < _RED[1] * green)
    core = cv2.erode((of_red & (green > _RED_CORE)).astype(np.uint8), np.ones((3, 3), np.uint8))
    of_red &= cv2.dilate(core, np.ones((11, 11), np.uint8)) > 0
    black = _beyond_grey(density) < 0.12 * green
    return np.asarray(strong & (cold | warm | of_red | black))


def _surface(pixels: Floats, of: Mask) -> Floats:
    """A quadratic surface [h, w, 3] through the colours of some pixels, by least squares; flat where they are few."""
    height, width = of.shape
    rows, columns = np.nonzero(of)
    step = max(1, len(rows) // 50_000)
    rows, columns = rows[::step], columns[::step]
    wide = len(rows) and np.ptp(rows) > height / 2 and np.ptp(columns) > width / 2
    powers = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)] if wide else [(0, 0)]

    def terms(y: Floats, x: Floats) -> Floats:
        y, x = 2 * y / height - 1, 2 * x / width - 1
        return np.stack([y**i * x**j for i, j in powers], axis=-1)

    colours = pixels[rows, columns]
    weights, *_ = np.linalg.lstsq(terms(rows.astype(np.float32), columns.astype(np.float32)), colours, rcond=None)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(np.clip(terms(y, x) @ weights, 60, 255), np.float32)


def _local_deviation(grey: Floats) -> Floats:
    """Standard deviation of a grey picture in 5 x 5 px."""
    mean, square = (cv2.blur(values, (5, 5)) for values in (grey, grey**2))
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)), np.float32)


def _without_small(mask: Mask, least_px: float) -> Mask:
    """The mask without its connected parts of fewer pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= least_px
    large[0] = False
    return np.asarray(large[labels])
