"""Batches of 64 patches in the fixed ratio of 3.1, made in a thread of their own while the network learns.

The patches of iteration i depend on the seed and i alone, not on what was drawn before: a training that goes on from
a checkpoint sees exactly what it would have seen.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.frames import LabStatistics
from detector.training.augment import Variations, draw_variations, vary
from detector.training.patch_sets import Sample
from detector.training.plan import Plan

Made = TypeVar("Made")


@dataclass(frozen=True)
class SampleSets:
    """What batches are drawn from. bg_context: background cut from single patches, beside their mitosis."""

    fg_lab: Sequence[Sample]
    bg_rand: Sequence[Sample]
    bg_context: Sequence[Sample] = ()
    bg_hard: Sequence[Sample] = ()
    fg_wsi: Sequence[Sample] = ()
    stains: Sequence[LabStatistics] = field(default=())

    @cached_property
    def fg_lab_by_source(self) -> list[list[Sample]]:
        """FG-Lab, the samples of each source of data apart."""
        groups: dict[str, list[Sample]] = {}
        for sample in self.fg_lab:
            groups.setdefault(sample.hpf.source, []).append(sample)
        return [groups[source] for source in sorted(groups)]


@dataclass(frozen=True)
class Batch:
    """What is drawn for one iteration: samples, what is done to each, and its label, int64 (n,), 1 = mitosis."""

    samples: list[Sample]
    variations: Variations
    labels: NDArray[np.int64]


def draw_batch(sets: SampleSets, plan: Plan, iteration: int, *, size: int = paper.PATCH_SIZE) -> Batch:
    """The batch of an iteration, of which no pixel is there yet. size: side of its patches, px."""
    rng = np.random.default_rng([plan.seed, iteration])
    foreground = [_draw_foreground(sets, plan, rng) for _ in range(plan.foreground_per_batch)]
    background = [_draw_background(sets, plan, rng) for _ in range(plan.background_per_batch)]
    samples = [*foreground, *background]
    xy = np.array([(sample.x, sample.y) for sample in samples])
    own = [sample.hpf.stain for sample in samples]
    variations = draw_variations(xy, own, sets.stains, plan.augmentation, rng, size=size)
    return Batch(samples, variations, np.repeat([1, 0], [len(foreground), len(background)]))


def compose_batch(
    sets: SampleSets, plan: Plan, iteration: int, *, size: int = paper.PATCH_SIZE
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Patches uint8 (n, size, size, 3) and labels (n,), 1 = mitosis, of one iteration."""
    batch = draw_batch(sets, plan, iteration, size=size)
    patches = [vary(sample.hpf.image, batch.variations, i) for i, sample in enumerate(batch.samples)]
    return np.stack(patches), batch.labels


def stream(make: Callable[[int], Made], start: int, stop: int) -> Generator[Made, None, None]:
    """What `make` gives for the iterations start..stop-1, made ahead in one thread while the network learns."""
    ready: queue.Queue[Made | BaseException] = queue.Queue(maxsize=8)
    stopped = threading.Event()

    def put(item: Made | BaseException) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.5)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for iteration in range(start, stop):
                if stopped.is_set():
                    return
                put(make(iteration))
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _draw_foreground(sets: SampleSets, plan: Plan, rng: np.random.Generator) -> Sample:
    """FG-Lab and FG-WSI "with a fixed ratio"; within FG-Lab every source of data has the same weight.

    But no mined sample comes more often than a labelled one of the smallest source: where a handful was mined, a fixed
    ratio would show each of them hundreds of times (docs/training.md).
    """
    lab, wsi = plan.fg_lab_per_fg_wsi
    mined, sources = len(sets.fg_wsi), sets.fg_lab_by_source
    as_often = len(sources) * min(map(len, sources), default=0)  # FG-Lab, were all sources as small as the smallest
    if mined and rng.random() < min(wsi / (lab + wsi), mined / (as_often + mined) if lab else 1.0):
        return sets.fg_wsi[int(rng.integers(len(sets.fg_wsi)))]
    source = sources[int(rng.integers(len(sources)))]
    return source[int(rng.integers(len(source)))]


def _draw_background(sets: SampleSets, plan: Plan, rng: np.random.Generator) -> Sample:
    chosen = sets.bg_rand
    if sets.bg_context and rng.random() < plan.context_share:
        chosen = sets.bg_context
    elif sets.bg_hard and rng.random() < plan.hard_share:
        chosen = sets.bg_hard
    return chosen[int(rng.integers(len(chosen)))]
