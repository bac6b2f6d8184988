"""The working resolution: the slide as the network sees it, at 0.25 um/px.

`w_` coordinates are pixels of this frame, origin top left, (x, y). A pixel of it is the same whatever region it is
read in, which is what makes detections independent of windows and shards.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.slide.hatching import hatched
from detector.slide.reader import FlatImage, Rgb, Slide

_STEPS = 32  # OpenCV interpolates at 1/32 px; rounding positions to it first makes them the same in every region


class Frame:
    """An image at the working resolution. size: (width, height) in px. mpp: (x, y) um per px.

    cut: whether its border cuts through tissue, as that of a frame does and that of a slide does not.
    """

    size: tuple[int, int]
    mpp: tuple[float, float]
    cut: bool

    def read(self, w_x: int, w_y: int, width: int, height: int) -> Rgb:
        """RGB uint8 [height, width, 3]; what lies outside of the image is mirrored at its edge (3.1 Testing)."""
        x0, y0 = max(w_x, 0), max(w_y, 0)
        x1, y1 = min(w_x + width, self.size[0]), min(w_y + height, self.size[1])
        outside = (y0 - w_y, w_y + height - y1, x0 - w_x, w_x + width - x1)  # px: top, bottom, left, right
        if max(outside) <= min(x1 - x0, y1 - y0):
            inside = self._read_inside(x0, y0, x1 - x0, y1 - y0)
            if not any(outside):
                return inside
            return np.asarray(cv2.copyMakeBorder(inside, *outside, cv2.BORDER_REFLECT), dtype=np.uint8)
        # More is outside than inside: pixel by pixel, as the mirror of the whole image is met more than once.
        columns = _mirrored(np.arange(w_x, w_x + width), self.size[0])
        rows = _mirrored(np.arange(w_y, w_y + height), self.size[1])
        left, top = int(columns.min()), int(rows.min())
        inside = self._read_inside(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
        return np.ascontiguousarray(inside[rows - top][:, columns - left])

    def crop(self, w_x: int, w_y: int, size: int) -> Rgb:
        """RGB uint8 [size, size, 3] around a pixel, for people: hatched outside of the image."""
        left, top = w_x - size // 2, w_y - size // 2
        return hatched(self.read(left, top, size, size), left, top, self.size)

    def block_means(self, block: int) -> NDArray[np.float64]:
        """Mean RGB [rows, columns, 3] of each block of `block` x `block` px, from the coarsest picture that will do."""
        raise NotImplementedError

    def exact_block_means(self, block: int, rows: slice, columns: slice) -> NDArray[np.float64]:
        """As `block_means` for some rows and columns of blocks, from every one of their pixels."""
        x0, y0 = columns.start * block, rows.start * block
        x1, y1 = min(columns.stop * block, self.size[0]), min(rows.stop * block, self.size[1])
        pixels = self.read(x0, y0, x1 - x0, y1 - y0)
        return _means_between(pixels, np.arange(0, x1 - x0, block), np.arange(0, y1 - y0, block))

    def _read_inside(self, w_x: int, w_y: int, width: int, height: int) -> Rgb:
        raise NotImplementedError


class ArrayFrame(Frame):
    """An image already in memory at the working resolution."""

    def __init__(self, image: Rgb, mpp: float = paper.WORKING_MPP, *, cut: bool = False) -> None:
        self._image, self.cut = image, cut
        self.size = (image.shape[1], image.shape[0])
        self.mpp = (mpp, mpp)

    def _read_inside(self, w_x: int, w_y: int, width: int, height: int) -> Rgb:
        return self._image[w_y : w_y + height, w_x : w_x + width]

    def block_means(self, block: int) -> NDArray[np.float64]:
        return _means_between(self._image, np.arange(0, self.size[0], block), np.arange(0, self.size[1], block))


class WorkingFrame(Frame):
    """A slide resampled to the working resolution; mirrored outside of it.

    scale: (x, y) level-0 pixels per working pixel. size: (width, height) in working pixels.
    mpp: (x, y) um per working pixel, 0.25 unless the slide is so close to it that it is read as it is.
    cut: by default that of a flat image.
    """

    def __init__(self, slide: Slide, mpp: tuple[float, float], *, cut: bool | None = None) -> None:
        self.slide = slide
        self.cut = isinstance(slide, FlatImage) if cut is None else cut
        near = all(abs(value / paper.WORKING_MPP - 1) <= paper.NATIVE_TOLERANCE for value in mpp)
        self.scale = np.array([1.0, 1.0]) if near else paper.WORKING_MPP / np.array(mpp)
        self.mpp = (mpp[0], mpp[1]) if near else (paper.WORKING_MPP, paper.WORKING_MPP)
        width, height = (max(1, round(float(v))) for v in np.array(slide.size) / self.scale)
        self.size = (width, height)
        # The coarsest level that still has at least the working resolution, so that nothing is enlarged needlessly.
        fine = [_downsamples(slide.size, l_size).max() <= self.scale.min() * 1.001 for l_size in slide.level_sizes]
        self._level = max((level for level, enough in enumerate(fine) if enough), default=0)
        downsamples = _downsamples(slide.size, slide.level_sizes[self._level])
        self._step = self.scale / downsamples  # level pixels per working pixel, (x, y)

    def block_means(self, block: int) -> NDArray[np.float64]:
        columns, rows = (math.ceil(side / block) for side in self.size)
        # The coarsest level that still has four pixels along a block.
        steps = [self.scale / _downsamples(self.slide.size, l_size) for l_size in self.slide.level_sizes]
        level = max((i for i, step in enumerate(steps) if step.min() * block >= 4), default=0)
        step, (l_width, l_height) = steps[level], self.slide.level_sizes[level]
        out = np.empty((rows, columns, 3))
        strip = max(1, 2048 // block)  # rows of blocks at a time, so that memory does not grow with the slide
        for first in range(0, rows, strip):
            count = min(strip, rows - first)
            top = min(int(first * block * step[1]), l_height - 1)
            bottom = min(max(math.ceil((first + count) * block * step[1]), top + 1), l_height)
            region = self.slide.read(level, 0, top, l_width, bottom - top)
            edges_y = np.minimum((np.arange(first, first + count) * block * step[1]).astype(int) - top, len(region) - 1)
            edges_x = np.minimum((np.arange(columns) * block * step[0]).astype(int), region.shape[1] - 1)
            out[first : first + count] = _means_between(region, edges_x, edges_y)
        return out

    def _read_inside(self, w_x: int, w_y: int, width: int, height: int) -> Rgb:
        if (self._step == 1.0).all():
            return _read_clamped(self.slide, self._level, w_x, w_y, width, height)  # may lack its last, half pixel
        # Positions of pixel centres in the level, rounded in the frame of the whole level.
        columns = _sample_positions(w_x, width, float(self._step[0]), self.slide.level_sizes[self._level][0])
        rows = _sample_positions(w_y, height, float(self._step[1]), self.slide.level_sizes[self._level][1])
        # A step above one pixel would skip pixels: smooth first, reading the margin that the smoothing needs.
        sigmas = [0.5 * np.sqrt(max(step**2 - 1.0, 0.0)) for step in self._step]
        margin = int(np.ceil(4 * max(sigmas))) + 1 if max(sigmas) > 0.1 else 1
        left, top = int(columns[0]) - margin, int(rows[0]) - margin
        l_width, l_height = int(columns[-1]) + 2 + margin - left, int(rows[-1]) + 2 + margin - top
        region = _read_clamped(self.slide, self._level, left, top, l_width, l_height)
        if max(sigmas) > 0.1:
            blurred = cv2.GaussianBlur(region, (0, 0), sigmaX=max(sigmas[0], 0.1), sigmaY=max(sigmas[1], 0.1))
            region = np.asarray(blurred, dtype=np.uint8)
        map_x = np.broadcast_to((columns - left).astype(np.float32), (height, width))
        map_y = np.broadcast_to((rows - top).astype(np.float32)[:, None], (height, width))
        out = cv2.remap(region, np.ascontiguousarray(map_x), np.ascontiguousarray(map_y), cv2.INTER_LINEAR)
        return np.asarray(out, dtype=np.uint8)


def _downsamples(size: tuple[int, int], l_size: tuple[int, int]) -> NDArray[np.float64]:
    """(x, y) level-0 px per px of a level: whole, where the level's size is that of whole ones but for rounding.

    A level of 1,803 px of a slide of 14,430 has been made by eights, not by 8.003: its last pixel would be 6 px off.
    """
    exact = np.array(size) / l_size
    whole = np.maximum(np.round(exact), 1)
    return np.where(np.abs(np.array(size) / whole - l_size) < 1, whole, exact)


def _sample_positions(start: int, count: int, step: float, l_size: int) -> NDArray[np.float64]:
    positions = (np.arange(start, start + count) + 0.5) * step - 0.5
    return np.asarray(np.clip(np.round(positions * _STEPS) / _STEPS, 0, l_size - 1))


def _mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices folded back into 0..size-1 by mirroring at the edges, the edge pixel repeated."""
    folded = index % (2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


def _read_clamped(slide: Slide, level: int, x: int, y: int, width: int, height: int) -> Rgb:
    """A region whose pixels outside of the level repeat its edge."""
    l_width, l_height = slide.level_sizes[level]
    x0, y0 = min(max(x, 0), l_width - 1), min(max(y, 0), l_height - 1)
    x1, y1 = max(min(x + width, l_width), x0 + 1), max(min(y + height, l_height), y0 + 1)
    region = slide.read(level, x0, y0, x1 - x0, y1 - y0)
    pad = ((max(y0 - y, 0), y + height - y1), (max(x0 - x, 0), x + width - x1), (0, 0))
    padded = np.pad(region, pad, mode="edge") if any(map(any, pad)) else region
    return padded[max(y - y0, 0) :, max(x - x0, 0) :]


def _means_between(region: Rgb, edges_x: NDArray[np.int64], edges_y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean colour of the rectangles that begin at the given columns and rows and end where the next begins.

    Of one pixel at least, where two begin at the same.
    """
    ends_x = np.maximum(np.append(edges_x[1:], region.shape[1]), edges_x + 1)
    ends_y = np.maximum(np.append(edges_y[1:], region.shape[0]), edges_y + 1)
    # Sums from the first pixel on, modulo 2**32: their differences, the sums of rectangles, are right all the same.
    sums = cv2.integral(region).view(np.uint32)
    strips = sums[ends_y] - sums[edges_y]
    sizes = (ends_y - edges_y)[:, None, None] * (ends_x - edges_x)[None, :, None]
    return np.asarray((strips[:, ends_x] - strips[:, edges_x]) / sizes)
