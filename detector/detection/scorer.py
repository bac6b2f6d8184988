"""Inference: a network on its device, in its precision, with its cascade; images prefetched."""

from __future__ import annotations

import copy
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from detector import paper
from detector.detection.cascade import rescore_regions
from detector.detection.turned import flips_and_rotations
from detector.frames import Rgb
from detector.model.card import Card
from detector.model.checkpoint import load_coarse, load_figure_scale, load_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12, folded, mitosis_logit

Scored = TypeVar("Scored")

_LANES = 4  # at most, as each needs its memory


class Scorer:
    """A network for inference: on its device, batch normalisation folded, in its precision.

    device: "auto" takes a GPU where there is one. precision: "fp32" is the reference; "bf16" is twice as fast, with
    scores within 0.05; "auto" takes it where the hardware has it. coarse: first stage of a cascade; None to score every
    cell. On a GPU every cell is scored: reading is the bottleneck there, not the network. figures: the scale of the
    scores of figures.
    """

    def __init__(
        self,
        network: ResNet12,
        *,
        coarse: ResNet12 | None = None,
        figures: FigureScale | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.figures = figures or FigureScale()
        self.device = parse_device(device)
        if precision not in {"auto", "fp32", "bf16"}:
            raise ValueError(f"precision must be auto, fp32 or bf16, not {precision}")
        self.precision = precision if precision != "auto" else "bf16" if has_bf16(self.device) else "fp32"
        self._dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        self._network = self._ready(network)
        self._coarse = self._ready(coarse) if coarse is not None and self.device.type == "cpu" else None

    def adjusted(self, *, logit_shift: float, cascade: bool = True) -> Scorer:
        """The same networks, with a shift added to the log odds of every figure. cascade: False to score every cell.

        With a shift above 0 every cell is scored too: the coarse network's threshold was set for what is detected
        without it.
        """
        other = copy.copy(self)
        other.figures = replace(self.figures, shift=self.figures.shift + logit_shift)
        other._coarse = self._coarse if cascade and logit_shift <= 0 else None
        return other

    def uses_cascade(self, floor: float) -> bool:
        """Whether a scan for cells down to the score `floor` uses the cascade.

        Not below `paper.PEAK_FLOOR`: the coarse network is not trained for it.
        """
        return self._coarse is not None and floor >= paper.PEAK_FLOOR

    def concurrency(self, floor: float) -> int:
        """Number of images to score at once in a scan down to the score `floor`; they share the threads.

        The small images of a cascade use few threads each: two at once take 10 to 15 % less time on two cores. A large
        image uses all threads and most of the memory.
        """
        return min(torch.get_num_threads(), _LANES) if self.uses_cascade(floor) else 1

    @property
    def device_name(self) -> str:
        """The device in words, for the stamp of a run."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{self.device.type}, {torch.get_num_threads()} threads"

    def logits(self, image: Rgb) -> NDArray[np.float32]:
        """Log odds of mitosis, float32 [r, q], of an image uint8 [h, w, 3] of at least 128 x 128 px."""
        return self._map(self._network, image)

    def cascade_logits(self, image: Rgb, floor: float) -> NDArray[np.float32]:
        """As `logits`, for a scan down to the score `floor`: -inf in cells that the cascade did not rescore."""
        if self._coarse is None or not self.uses_cascade(floor):
            return self.logits(image)
        return rescore_regions(image, self._map(self._coarse, image) >= 0, logit(floor), self._stack)

    def figure_logits(self, crops: Sequence[Rgb]) -> NDArray[np.float32]:
        """Mean logits (n,) of figures: over the eight flips and rotations of a crop, and all of its map cells.

        crops: uint8 [s, s, 3] each, the figure in the middle, `paper.FIGURE_CELLS` cells a side. A mitosis has no
        orientation and no place in the grid; the score of one cell as it happens to lie differs by 1.0 in the logit.
        """
        # One by one: images of one shape, as oneDNN prepares for every new one.
        means = [self._stack(np.stack(list(flips_and_rotations(crop)))).mean() for crop in crops]
        return np.array(means, dtype=np.float32)

    def _map(self, network: ResNet12, image: Rgb) -> NDArray[np.float32]:
        """Logits [r, q] of an image. Where memory does not suffice the image is split in halves, recursively.

        The halves give the same logits, up to the rounding of kernels for other shapes.
        """
        try:
            (logits,) = self._forward(network, image[None])
            return np.asarray(logits)
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not _out_of_memory(error) or max(image.shape[:2]) < paper.PATCH_SIZE + paper.OUTPUT_STRIDE:
                raise
        # Not in the handler: there the traceback would keep the tensors of the failed attempt.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        axis = 0 if image.shape[0] >= image.shape[1] else 1
        first, second = split_in_halves(image, axis)
        return np.concatenate([self._map(network, first), self._map(network, second)], axis=axis)

    def _stack(self, stack: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [n, r, q] of small images of one size, uint8 [n, h, w, 3]."""
        if len(stack) == 1:
            return self.logits(stack[0])[None]
        try:
            return self._forward(self._network, stack)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
        return np.concatenate([self._stack(half) for half in np.array_split(stack, 2)])

    def _ready(self, network: ResNet12) -> ResNet12:
        ready = folded(network).to(device=self.device, dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert isinstance(ready, ResNet12)
        return ready

    @torch.inference_mode()
    def _forward(self, network: ResNet12, stack: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(np.ascontiguousarray(stack)).to(self.device)  # (n, h, w, 3)
        x = x.permute(0, 3, 1, 2).to(self._dtype)  # (n, 3, h, w), channels last in memory
        out: NDArray[np.float32] = mitosis_logit(network(x).float()).cpu().numpy()  # (n, r, q)
        return out


def load_scorer(
    path: Path, *, device: str = "auto", precision: str = "auto", cascade: bool = True
) -> tuple[Scorer, Card]:
    """The scorer of a file of weights, without any scanner's shift, and its card. Raises WeightsError.

    cascade: with its coarse network, if any.
    """
    network, card = load_weights(path)
    coarse, figures = load_coarse(path) if cascade else None, load_figure_scale(path)
    return Scorer(network, coarse=coarse, figures=figures, device=device, precision=precision), card


def split_in_halves(image: Rgb, axis: int) -> tuple[Rgb, Rgb]:
    """Two parts of an image along an axis, overlapping by 120 px: their maps side by side are the map of the whole."""
    cells = (image.shape[axis] - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1
    cut = cells // 2 * paper.OUTPUT_STRIDE  # where the second part begins
    end = cut - paper.OUTPUT_STRIDE + paper.PATCH_SIZE  # of the first part
    return (image[:end], image[cut:]) if axis == 0 else (image[:, :end], image[:, cut:])


def parse_device(name: str) -> torch.device:
    """The torch device of a name; "auto" is a GPU where there is one. Raises ValueError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in {"cpu", "cuda"}:
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, not {name}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device {name} here: PyTorch sees {torch.cuda.device_count()} CUDA GPUs")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the device has bfloat16 arithmetic in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def logit(probability: float) -> float:
    """Log odds of a probability in [0, 1); -inf for 0. Raises ValueError outside."""
    if not 0 <= probability < 1:
        raise ValueError(f"a score lies between 0 and 1, not at {probability}")
    return float(np.log(probability / (1 - probability))) if probability > 0 else -np.inf


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability from log odds."""
    return 1.0 / (1.0 + np.exp(-logits))


def _out_of_memory(error: Exception) -> bool:
    """Whether a device, or the processor's allocator, had not the memory that was asked for."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The words of PyTorch's own allocator, and of oneDNN, which does not say why.
    return any(words in str(error) for words in ("allocate memory", "could not create a primitive"))


def score_prefetched(
    reads: Sequence[Callable[[], Rgb]], score: Callable[[Rgb], Scored], *, lanes: int = 1, readers: int = 1
) -> Generator[Scored, None, None]:
    """What `score` makes of images, in their order; the next images are read in threads while others are scored.

    lanes: images that are scored at once, see `Scorer.concurrency`. readers: threads that read.
    """
    threads = torch.get_num_threads()
    lane, each, over = threading.Semaphore(lanes), max(1, threads // lanes), threading.Event()

    def scored(read: Callable[[], Rgb]) -> Scored | None:
        image = read()
        with lane:
            return None if over.is_set() else score(image)

    try:
        # `set_num_threads` leaks into later threads; restored below.
        with ThreadPoolExecutor(lanes + readers, initializer=torch.set_num_threads, initargs=(each,)) as pool:
            coming = iter(reads)
            waiting = deque(pool.submit(scored, read) for read in itertools.islice(coming, lanes + readers))
            try:
                while waiting:
                    result = waiting.popleft().result()
                    waiting.extend(pool.submit(scored, read) for read in itertools.islice(coming, 1))
                    assert result is not None, "nothing is asked for when it is over"
                    yield result
            finally:
                over.set()  # images read but not asked for are not scored
    finally:
        torch.set_num_threads(threads)
