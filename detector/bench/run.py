"""What the detector gains over named baselines, measured in one run, as ratios.

Baselines are written out here in the plainest way: the paper's recipe window by window, greedy suppression in a loop, a
training step as one would first write it, all with the allocator as a program finds it. Rounds are interleaved, so that
a machine that slows down slows both sides.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import torch
from numpy.typing import NDArray

from detector import paper
from detector.datasets import read_dataset
from detector.detection.allocator import untuned
from detector.detection.cascade_recall import compare, known
from detector.detection.detect import Cells, Detections, place, scan
from detector.detection.nms import suppress
from detector.detection.scorer import Scorer, device_called, has_bf16, logit, score_ahead, sigmoid
from detector.detection.windows import (
    WINDOW_CELLS,
    WINDOW_STEP,
    WindowPlan,
    glass_windows,
    glass_windows_of,
    map_size,
    plan_windows,
)
from detector.errors import SlideError
from detector.evaluation.metrics import match
from detector.frames import Case, Hpf, lab_statistics, points
from detector.model.network import ResNet12, mitosis_logit
from detector.slide import Frame, Slide, WorkingFrame, open_slide
from detector.slide.drawn import draw_slide
from detector.slide.reader import OpenSlideFile
from detector.training.batches import SampleSets, compose_batch
from detector.training.patch_sets import fg_lab, sample_bg_rand
from detector.training.plan import Plan
from detector.training.train import train_initial_model

_BLOCK = 2048  # px read at a time where reading is measured
_BF16_DOUBT = 0.05  # so near to 0.5 a score may be on the other side of it in bf16


@dataclass(frozen=True)
class Figure:
    """One measured number. target: what is aimed at, None where it is only said. A ratio is over `baseline`."""

    value: float | int | str
    baseline: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if isinstance(self.value, str) or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def line(self, name: str) -> str:
        """The figure as a line of text."""
        target = f">= {self.at_least:g}" if self.at_least is not None else ""
        target = f"<= {self.at_most:g}" if self.at_most is not None else target
        verdict = {True: "reached", False: "missed", None: ""}[self.reached]
        return f"{name:34} {self.value!s:>14}  {target:8} {verdict:8} {self.baseline}".rstrip()


Figures = dict[str, Figure]


@dataclass(frozen=True)
class Bench:
    """What is measured, and on what. size: side in px of the slide that is drawn where `slide` is none.

    tiatoolbox: a Python that has it, to be measured beside ours with the same `weights`; both or neither. coarse: what
    looks before the network in a cascade. dataset: labelled frames on which the cascade is compared with the network.
    """

    network: ResNet12
    coarse: ResNet12 | None = None
    dataset: Path | None = None
    slide: Path | None = None
    size: int = 5000
    rounds: int = 5
    device: str = "auto"
    weights: Path | None = None
    tiatoolbox: Path | None = None

    def run(self, parts: Sequence[str]) -> Figures:
        """The figures of some of `PARTS`, in this order."""
        figures: Figures = {}
        with tempfile.TemporaryDirectory() as folder:
            path = self.slide or Path(folder) / "slide.tif"
            if self.slide is not None:
                open_slide(path).close()  # says what is wrong with a file that is none
                if openslide.OpenSlide.detect_format(path) is None:
                    raise SlideError("It is no slide that OpenSlide opens; speed is measured on such a one.", path)
            elif {"slide", "reading"} & set(parts):
                draw_slide(path, size=self.size, figures=max(3, self.size // 400))
            for part in parts:
                figures |= PARTS[part](self, path)
        return figures


def _slide(bench: Bench, path: Path) -> Figures:
    """Detection on a whole slide against the paper's recipe and against the network alone."""
    with open_slide(path) as slide, _by_openslide_alone(path) as plain_slide:
        mpp = slide.mpp or (paper.WORKING_MPP, paper.WORKING_MPP)
        frame, plain_frame = WorkingFrame(slide, mpp), WorkingFrame(plain_slide, mpp)
        fast = Scorer(bench.network, coarse=bench.coarse, device=bench.device)
        every_cell = Scorer(bench.network, device=bench.device)
        exact = Scorer(bench.network, device=bench.device, precision="fp32")
        plan, glass = plan_windows(frame), glass_windows(frame)
        floor = paper.STORED_SCORE_FLOOR
        images = [frame.read(*rectangle.region) for rectangle in plan.rectangles]
        read = [functools.partial(np.asarray, image) for image in images]

        def ours(scorer: Scorer = fast) -> Detections:
            return place(scan(scorer, frame, plan_windows(frame), floor=floor), frame)

        def plain() -> Detections:
            with untuned():
                return plain_recipe(bench.network, plain_frame, floor, glass)

        def plain_forward() -> None:
            with untuned(), torch.inference_mode():
                for image in images:
                    bench.network(_as_tensor(image))

        calls: dict[str, Callable[[], Any]] = {
            "plain": plain,
            **({"plain_forward": plain_forward} if fast.precision != "fp32" else {}),
            # Takes back the memory that `untuned` gave away; a worker has it.
            "warm": lambda: list(score_ahead(fast, read[:8], floor)),
            "ours": ours,
            "forward": lambda: list(score_ahead(fast, read, floor)),
            "glass": lambda: glass_windows(frame),
        }
        if fast.cascades(floor):
            calls["every_cell"] = lambda: ours(every_cell)
        if fast.precision != "fp32":
            calls["forward_every_cell"] = lambda: [every_cell.logits(image) for image in images]
            calls["forward_fp32"] = lambda: [exact.logits(image) for image in images]
        with _tiatoolbox(bench, path, mpp) as segment:
            if segment is not None:
                calls["tiatoolbox"] = segment
            times, results = _interleaved(bench.rounds, **calls)
        results["fp32"] = ours(exact)
        return _slide_figures(fast, frame, plan, times, results)


def _slide_figures(
    scorer: Scorer, frame: WorkingFrame, plan: WindowPlan, times: dict[str, float], results: dict[str, Any]
) -> Figures:
    """What `_slide` measured, beside its targets. times: seconds of each call; results: what each gave."""
    seen = plan.windows_total - plan.windows_skipped
    mm2 = seen * (WINDOW_STEP * np.array(frame.mpp) / 1000).prod()
    figures = {
        "device": Figure(scorer.device_name),
        "precision": Figure(scorer.precision),
        "windows": Figure(plan.windows_total),
        "windows_skipped": Figure(plan.windows_skipped),
        "mm2_per_second": Figure(round(mm2 / times["ours"], 3)),
        "plain_recipe_over_ours": _ratio(
            times["plain"], times["ours"], "the paper's recipe: 512 px windows one by one, fp32", at_least=3
        ),
        "ours_over_forward_alone": _ratio(
            times["ours"], times["forward"], "the network on the same rectangles, already read", at_most=1.10
        ),
        "skip_share_of_wall": _ratio(times["glass"], times["ours"], "whole slide", at_most=0.02),
        "skip_decisions_that_differ": Figure(
            int((results["glass"] != _glass_at_full_resolution(frame)).sum()), "every pixel read", at_most=0
        ),
        "detections_plain": Figure(len(_at_half(results["plain"]).xy), "at score 0.5"),
        "detections_fp32_that_differ": Figure(
            differing(results["plain"], results["fp32"]), "plain recipe; every cell scored, fp32", at_most=0
        ),
        "detections_that_differ": Figure(
            differing(results["plain"], results["ours"], doubt=0 if scorer.precision == "fp32" else _BF16_DOUBT),
            "plain recipe; ours as it is",
            at_most=0,
        ),
    }
    if "every_cell" in times:
        figures["every_cell_over_ours"] = _ratio(
            times["every_cell"], times["ours"], "the same without the coarse network"
        )
    if "forward_fp32" in times:
        figures |= _bf16_figures(times, results)
    if "tiatoolbox" in times:
        theirs = results["tiatoolbox"]["windows"] / times["tiatoolbox"]
        figures["mm2_per_second_over_tiatoolbox"] = _ratio(
            seen / times["ours"], theirs, "its SemanticSegmentor, same network, fp32", at_least=3
        )
    figures["peak_memory_mib"] = Figure(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return figures


def _bf16_figures(times: dict[str, float], results: dict[str, Any]) -> Figures:
    """What bf16 gains with every cell scored, and by how much its scores differ. times, results: of `_slide`."""
    ours = times["forward_every_cell"]
    pairs = zip(results["forward_fp32"], results["forward_every_cell"], strict=True)
    differ = max(float(np.abs(sigmoid(a) - sigmoid(b)).max()) for a, b in pairs)
    return {
        "forward_fp32_over_forward": _ratio(
            times["forward_fp32"], ours, "fp32, same rectangles, every cell", at_least=2.2
        ),
        "plain_forward_over_forward": _ratio(
            times["plain_forward"], ours, "the network as it is trained, fp32", at_least=2.5
        ),
        "scores_differ_by": Figure(round(differ, 4), "fp32, every cell", at_most=_BF16_DOUBT),
    }


def _reading(bench: Bench, path: Path) -> Figures:
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
            times, _ = _interleaved(
                bench.rounds,
                openslide=lambda: [by_openslide(block) for block in blocks],
                one=lambda: [by_us(block) for block in blocks],
                two=lambda: list(pool.map(by_us, blocks)),
            )
        differ = max(int(np.abs(by_us(b).astype(int) - by_openslide(b)).max()) for b in blocks)
    return {
        "reading_mpx_per_second": Figure(round(width * height / times["one"] / 1e6, 1)),
        "reading_over_openslide": _ratio(times["openslide"], times["one"], "read_region, one thread", at_least=3.5),
        "reading_two_threads_over_openslide": _ratio(
            times["openslide"], times["two"], "read_region, one thread", at_least=5
        ),
        "reading_differs_by": Figure(differ, "OpenSlide's pixels, grey levels", at_most=0),
    }


def _suppression(bench: Bench, path: Path) -> Figures:
    """Non-maximum suppression against the greedy loop, and on many points."""
    rng = np.random.default_rng(0)

    def cloud(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return rng.uniform(0, 100 * count**0.5, (count, 2)), rng.normal(size=count)

    small, medium, large = cloud(5_000), cloud(100_000), cloud(1_000_000)
    times, results = _interleaved(
        bench.rounds,
        time.thread_time,
        loop=lambda: greedy_loop(*small, paper.NMS_RADIUS),
        ours=lambda: suppress(*small, paper.NMS_RADIUS),
        medium=lambda: suppress(*medium, paper.NMS_RADIUS),
        large=lambda: suppress(*large, paper.NMS_RADIUS),
    )
    return {
        "nms_over_loop_5k": _ratio(times["loop"], times["ours"], "greedy loop"),
        "nms_differs_from_loop": Figure(len(np.setxor1d(results["loop"], results["ours"])), "points kept", at_most=0),
        "nms_seconds_100k": Figure(round(times["medium"], 3), "one core", at_most=0.25),
        "nms_seconds_1m": Figure(round(times["large"], 2), "one core", at_most=2.5),
    }


@torch.inference_mode()
def _exactness(bench: Bench, path: Path) -> Figures:
    """By how much the score of a patch, and of a window's cells, differs from the map of the whole frame; fp32."""
    image, network = _noise("frame").image, bench.network.cpu().eval()
    whole = mitosis_logit(network(_as_tensor(image)))[0]

    def differ(side: int, step: int) -> float:
        cells = (side - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1
        places = range(0, len(image) - side + 1, step)
        apart = []
        for top, left in itertools.product(places, places):
            alone = mitosis_logit(network(_as_tensor(image[top : top + side, left : left + side])))[0]
            row, column = top // paper.OUTPUT_STRIDE, left // paper.OUTPUT_STRIDE
            apart.append(float((alone - whole[row : row + cells, column : column + cells]).abs().max()))
        return float(f"{max(apart):.1e}")

    return {
        "patch_differs_by": Figure(differ(paper.PATCH_SIZE, paper.PATCH_SIZE), "map of the frame, logit", at_most=1e-5),
        "window_differs_by": Figure(differ(paper.WINDOW_SIZE, WINDOW_STEP), "map of the frame, logit", at_most=1e-5),
    }


def _training(bench: Bench, path: Path) -> Figures:
    """A training as it runs against a plain loop, the share of time that it waits for patches, and their making."""
    hpfs = [_noise(f"{i}") for i in range(4)]
    # What is measured of ours is its second half: in the first one the network may be compiled.
    plan = Plan(learning_rate_steps=((20, 1e-4),), hard_negatives_at=(), checkpoint_every=10)
    rng = np.random.default_rng(0)
    stains = [hpf.stain for hpf in hpfs]
    sets = SampleSets(fg_lab(hpfs), [s for hpf in hpfs for s in sample_bg_rand(hpf, rng)], stains=stains)
    states: list[dict[str, Any]] = []
    compiled: list[dict[str, Any]] = []
    device = device_called(bench.device)

    def ours(**options: Any) -> None:
        with tempfile.TemporaryDirectory() as out:
            case = [Case("drawn", tuple(hpfs))]
            train_initial_model(case, (), plan, Path(out), device=bench.device, **options)

    def plain() -> None:
        with untuned():
            _plain_training(sets, plan, bench.device)

    calls: dict[str, Callable[[], Any]] = {"plain": plain, "ours": lambda: ours(report=states.append)}
    if device.type == "cpu" and has_bf16(device) and shutil.which(os.environ.get("CXX", "g++")):
        calls["compiled"] = lambda: ours(report=compiled.append, compile=True)
    times, _ = _interleaved(bench.rounds, **calls)
    made, _ = _interleaved(bench.rounds, time.thread_time, batch=lambda: compose_batch(sets, plan, 0))

    def second_half(of: list[dict[str, Any]], key: str) -> float:
        return float(np.median([state[key] for state in of if key in state and state["iteration"] == plan.iterations]))

    per_second, of_plain = second_half(states, "per_second"), plan.iterations / times["plain"]
    figures = {
        "training_iterations_per_second": Figure(round(per_second, 2)),
        "training_over_plain": training_over_plain(per_second / of_plain, bf16=has_bf16(device)),
        "training_share_of_waiting": Figure(round(second_half(states, "waiting"), 4), "for batches", at_most=0.05),
        "augmented_patches_per_second": Figure(
            round(paper.BATCH_SIZE / made["batch"]), "one core, every step", at_least=2000
        ),
    }
    if compiled:
        figures["compiled_training_over_plain"] = _ratio(
            second_half(compiled, "per_second"), of_plain, "eager fp32 loop, batches in line", at_least=2.2
        )
    return figures


def training_over_plain(ratio: float, *, bf16: bool) -> Figure:
    """The target is for a processor that trains in bf16; in fp32 both do the same arithmetic."""
    baseline = "eager fp32 loop, batches in line"
    if bf16:
        return Figure(round(ratio, 3), baseline, at_least=1.6)
    return Figure(round(ratio, 3), f"{baseline}; the target of 1.6 asks for bf16, which is not here")


def _cascade(bench: Bench, path: Path) -> Figures:
    """What the cascade keeps, in fp32, of what its fine network finds on labelled frames with every cell scored."""
    if bench.dataset is None or bench.coarse is None:
        missing = "--dataset" if bench.coarse is not None else "weights with a coarse network"
        return {"cascade": Figure("not compared", f"needs {missing}")}
    cases = read_dataset(bench.dataset)
    scorer = Scorer(bench.network, coarse=bench.coarse, device="cpu", precision="fp32")
    found = compare(scorer, known(bench.network, cases))
    return {
        "cascade_frames": Figure(found.frames),
        "cascade_looks_closer_at": Figure(found.looked_at, "of all cells"),
        "detections_at_0.5": Figure(found.at_half, "every cell scored"),
        "detections_at_0.5_lost": Figure(found.lost_at_half, "every cell scored", at_most=0),
        "detections_at_0.2": Figure(found.at_floor, "every cell scored"),
        "detections_at_0.2_lost": Figure(found.lost_at_floor, "every cell scored"),
        "detections_added": Figure(found.added, "every cell scored", at_most=0),
    }


PARTS: dict[str, Callable[[Bench, Path], Figures]] = {
    "slide": _slide,
    "exactness": _exactness,
    "cascade": _cascade,
    "reading": _reading,
    "suppression": _suppression,
    "training": _training,
}


@torch.inference_mode()
def plain_recipe(network: ResNet12, frame: Frame, floor: float, glass: NDArray[np.bool_]) -> Detections:
    """The paper's Testing, to the letter: window by window of 512 overlapping by 120, fp32, bright windows skipped.

    glass: as of `glass_windows`. Each window is read and its mean taken, as the paper's skip test needs; which ones are
    skipped is what `glass` says, so that the baseline has the same windows to score.
    """
    m_columns, m_rows = map_size(frame)
    network.eval()
    parts = []
    for top in range(0, m_rows, WINDOW_CELLS):
        for left in range(0, m_columns, WINDOW_CELLS):
            x = left * paper.OUTPUT_STRIDE - paper.MIRROR_PAD
            y = top * paper.OUTPUT_STRIDE - paper.MIRROR_PAD
            window = frame.read(x, y, paper.WINDOW_SIZE, paper.WINDOW_SIZE)
            window.mean()  # what the paper's skip test costs
            if glass[top // WINDOW_CELLS, left // WINDOW_CELLS]:
                continue
            logits = mitosis_logit(network(_as_tensor(window)))[0].numpy()[: m_rows - top, : m_columns - left]
            rows, columns = np.nonzero(logits >= logit(floor))
            m_xy = np.stack([columns + left, rows + top], axis=1).astype(np.int32)
            parts.append(Cells(m_xy, logits[rows, columns]))
    return place(Cells.joined(parts), frame)


def greedy_loop(xy: NDArray[np.float64], logits: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """Greedy suppression, the slow and obvious way."""
    kept: list[int] = []
    for index in np.argsort(-logits):
        if not kept or np.hypot(*(xy[kept] - xy[index]).T).min() > radius:
            kept.append(int(index))
    return np.array(kept, dtype=np.intp)


def _plain_training(sets: SampleSets, plan: Plan, device: str) -> None:
    """Adam on cross-entropy as one would first write it: fp32, each batch made when it is needed."""
    where = Scorer(ResNet12(), device=device, precision="fp32").device
    network = ResNet12().to(where).train()
    optimizer = torch.optim.Adam(network.parameters())
    for iteration in range(plan.iterations):
        patches, labels = compose_batch(sets, plan, iteration)
        x = torch.from_numpy(patches).permute(0, 3, 1, 2).contiguous().float().to(where)
        loss = torch.nn.functional.cross_entropy(network(x).flatten(1), torch.from_numpy(labels).to(where))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _glass_at_full_resolution(frame: WorkingFrame) -> NDArray[np.bool_]:
    """`glass_windows` by the same rule, from every pixel."""
    rows, columns = (-(-side // paper.GLASS_BLOCK) for side in reversed(frame.size))
    means = [frame.exact_block_means(paper.GLASS_BLOCK, slice(row, row + 1), slice(0, columns)) for row in range(rows)]
    return glass_windows_of(np.concatenate(means).mean(axis=2) > paper.GLASS_MEAN_RGB, map_size(frame))


def _by_openslide_alone(path: Path) -> Slide:
    """The slide without the direct reading of JPEG tiles."""
    slide = open_slide(path)
    if isinstance(slide, OpenSlideFile):
        slide.jpeg = (None,) * len(slide.level_sizes)
    return slide


@contextlib.contextmanager
def _tiatoolbox(bench: Bench, path: Path, mpp: tuple[float, float]) -> Iterator[Callable[[], dict[str, Any]] | None]:
    """Something that segments the slide by tiatoolbox; None where that is not there."""
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


def _noise(name: str) -> Hpf:
    """A frame of noise with some mitoses, for what only takes time."""
    image = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    mitoses = points([(200, 300), (500, 500), (800, 700)])
    return Hpf(name, "c", image, mitoses, points(), paper.WORKING_MPP, lab_statistics([image]), "noise")


def _ratio(above: float, below: float, baseline: str, **target: float) -> Figure:
    return Figure(round(above / below, 3), baseline, **target)


def _at_half(found: Detections) -> Detections:
    return found.at_least(paper.SCORE_THRESHOLD)


def differing(some: Detections, others: Detections, *, doubt: float = 0) -> int:
    """How many detections at score 0.5 only one of both has, within a pixel; not counted are those within `doubt`."""
    count = 0
    for own, other in ((_at_half(some), _at_half(others)), (_at_half(others), _at_half(some))):
        alone = ~match(own.xy, own.scores, other.xy, 1.0)
        count += int((own.scores[alone] >= paper.SCORE_THRESHOLD + doubt).sum())
    return count


def _as_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """An image [h, w, 3] as a batch (1, 3, h, w)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()


def _interleaved(
    rounds: int, clock: Callable[[], float] = time.perf_counter, **calls: Callable[[], Any]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of each call, taken in turns after one warm-up each, and what each gave.

    clock: wall time; `time.thread_time` for what one core computes, whatever else the machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            begun = clock()
            results[name] = call()
            if turn:
                seconds[name].append(clock() - begun)
    return {name: float(np.median(values)) for name, values in seconds.items()}, results
