"""Plain baselines: the paper's recipe, greedy suppression in a loop, a straightforward training loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detector import paper
from detector.detection.detect import Cells, Detections, place
from detector.detection.scorer import Scorer, logit
from detector.detection.windows import WINDOW_CELLS, bare_blocks, glass_colour, glass_windows_of, map_size
from detector.model.network import ResNet12, mitosis_logit
from detector.slide import Frame, Slide, WorkingFrame, open_slide
from detector.slide.reader import OpenSlideFile
from detector.training.batches import SampleSets, compose_batch
from detector.training.plan import Plan


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
            logits = mitosis_logit(network(as_tensor(window)))[0].numpy()[: m_rows - top, : m_columns - left]
            rows, columns = np.nonzero(logits >= logit(floor))
            m_xy = np.stack([columns + left, rows + top], axis=1).astype(np.int32)
            parts.append(Cells(m_xy, logits[rows, columns]))
    return place(Cells.concatenate(parts), frame)


def greedy_loop(xy: NDArray[np.float64], logits: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression in a loop: indices kept, best first. xy: (n, 2), in the unit of radius."""
    kept: list[int] = []
    for index in np.argsort(-logits):
        if not kept or np.hypot(*(xy[kept] - xy[index]).T).min() > radius:
            kept.append(int(index))
    return np.array(kept, dtype=np.intp)


def plain_training(sets: SampleSets, plan: Plan, device: str) -> None:
    """Adam on cross-entropy in a plain loop: fp32, no prefetching."""
    where = Scorer(ResNet12(), device=device, precision="fp32").device
    network = ResNet12().to(where).train()
    optimizer = torch.optim.Adam(network.parameters())
    for iteration in range(plan.iterations):
        patches, labels, _ = compose_batch(sets, plan, iteration)
        x = torch.from_numpy(patches).permute(0, 3, 1, 2).contiguous().float().to(where)
        loss = torch.nn.functional.cross_entropy(network(x).flatten(1), torch.from_numpy(labels).to(where))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def glass_at_full_resolution(frame: WorkingFrame) -> NDArray[np.bool_]:
    """`glass_windows` by the same rule, from every pixel."""
    rows, columns = (-(-side // paper.GLASS_BLOCK) for side in reversed(frame.size))
    means = [frame.exact_block_means(paper.GLASS_BLOCK, slice(row, row + 1), slice(0, columns)) for row in range(rows)]
    colour = glass_colour(frame.block_means(paper.GLASS_BLOCK))
    return glass_windows_of(bare_blocks(np.concatenate(means), colour), map_size(frame))


def by_openslide_alone(path: Path) -> Slide:
    """The slide without the direct reading of JPEG tiles."""
    slide = open_slide(path)
    if isinstance(slide, OpenSlideFile):
        slide.jpeg = (None,) * len(slide.level_sizes)
    return slide


def as_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """An image [h, w, 3] as a batch (1, 3, h, w)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
