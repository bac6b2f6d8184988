"""Batches of 64 patches in the fixed ratio of 3.1, made in a thread of their own while the network learns.

The patches of iteration i depend on the seed and i alone, not on what was drawn before: a training that goes on from
a checkpoint sees exactly what it would have seen.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.augment import contrast_transfer, cut, jitter_colour, soften
from detector.hpf import LabStatistics, Rgb
from detector.patch_sets import Sample
from detector.plans import Plan


@dataclass(frozen=True)
class SampleSets:
    """What batches are drawn from. bg_context: background cut from single patches, beside their mitosis."""

    fg_lab: Sequence[Sample]
    bg_rand: Sequence[Sample]
    bg_context: Sequence[Sample] = ()
    bg_hard: Sequence[Sample] = ()
    fg_wsi: Sequence[Sample] = ()
    stains: Sequence[LabStatistics] = field(default=())


def compose_batch(sets: SampleSets, plan: Plan, iteration: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Patches uint8 (n, 128, 128, 3) and labels (n,), 1 = mitosis, of one iteration."""
    rng = np.random.default_rng([plan.seed, iteration])
    foreground = [_draw_foreground(sets, plan, rng) for _ in range(plan.foreground_per_batch)]
    background = [_draw_background(sets, plan, rng) for _ in range(plan.background_per_batch)]
    patches = np.stack([_augmented(sample, sets.stains, plan, rng) for sample in [*foreground, *background]])
    labels = np.repeat([1, 0], [len(foreground), len(background)])
    return patches, labels


def stream(
    sets: SampleSets, plan: Plan, start: int, stop: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """The batches of iterations start..stop-1, made ahead in one thread: ten times what two cores can train on."""
    ready: queue.Queue[tuple[NDArray[np.uint8], NDArray[np.int64]] | BaseException] = queue.Queue(maxsize=8)
    stopped = threading.Event()

    def put(item: tuple[NDArray[np.uint8], NDArray[np.int64]] | BaseException) -> None:
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
                put(compose_batch(sets, plan, iteration))
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
    """FG-Lab and FG-WSI "with a fixed ratio"; within FG-Lab every source of data has the same weight."""
    lab, wsi = plan.fg_lab_per_fg_wsi
    if sets.fg_wsi and rng.random() < wsi / (lab + wsi):
        return sets.fg_wsi[int(rng.integers(len(sets.fg_wsi)))]
    sources = sorted({sample.hpf.source for sample in sets.fg_lab})
    if len(sources) > 1:
        source = sources[int(rng.integers(len(sources)))]
        own = [sample for sample in sets.fg_lab if sample.hpf.source == source]
        return own[int(rng.integers(len(own)))]
    return sets.fg_lab[int(rng.integers(len(sets.fg_lab)))]


def _draw_background(sets: SampleSets, plan: Plan, rng: np.random.Generator) -> Sample:
    chosen = sets.bg_rand
    if sets.bg_context and rng.random() < plan.context_share:
        chosen = sets.bg_context
    elif sets.bg_hard and rng.random() < plan.hard_share:
        chosen = sets.bg_hard
    return chosen[int(rng.integers(len(chosen)))]


def _augmented(sample: Sample, stains: Sequence[LabStatistics], plan: Plan, rng: np.random.Generator) -> Rgb:
    patch = cut(sample.hpf.image, sample.x, sample.y, plan.augmentation, rng)
    if stains and rng.random() < plan.augmentation.contrast_transfer:
        patch = contrast_transfer(patch, sample.hpf.stain, stains[int(rng.integers(len(stains)))])
    patch = jitter_colour(patch, plan.augmentation.colour, rng)
    patch = soften(patch, plan.augmentation, rng)
    assert patch.shape == (paper.PATCH_SIZE, paper.PATCH_SIZE, 3)
    return patch
