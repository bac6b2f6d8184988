"""Benchmarks of single parts: reading, suppression, exactness, training, cascade."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import torch
from numpy.typing import NDArray

from detector import paper
from detector.bench.baselines import as_tensor, greedy_loop, plain_training
from detector.bench.result import Bench, BenchmarkResult, BenchmarkResults, interleaved, ratio
from detector.datasets import read_dataset
from detector.detection.allocator import untuned
from detector.detection.cascade_recall import measure_recall, score_frames
from detector.detection.nms import suppress
from detector.detection.scorer import Scorer, has_bf16, parse_device
from detector.detection.windows import WINDOW_STEP
from detector.frames import Case, LabelledFrame, lab_statistics, points
from detector.model.network import mitosis_logit
from detector.slide import open_slide
from detector.training.batches import SampleSets, compose_batch
from detector.training.patch_sets import fg_lab, sample_bg_rand
from detector.training.plan import Plan
from detector.training.train import train_initial_model

_BLOCK = 2048  # px read at a time where reading is measured


def reading(bench: Bench, path: Path) -> BenchmarkResults:
    """Reading level 0 in blocks against OpenSlide's read_region, by one thread and by two."""
    with open_slide(path) as slide, openslide.OpenSlide(path) as plain:
        width, height = slide.size
        blocks = [
            (x, y, min(_BLOCK, width - x), min(_BLOCK, height - y))
            for y in range(0, height, _BLOCK)
            for x in range(0, width, _BLOCK)
        ]

        def by_openslide(block: tuple[int, int, int, int]) -> NDArray[np.uint8]:
            x, y, w, h = block
            return np.asarray(plain.read_region((x, y), 0, (w, h)).convert("RGB"))

        def by_us(block: tuple[int, int, int, int]) -> NDArray[np.uint8]:
            return slide.read(0, *block)

        with ThreadPoolExecutor(2) as pool:
            times, _ = interleaved(
                bench.rounds,
                openslide=lambda: [by_openslide(block) for block in blocks],
                one=lambda: [by_us(block) for block in blocks],
                two=lambda: list(pool.map(by_us, blocks)),
            )
        differ = max(int(np.abs(by_us(b).astype(int) - by_openslide(b)).max()) for b in blocks)
    return {
        "reading_mpx_per_second": BenchmarkResult(round(width * height / times["one"] / 1e6, 1)),
        "reading_over_openslide": ratio(times["openslide"], times["one"], "read_region, one thread", at_least=3.5),
        "reading_two_threads_over_openslide": ratio(
            times["openslide"], times["two"], "read_region, one thread", at_least=5
        ),
        "reading_differs_by": BenchmarkResult(differ, "OpenSlide's pixels, grey levels", at_most=0),
    }


def suppression(bench: Bench, path: Path) -> BenchmarkResults:
    """Non-maximum suppression against the greedy loop, and on many points."""
    rng = np.random.default_rng(0)

    def cloud(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return rng.uniform(0, 100 * count**0.5, (count, 2)), rng.normal(size=count)

    small, medium, large = cloud(5_000), cloud(100_000), cloud(1_000_000)
    times, results = interleaved(
        bench.rounds,
        time.thread_time,
        loop=lambda: greedy_loop(*small, paper.NMS_RADIUS),
        ours=lambda: suppress(*small, paper.NMS_RADIUS),
        medium=lambda: suppress(*medium, paper.NMS_RADIUS),
        large=lambda: suppress(*large, paper.NMS_RADIUS),
    )
    return {
        "nms_over_loop_5k": ratio(times["loop"], times["ours"], "greedy loop"),
        "nms_differs_from_loop": BenchmarkResult(
            len(np.setxor1d(results["loop"], results["ours"])), "points kept", at_most=0
        ),
        "nms_seconds_100k": BenchmarkResult(round(times["medium"], 3), "one core", at_most=0.25),
        "nms_seconds_1m": BenchmarkResult(round(times["large"], 2), "one core", at_most=2.5),
    }


@torch.inference_mode()
def exactness(bench: Bench, path: Path) -> BenchmarkResults:
    """Greatest difference in logit of patches and windows from the map of the whole frame; fp32."""
    image, network = _noise("frame").image, bench.network.cpu().eval()
    whole = mitosis_logit(network(as_tensor(image)))[0]

    def differ(side: int, step: int) -> float:
        cells = (side - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1
        places = range(0, len(image) - side + 1, step)
        apart = []
        for top, left in itertools.product(places, places):
            alone = mitosis_logit(network(as_tensor(image[top : top + side, left : left + side])))[0]
            row, column = top // paper.OUTPUT_STRIDE, left // paper.OUTPUT_STRIDE
            apart.append(float((alone - whole[row : row + cells, column : column + cells]).abs().max()))
        return float(f"{max(apart):.1e}")

    return {
        "patch_differs_by": BenchmarkResult(
            differ(paper.PATCH_SIZE, paper.PATCH_SIZE), "map of the frame, logit", at_most=1e-5
        ),
        "window_differs_by": BenchmarkResult(
            differ(paper.WINDOW_SIZE, WINDOW_STEP), "map of the frame, logit", at_most=1e-5
        ),
    }


def training(bench: Bench, path: Path) -> BenchmarkResults:
    """Training speed over a plain loop, share of time waiting for batches, patches augmented per second."""
    frames = [_noise(f"{i}") for i in range(4)]
    # What is measured of ours is its second half: in the first one the network may be compiled.
    plan = Plan(iterations=20, hard_negatives_at=(), checkpoint_every=10)
    rng = np.random.default_rng(0)
    stains = [frame.stain for frame in frames]
    sets = SampleSets(fg_lab(frames), [s for frame in frames for s in sample_bg_rand(frame, rng)], stains=stains)
    states: list[dict[str, Any]] = []
    compiled: list[dict[str, Any]] = []
    device = parse_device(bench.device)

    def ours(**options: Any) -> None:
        with tempfile.TemporaryDirectory() as out:
            case = [Case("drawn", tuple(frames))]
            train_initial_model(case, (), plan, Path(out), device=bench.device, **options)

    def plain() -> None:
        with untuned():
            plain_training(sets, plan, bench.device)

    calls: dict[str, Callable[[], Any]] = {"plain": plain, "ours": lambda: ours(report=states.append)}
    if device.type == "cpu" and has_bf16(device) and shutil.which(os.environ.get("CXX", "g++")):
        calls["compiled"] = lambda: ours(report=compiled.append, compile=True)
    times, _ = interleaved(bench.rounds, **calls)
    made, _ = interleaved(bench.rounds, time.thread_time, batch=lambda: compose_batch(sets, plan, 0))

    def second_half(of: list[dict[str, Any]], key: str) -> float:
        return float(np.median([state[key] for state in of if key in state and state["iteration"] == plan.iterations]))

    per_second, of_plain = second_half(states, "per_second"), plan.iterations / times["plain"]
    figures = {
        "training_iterations_per_second": BenchmarkResult(round(per_second, 2)),
        "training_over_plain": training_over_plain(per_second / of_plain, bf16=has_bf16(device)),
        "training_share_of_waiting": BenchmarkResult(
            round(second_half(states, "waiting"), 4), "for batches", at_most=0.05
        ),
        "augmented_patches_per_second": BenchmarkResult(
            round(paper.BATCH_SIZE / made["batch"]), "one core, every step", at_least=2000
        ),
    }
    if compiled:
        figures["compiled_training_over_plain"] = ratio(
            second_half(compiled, "per_second"), of_plain, "eager fp32 loop, batches in line", at_least=2.2
        )
    return figures


def training_over_plain(ratio: float, *, bf16: bool) -> BenchmarkResult:
    """The target is for a processor that trains in bf16; in fp32 both do the same arithmetic."""
    baseline = "eager fp32 loop, batches in line"
    if bf16:
        return BenchmarkResult(round(ratio, 3), baseline, at_least=1.6)
    return BenchmarkResult(round(ratio, 3), f"{baseline}; the target of 1.6 asks for bf16, which is not here")


def cascade(bench: Bench, path: Path) -> BenchmarkResults:
    """Recall of the cascade on labelled frames, in fp32, against its fine network on every cell."""
    if bench.dataset is None or bench.coarse is None:
        missing = "--dataset" if bench.coarse is not None else "weights with a coarse network"
        return {"cascade": BenchmarkResult("not compared", f"needs {missing}")}
    cases = read_dataset(bench.dataset)
    scorer = Scorer(bench.network, coarse=bench.coarse, figures=bench.figures, device="cpu", precision="fp32")
    found = measure_recall(scorer, score_frames(bench.network, cases, bench.figures))
    return {
        "cascade_frames": BenchmarkResult(found.frames),
        "cascade_looks_closer_at": BenchmarkResult(found.looked_at, "of all cells"),
        "detections_at_0.5": BenchmarkResult(found.at_half, "every cell scored"),
        "detections_at_0.5_lost": BenchmarkResult(found.lost_at_half, "every cell scored", at_most=0),
        "detections_at_0.2": BenchmarkResult(found.at_floor, "every cell scored"),
        "detections_at_0.2_lost": BenchmarkResult(found.lost_at_floor, "every cell scored"),
        "detections_added": BenchmarkResult(found.added, "every cell scored", at_most=0),
    }


def _noise(name: str) -> LabelledFrame:
    """A frame of noise with three mitoses, for timing only."""
    image = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    mitoses = points([(200, 300), (500, 500), (800, 700)])
    return LabelledFrame(name, "c", image, mitoses, points(), paper.WORKING_MPP, lab_statistics([image]), "noise")
