"""What the detector gains over named baselines, measured in one run, as ratios.

Baselines are written out here in the plainest way: the paper's recipe window by window, greedy suppression in a loop.
Rounds are interleaved, so that a machine that slows down slows both sides.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detector import paper
from detector.augment import Augmentation
from detector.batches import SampleSets, compose_batch
from detector.detect import Cells, Detections, Scorer, logit, place, scan
from detector.hpf import Hpf, lab_statistics, points
from detector.network import ResNet12, mitosis_logit
from detector.nms import suppress
from detector.patch_sets import Sample, sample_bg_rand
from detector.plans import Plan
from detector.slide import Frame, Slide, WorkingFrame, open_slide
from detector.slide.drawn import draw_slide
from detector.windows import WINDOW_CELLS, WINDOW_STEP, map_size, plan_windows


def benchmark(network: ResNet12, *, size: int = 5000, rounds: int = 3, device: str = "auto") -> dict[str, Any]:
    """All figures. size: side in px of the slide that is drawn for it. rounds: of which the median is taken."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        draw_slide(path, size=size, figures=max(3, size // 400))
        with open_slide(path) as slide:
            result = _whole_slide(network, slide, rounds, device)
    result |= _suppression(rounds)
    result |= _augmentation(rounds)
    return result


def _whole_slide(network: ResNet12, slide: Slide, rounds: int, device: str) -> dict[str, Any]:
    assert slide.mpp is not None
    frame = WorkingFrame(slide, slide.mpp)
    fast = Scorer(network, device=device)
    exact = Scorer(network, device=device, precision="fp32")
    plan = plan_windows(frame)
    floor = paper.STORED_SCORE_FLOOR
    images = [frame.read(*rectangle.region) for rectangle in plan.rectangles]

    def ours() -> Detections:
        return place(scan(fast, frame, plan_windows(frame), floor=floor), frame)

    times = _interleaved(
        rounds,
        plain=lambda: plain_recipe(network, frame, floor),
        ours=ours,
        forward=lambda: [fast.logits(image) for image in images],
        forward_fp32=lambda: [exact.logits(image) for image in images],
    )
    plain, reference = plain_recipe(network, frame, floor), place(scan(exact, frame, plan, floor=floor), frame)
    mm2 = (plan.windows_total - plan.windows_skipped) * (WINDOW_STEP * paper.WORKING_MPP / 1000) ** 2
    return {
        "precision": fast.precision,
        "device": fast.device_name,
        "windows": plan.windows_total,
        "windows_skipped": plan.windows_skipped,
        "mm2_per_second": round(mm2 / times["ours"], 3),
        "plain_recipe_over_ours": round(times["plain"] / times["ours"], 2),
        "ours_over_forward_alone": round(times["ours"] / times["forward"], 3),
        "forward_fp32_over_forward": round(times["forward_fp32"] / times["forward"], 2),
        "detections_plain": int((plain.scores >= 0.5).sum()),
        "detections_ours_fp32": int((reference.scores >= 0.5).sum()),
        "detections_ours": int((ours().scores >= 0.5).sum()),
    }


@torch.inference_mode()
def plain_recipe(network: ResNet12, frame: Frame, floor: float) -> Detections:
    """The paper's Testing, to the letter: window by window of 512 overlapping by 120, fp32, bright windows skipped."""
    m_columns, m_rows = map_size(frame)
    network.eval()
    parts = []
    for top in range(0, m_rows, WINDOW_CELLS):
        for left in range(0, m_columns, WINDOW_CELLS):
            x = left * paper.OUTPUT_STRIDE - paper.MIRROR_PAD
            y = top * paper.OUTPUT_STRIDE - paper.MIRROR_PAD
            window = frame.read(x, y, paper.WINDOW_SIZE, paper.WINDOW_SIZE)
            if window.mean() > paper.GLASS_MEAN_RGB + 15:
                continue
            tensor = torch.from_numpy(window.copy()).permute(2, 0, 1)[None].float()
            logits = mitosis_logit(network(tensor))[0].numpy()[: m_rows - top, : m_columns - left]
            rows, columns = np.nonzero(logits >= logit(floor))
            m_xy = np.stack([columns + left, rows + top], axis=1).astype(np.int32)
            parts.append(Cells(m_xy, logits[rows, columns]))
    return place(Cells.joined(parts), frame)


def _suppression(rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def cloud(count: int) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.float64]]:
        return rng.uniform(0, 100 * count**0.5, (count, 2)), rng.normal(size=count)

    small, large = cloud(5_000), cloud(1_000_000)
    times = _interleaved(
        rounds,
        loop=lambda: greedy_loop(*small, paper.NMS_RADIUS),
        ours=lambda: suppress(*small, paper.NMS_RADIUS),
        million=lambda: suppress(*large, paper.NMS_RADIUS),
    )
    return {
        "nms_loop_over_ours_5k": round(times["loop"] / times["ours"], 1),
        "nms_seconds_1m": round(times["million"], 2),
    }


def greedy_loop(
    xy: np.typing.NDArray[np.float64], logits: np.typing.NDArray[np.float64], radius: float
) -> np.typing.NDArray[np.intp]:
    """Greedy suppression, the slow and obvious way."""
    kept: list[int] = []
    for index in np.argsort(-logits):
        if not kept or np.hypot(*(xy[kept] - xy[index]).T).min() > radius:
            kept.append(int(index))
    return np.array(kept, dtype=np.intp)


def _augmentation(rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    stain = lab_statistics([image])
    hpf = Hpf("h", "c", image, points([(500, 500)]), points(), paper.WORKING_MPP, stain, "s")
    sets = SampleSets([Sample(hpf, 500, 500)], sample_bg_rand(hpf, rng), stains=[stain])
    plan = Plan(augmentation=Augmentation())
    seconds = _interleaved(rounds, batch=lambda: compose_batch(sets, plan, 0))["batch"]
    return {"augmented_patches_per_second": round(paper.BATCH_SIZE / seconds)}


def _interleaved(rounds: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """Median seconds of each call, taken in turns after one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: float(np.median(values)) for name, values in seconds.items()}
