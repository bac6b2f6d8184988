"""Small H&E-like pictures, frames and pyramids whose mitoses are known, drawn for the tests.

Positions are (x, y) in pixels, origin at the top left corner of the top left pixel.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from detector import paper
from detector.frames import LabelledFrame, lab_statistics, points
from detector.model.figure_scale import FigureScale
from detector.slide.reader import Rgb, Slide

GLASS = (244, 243, 246)
STROMA = (226, 178, 206)
NUCLEUS = (168, 128, 186)
MITOSIS = (58, 30, 92)

_SHIFT = 4  # OpenCV draws at 1/16 px


def draw_glass(width: int, height: int) -> Rgb:
    """Empty glass."""
    return np.full((height, width, 3), GLASS, dtype=np.uint8)


def draw_tissue(width: int, height: int, *, mitoses: Iterable[Sequence[float]] = (), seed: int = 0) -> Rgb:
    """Pink stroma of uneven brightness with pale nuclei, and a dark figure of 5 um at each mitosis."""
    rng = np.random.default_rng(seed)
    uneven = rng.normal(0, 8, (height // 24 + 2, width // 24 + 2, 3)).astype(np.float32)
    image = STROMA + cv2.resize(uneven, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)
    for x, y in rng.uniform((0, 0), (width, height), (width * height // 2500, 2)):
        _ellipse(image, x, y, rng.uniform(6, 10), rng.uniform(5, 8), rng.uniform(0, 180), NUCLEUS)
    for x, y in mitoses:
        _ellipse(image, x, y, 11, 8, rng.uniform(0, 180), MITOSIS)
    return image


def draw_dot(image: Rgb, x: float, y: float, radius: float, colour: Sequence[int] = MITOSIS) -> None:
    """A disc on an image, in place."""
    _ellipse(image, x, y, radius, radius, 0, colour)


def draw_hpf(
    name: str = "A00_00",
    *,
    width: int = 320,
    height: int = 300,
    mitoses: Sequence[Sequence[float]] = ((100, 90), (220, 200)),
    seed: int = 0,
    exhaustive: bool = True,
) -> LabelledFrame:
    """A labelled frame of the case that stands before the underscore."""
    image = draw_tissue(width, height, mitoses=mitoses, seed=seed)
    return LabelledFrame(
        name=name,
        case=name.split("_")[0],
        image=image,
        mitoses=points(mitoses),
        non_mitoses=points(),
        mpp=paper.WORKING_MPP,
        stain=lab_statistics([image]),
        source="drawn",
        exhaustive=exhaustive,
    )


def levels_of(image: Rgb, downsamples: Sequence[int]) -> list[Rgb]:
    """The image at each downsample, averaged, odd edges cut as scanners do."""
    sizes = [(image.shape[1] // d, image.shape[0] // d) for d in downsamples]
    return [
        image if d == 1 else cv2.resize(image[: height * d, : width * d], (width, height), interpolation=cv2.INTER_AREA)
        for d, (width, height) in zip(downsamples, sizes, strict=True)
    ]


def write_pyramid(
    path: Path, image: Rgb, *, mpp: float | None = 0.25, downsamples: Sequence[int] = (1, 2, 4), description: str = ""
) -> Path:
    """A tiled, lossless pyramidal TIFF that OpenSlide opens. An Aperio description makes it an Aperio slide."""
    with tifffile.TiffWriter(path) as tiff:
        for downsample, level in zip(downsamples, levels_of(image, downsamples), strict=True):
            per_cm = None if mpp is None else (10_000 / mpp / downsample,) * 2
            tiff.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                resolution=per_cm,
                resolutionunit="CENTIMETER" if per_cm else None,
                subfiletype=int(downsample > 1),
                description=description or None,
                metadata=None,
            )
    return path


def write_jpeg_pyramid(
    path: Path,
    image: Rgb,
    *,
    mpp: float | None = 0.25,
    downsamples: Sequence[int] = (1, 2, 4),
    tile: int = 256,
    colours: Literal["ycbcr", "rgb"] = "ycbcr",
    subsampling: Literal["420", "444"] = "420",
    tables: bool = True,
    description: str = "",
    big: bool = False,
) -> Path:
    """A pyramid of JPEG tiles as scanners write it. tables: what the tiles share stands once, in the tag JPEGTables."""
    with tifffile.TiffWriter(path, bigtiff=big) as tiff:
        for downsample, level in zip(downsamples, levels_of(image, downsamples), strict=True):
            height, width = level.shape[:2]
            padded = np.pad(level, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
            streams = [
                imagecodecs.jpeg8_encode(
                    padded[y : y + tile, x : x + tile], 88, outcolorspace=colours, subsampling=subsampling
                )
                for y in range(0, height, tile)
                for x in range(0, width, tile)
            ]
            shared, bare = zip(*map(_without_tables, streams), strict=True)
            per_cm = None if mpp is None else (10_000 / mpp / downsample,) * 2
            tiff.write(
                iter(bare if tables else streams),
                shape=level.shape,
                dtype=np.uint8,
                tile=(tile, tile),
                photometric=colours,
                subsampling=((2, 2) if subsampling == "420" else (1, 1)) if colours == "ycbcr" else None,
                compression="jpeg",
                jpegtables=shared[0] if tables else None,
                resolution=per_cm,
                resolutionunit="CENTIMETER" if per_cm else None,
                subfiletype=int(downsample > 1),
                description=description or None,
                metadata=None,
            )
    return path


def _without_tables(jpeg: bytes) -> tuple[bytes, bytes]:
    """The quantisation and Huffman tables of a JPEG as a stream of their own, and the JPEG without them and JFIF."""
    shared, rest, at = [b"\xff\xd8"], [b"\xff\xd8"], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] in {0xDB, 0xC4}:
            shared.append(jpeg[at:end])
        elif jpeg[at + 1] not in {0xE0, 0xEE}:
            rest.append(jpeg[at:end])
        at = end
    return b"".join([*shared, b"\xff\xd9"]), b"".join([*rest, jpeg[at:]])


class ArraySlide(Slide):
    """A slide in memory."""

    def __init__(
        self, image: Rgb, *, downsamples: Sequence[int] = (1,), mpp: tuple[float, float] | None = None
    ) -> None:
        self.path = Path("array.tif")
        self.format = "array"
        self.properties: dict[str, str] = {}
        self.mpp = mpp
        self._levels = levels_of(image, downsamples)
        self.level_sizes = tuple((level.shape[1], level.shape[0]) for level in self._levels)
        self.size = self.level_sizes[0]

    def read(self, level: int, l_x: int, l_y: int, width: int, height: int) -> Rgb:
        source = self._levels[level]
        out = np.full((height, width, 3), 255, dtype=np.uint8)
        x0, y0 = max(l_x, 0), max(l_y, 0)
        part = source[y0 : max(l_y + height, 0), x0 : max(l_x + width, 0)]
        out[y0 - l_y : y0 - l_y + part.shape[0], x0 - l_x : x0 - l_x + part.shape[1]] = part
        return out

    def close(self) -> None:
        pass


class DarkScorer:
    """Stands in for a network where it does not matter: a patch scores as high as the 16 px in its middle are dark."""

    def logits(self, image: Rgb) -> NDArray[np.float32]:
        sums = cv2.integral(image).astype(np.int64).sum(axis=2)
        rows, columns = ((side - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1 for side in image.shape[:2])
        first = paper.PATCH_SIZE // 2 - 8
        y = np.arange(rows)[:, None] * paper.OUTPUT_STRIDE + first
        x = np.arange(columns)[None] * paper.OUTPUT_STRIDE + first
        mean = (sums[y + 16, x + 16] - sums[y, x + 16] - sums[y + 16, x] + sums[y, x]) / (16 * 16 * 3)
        return ((130 - mean) / 10).astype(np.float32)

    figures = FigureScale(1.0, 0.0)

    def cascade_logits(self, image: Rgb, floor: float) -> NDArray[np.float32]:
        return self.logits(image)

    def figure_logits(self, crops: Sequence[Rgb]) -> NDArray[np.float32]:
        """That of the cell in the middle: what is dark has no orientation."""
        return np.array([self.logits(crop)[1, 1] for crop in crops], dtype=np.float32)

    def adjusted(self, *, logit_shift: float, cascade: bool = True) -> DarkScorer:
        """With the log odds of every figure shifted."""
        other = copy.copy(self)
        other.figures = FigureScale(1.0, logit_shift)
        return other

    def concurrency(self, floor: float) -> int:
        return 2


def _ellipse(image: Rgb, x: float, y: float, a: float, b: float, angle: float, colour: Sequence[int]) -> None:
    # OpenCV counts from the middle of the first pixel, we from its corner.
    centre, axes = [[round(v * 2**_SHIFT) for v in pair] for pair in ((x - 0.5, y - 0.5), (a, b))]
    cv2.ellipse(image, centre, axes, angle, 0, 360, tuple(int(c) for c in colour), -1, cv2.LINE_AA, _SHIFT)
