"""Benchmark of a whole slide against the paper's recipe, the network alone, fp32 and tiatoolbox."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detector import paper
from detector.bench.baselines import as_tensor, by_openslide_alone, glass_at_full_resolution, plain_recipe
from detector.bench.result import Bench, BenchmarkResult, BenchmarkResults, interleaved, ratio
from detector.detection.allocator import untuned
from detector.detection.detect import FIGURE_RIM, Detections, detect, find_peaks, score_cells
from detector.detection.scorer import Scorer, score_prefetched, sigmoid
from detector.detection.windows import WINDOW_STEP, WindowPlan, glass_windows, plan_windows
from detector.evaluation.metrics import match
from detector.frames import Rgb
from detector.slide import WorkingFrame, open_slide

_BF16_DOUBT = 0.05  # so near to 0.5 a score may be on the other side of it in bf16


def whole_slide(bench: Bench, path: Path) -> BenchmarkResults:
    """Detection on a whole slide against the paper's recipe and against the network alone."""
    with open_slide(path) as slide, by_openslide_alone(path) as plain_slide:
        mpp = slide.mpp or (paper.WORKING_MPP, paper.WORKING_MPP)
        frame, plain_frame = WorkingFrame(slide, mpp), WorkingFrame(plain_slide, mpp)
        fast = Scorer(bench.network, coarse=bench.coarse, figures=bench.figures, device=bench.device)
        every_cell = Scorer(bench.network, figures=bench.figures, device=bench.device)
        exact = Scorer(bench.network, figures=bench.figures, device=bench.device, precision="fp32")
        plan, glass = plan_windows(frame), glass_windows(frame)
        floor = paper.PEAK_FLOOR
        images = [frame.read(*rectangle.region) for rectangle in plan.rectangles]
        with_rim = [frame.read(*rectangle.around(FIGURE_RIM)) for rectangle in plan.rectangles]
        score = functools.partial(score_cells, fast, floor=floor, figures=True)

        def ours(scorer: Scorer = fast) -> Detections:
            return detect(scorer, frame, min_score=paper.STORED_SCORE_FLOOR)

        def plain() -> Detections:
            with untuned():
                return plain_recipe(bench.network, plain_frame, paper.STORED_SCORE_FLOOR, glass)

        def forward(some: Sequence[Rgb]) -> None:
            read = [functools.partial(np.asarray, image) for image in some]
            list(score_prefetched(read, score, lanes=fast.concurrency(floor)))

        def plain_forward() -> None:
            with untuned(), torch.inference_mode():
                for image in images:
                    bench.network(as_tensor(image))

        calls: dict[str, Callable[[], Any]] = {
            "plain": plain,
            **({"plain_forward": plain_forward} if fast.precision != "fp32" else {}),
            # Takes back the memory that `untuned` gave away; a worker has it.
            "warm": lambda: forward(with_rim[:8]),
            "ours": ours,
            "forward": lambda: forward(with_rim),
            "glass": lambda: glass_windows(frame),
        }
        if fast.uses_cascade(floor):
            calls["every_cell"] = lambda: ours(every_cell)
        if fast.precision != "fp32":
            calls["forward_every_cell"] = lambda: [every_cell.logits(image) for image in images]
            calls["forward_fp32"] = lambda: [exact.logits(image) for image in images]
        with _tiatoolbox(bench, path, mpp) as segment:
            if segment is not None:
                calls["tiatoolbox"] = segment
            times, results = interleaved(bench.rounds, **calls)
        results |= {"fp32": ours(exact), "peaks": find_peaks(exact, frame, min_score=paper.STORED_SCORE_FLOOR)}
        return _slide_figures(fast, frame, plan, times, results)


def _slide_figures(
    scorer: Scorer, frame: WorkingFrame, plan: WindowPlan, times: dict[str, float], results: dict[str, Any]
) -> BenchmarkResults:
    """Results of `whole_slide` with their targets. times, results: seconds and result of each call."""
    seen = plan.windows_total - plan.windows_skipped
    mm2 = seen * (WINDOW_STEP * np.array(frame.mpp) / 1000).prod()
    figures = {
        "device": BenchmarkResult(scorer.device_name),
        "precision": BenchmarkResult(scorer.precision),
        "windows": BenchmarkResult(plan.windows_total),
        "windows_skipped": BenchmarkResult(plan.windows_skipped),
        "mm2_per_second": BenchmarkResult(round(mm2 / times["ours"], 3)),
        "plain_recipe_over_ours": ratio(
            times["plain"], times["ours"], "the paper's recipe: 512 px windows one by one, fp32", at_least=3
        ),
        "ours_over_forward_alone": ratio(
            times["ours"], times["forward"], "the network on the same rectangles, already read", at_most=1.10
        ),
        "skip_share_of_wall": ratio(times["glass"], times["ours"], "whole slide", at_most=0.02),
        "skip_decisions_that_differ": BenchmarkResult(
            int((results["glass"] != glass_at_full_resolution(frame)).sum()), "every pixel read", at_most=0
        ),
        "detections_plain": BenchmarkResult(len(_at_half(results["plain"]).xy), "at score 0.5"),
        "detections_fp32_that_differ": BenchmarkResult(
            differing(results["plain"], results["peaks"]), "plain recipe; our peaks, every cell, fp32", at_most=0
        ),
        "detections_that_differ": BenchmarkResult(
            differing(results["fp32"], results["ours"], doubt=0 if scorer.precision == "fp32" else _BF16_DOUBT),
            "every cell scored, fp32; ours as it is",
            at_most=0,
        ),
    }
    if "every_cell" in times:
        figures["every_cell_over_ours"] = ratio(
            times["every_cell"], times["ours"], "the same without the coarse network"
        )
    if "forward_fp32" in times:
        figures |= _bf16_figures(times, results)
    if "tiatoolbox" in times:
        theirs = results["tiatoolbox"]["windows"] / times["tiatoolbox"]
        figures["mm2_per_second_over_tiatoolbox"] = ratio(
            seen / times["ours"], theirs, "its SemanticSegmentor, same network, fp32", at_least=3
        )
    figures["peak_memory_mib"] = BenchmarkResult(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return figures


def _bf16_figures(times: dict[str, float], results: dict[str, Any]) -> BenchmarkResults:
    """Speed-up and greatest score difference of bf16 with every cell scored. times, results: of `whole_slide`."""
    ours = times["forward_every_cell"]
    pairs = zip(results["forward_fp32"], results["forward_every_cell"], strict=True)
    differ = max(float(np.abs(sigmoid(a) - sigmoid(b)).max()) for a, b in pairs)
    return {
        "forward_fp32_over_forward": ratio(
            times["forward_fp32"], ours, "fp32, same rectangles, every cell", at_least=2.2
        ),
        "plain_forward_over_forward": ratio(
            times["plain_forward"], ours, "the network as it is trained, fp32", at_least=2.5
        ),
        "scores_differ_by": BenchmarkResult(round(differ, 4), "fp32, every cell", at_most=_BF16_DOUBT),
    }


@contextlib.contextmanager
def _tiatoolbox(bench: Bench, path: Path, mpp: tuple[float, float]) -> Iterator[Callable[[], dict[str, Any]] | None]:
    """A call that segments the slide by tiatoolbox; None without it."""
    if bench.tiatoolbox is None or bench.weights is None:
        yield None
        return
    # As a module: run as a file, it would find itself where it imports tiatoolbox.
    command = [bench.tiatoolbox, "-m", "detector.bench.tiatoolbox", path, bench.weights, *mpp]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def segment() -> dict[str, Any]:
            with contextlib.suppress(BrokenPipeError):
                asked.write("\n")
                asked.flush()
            if not (answer := answers.readline()):
                raise ValueError(f"{bench.tiatoolbox} could not run tiatoolbox; what it said stands above")
            result: dict[str, Any] = json.loads(answer)
            return result

        try:
            yield segment
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):  # of what a process that has ended was not told
                asked.close()


def _at_half(found: Detections) -> Detections:
    return found.at_least(paper.SCORE_THRESHOLD)


def differing(some: Detections, others: Detections, *, doubt: float = 0) -> int:
    """Number of detections at score 0.5 + doubt of one side without one at 0.5 of the other within 1 px."""
    count = 0
    for own, other in ((_at_half(some), _at_half(others)), (_at_half(others), _at_half(some))):
        alone = ~match(own.xy, own.scores, other.xy, 1.0)
        count += int((own.scores[alone] >= paper.SCORE_THRESHOLD + doubt).sum())
    return count
