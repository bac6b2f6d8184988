"""Batches of 64 patches in the fixed ratio of 3.1, prefetched in a thread.

The patches of iteration i depend on the seed and i alone, not on what was drawn before: a training that goes on from
a checkpoint sees exactly what it would have seen.
"""

from __future__ import annotations

import math
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
from detector.training.augment import Variations, augment_patch, draw_variations
from detector.training.patch_sets import Sample
from detector.training.plan import Plan

Made = TypeVar("Made")
Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Source:
    """The samples of one source of data: a contest, a laboratory, a scanner."""

    name: str
    fg_lab: Sequence[Sample]
    bg_rand: Sequence[Sample]
    bg_context: Sequence[Sample]
    bg_hard: Sequence[Sample]

    @cached_property
    def stains(self) -> list[LabStatistics]:
        """Distinct LAB statistics of its frames with a mitosis."""
        return list(dict.fromkeys(sample.frame.stain for sample in self.fg_lab))


@dataclass(frozen=True)
class SampleSets:
    """The sample sets that batches are drawn from. bg_context: background of single patches, beside their mitosis.

    stains: LAB statistics to transfer contrast to.
    """

    fg_lab: Sequence[Sample]
    bg_rand: Sequence[Sample]
    bg_context: Sequence[Sample] = ()
    bg_hard: Sequence[Sample] = ()
    fg_wsi: Sequence[Sample] = ()
    stains: Sequence[LabStatistics] = field(default=())

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The sources of data that FG-Lab is from, in the order of their names."""
        parts = [_by_source(part) for part in (self.fg_lab, self.bg_rand, self.bg_context, self.bg_hard)]
        return tuple(Source(name, *(part.get(name, []) for part in parts)) for name in sorted(parts[0]))

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """(sources,) the chance of each source in a draw: as the square root of its mitoses, up to `paper.SOURCE_FULL`.

        As often as its mitoses, a large source alone would be learnt; as often as the others, a handful of mitoses
        would be shown thousands of times.
        """
        if not self.fg_lab:
            raise ValueError("there is nothing to draw from: no labelled mitosis")
        roots = np.sqrt([min(len(source.fg_lab), paper.SOURCE_FULL) for source in self.sources])
        return np.asarray(roots / roots.sum())

    @cached_property
    def priors(self) -> dict[str, float]:
        """Of sources with whole frames: the logit of a mitosis in a batch above that on its frames, less their mean.

        A batch has the same ratio of mitoses to hard negatives for every source; frames of one hold a hard negative
        for each mitosis, those of another five. Of case-control sampling: King and Zeng 2001.
        """
        counts = {s.name: (len(s.bg_hard), len(s.fg_lab)) for s in self.sources if s.bg_rand and s.bg_hard}
        logits = {name: math.log(hard / mitoses) for name, (hard, mitoses) in counts.items()}
        mean = sum(logits.values()) / max(1, len(logits))
        return {name: logit - mean for name, logit in logits.items()}

    @cached_property
    def frame_sources(self) -> tuple[Source, ...]:
        """Sources with exhaustive frames, for background; all sources without a mitosis are pooled into one."""
        with_mitoses = [source for source in self.sources if source.bg_rand]
        names = {source.name for source in with_mitoses}
        rand, hard = (
            [s for s in part if s.frame.exhaustive and s.frame.source not in names]
            for part in (self.bg_rand, self.bg_hard)
        )
        return (*with_mitoses, *([Source("without mitoses", [], rand, [], hard)] if rand else []))

    @cached_property
    def share_without_mitoses(self) -> float:
        """Share of BG-Rand from sources without any mitosis."""
        names = {source.name for source in self.sources}
        return sum(sample.frame.source not in names for sample in self.bg_rand) / max(1, len(self.bg_rand))

    @cached_property
    def frame_shares(self) -> NDArray[np.float64]:
        """(frame_sources,) the chance of each, as the square root of its background."""
        roots = np.sqrt([len(source.bg_rand) for source in self.frame_sources])
        return np.asarray(roots / roots.sum())


@dataclass(frozen=True)
class Batch:
    """One iteration before any pixel is cut: n samples, their augmentation, labels int64 (n,), 1 = mitosis.

    priors: float32 (n,), of each sample's source, see `SampleSets.priors`; 0 where it is not known or not asked for.
    """

    samples: list[Sample]
    variations: Variations
    labels: NDArray[np.int64]
    priors: NDArray[np.float32]


def draw_batch(sets: SampleSets, plan: Plan, iteration: int, *, size: int = paper.PATCH_SIZE) -> Batch:
    """Draw the batch of an iteration by the plan's seed. size: side of its patches, px."""
    rng = np.random.default_rng([plan.seed, iteration])
    foreground = [_draw_foreground(sets, plan, rng) for _ in range(plan.foreground_per_batch)]
    background = [_draw_background(sets, plan, rng) for _ in range(plan.background_per_batch)]
    samples = [*foreground, *(sample for sample, _, _ in background)]
    xy = np.array([(sample.x, sample.y) for sample in samples])
    own = [sample.frame.stain for sample in samples]
    target_stains = [*([None] * len(foreground)), *(stain for _, stain, _ in background)]
    variations = draw_variations(xy, own, sets.stains, plan.augmentation, rng, size=size, target_stains=target_stains)
    labels = np.repeat([1, 0], [len(foreground), len(background)])
    sources = [*(sample.frame.source for sample in foreground), *(source for _, _, source in background)]
    known = sets.priors if plan.source_priors else {}
    priors = np.array([known.get(source, 0.0) for source in sources], dtype=np.float32)
    return Batch(samples, variations, labels, priors)


def compose_batch(
    sets: SampleSets, plan: Plan, iteration: int, *, size: int = paper.PATCH_SIZE
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """Patches uint8 (n, size, size, 3), labels (n,), 1 = mitosis, and priors (n,) of one iteration; see `Batch`."""
    batch = draw_batch(sets, plan, iteration, size=size)
    patches = [augment_patch(sample.frame.image, batch.variations, i) for i, sample in enumerate(batch.samples)]
    return np.stack(patches), batch.labels, batch.priors


def prefetch(make: Callable[[int], Made], start: int, stop: int) -> Generator[Made, None, None]:
    """Yield make(iteration) for start..stop-1, computed ahead in one thread; its exceptions are raised here."""
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
    """FG-Lab and FG-WSI "with a fixed ratio"; within FG-Lab by `SampleSets.shares`.

    But no mined sample comes more often than a labelled one of the source whose samples come most often: where a
    handful was mined, a fixed ratio would show each of them hundreds of times (docs/training.md).
    """
    lab, wsi = plan.fg_lab_per_fg_wsi
    mined, sources = len(sets.fg_wsi), sets.sources
    # FG-Lab, were all samples drawn as often as those of the source with the fewest.
    as_often = min((len(s.fg_lab) / share for s, share in zip(sources, sets.shares, strict=True)), default=0)
    if mined and rng.random() < min(wsi / (lab + wsi), mined / (as_often + mined) if lab else 1.0):
        return sets.fg_wsi[int(rng.integers(len(sets.fg_wsi)))]
    return _one_of(_source(sources, sets.shares, rng).fg_lab, rng)


def _draw_background(
    sets: SampleSets, plan: Plan, rng: np.random.Generator
) -> tuple[Sample, LabStatistics | None, str]:
    """A background sample for a source drawn by `shares`, the stain to transfer to it or None, and that source.

    A source of single patches has its rims alone (`context_share`). Its other background, and by the share of frames
    without a mitosis that of any source, is drawn over all frames in its stain, so that no stain means mitosis.
    """
    source = _source(sets.sources, sets.shares, rng)
    hard = rng.random() < plan.hard_share
    if not source.bg_rand and source.bg_context and rng.random() < plan.context_share:
        return _one_of(source.bg_hard if hard and source.bg_hard else source.bg_context, rng), None, source.name
    home = source
    if not source.bg_rand or rng.random() < sets.share_without_mitoses:
        home = _source(sets.frame_sources, sets.frame_shares, rng)
    sample = _one_of(home.bg_hard if hard and home.bg_hard else home.bg_rand, rng)
    return sample, None if home is source else _one_of(source.stains, rng), source.name


def _source(sources: Sequence[Source], shares: NDArray[np.float64], rng: np.random.Generator) -> Source:
    return sources[int(rng.choice(len(sources), p=shares))]


def _one_of(some: Sequence[Drawn], rng: np.random.Generator) -> Drawn:
    return some[int(rng.integers(len(some)))]


def _by_source(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.frame.source, []).append(sample)
    return groups
