"""A coarse network is taught what the fine one says (distillation, Hinton et al. 2015), for the cascade.

No label is needed: both see the same pixels, varied as in training, and the coarse one learns the score that the fine
one gives to every cell. A part of the pixels lies around what the fine one could take for a mitosis, the others
anywhere. How far the coarse one is then to be trusted is measured on whole frames (`trust`, `compare`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from detector import paper
from detector.batches import SampleSets, compose_batch, stream
from detector.checkpoint import load_weights, save_weights
from detector.detect import Cells, Detections, Scorer, detect, logit, place
from detector.errors import DataSetError
from detector.hpf import Case, Hpf, Rgb
from detector.network import ResNet12, folded, mitosis_logit
from detector.patch_sets import Sample, fg_lab, sample_bg_rand
from detector.plans import Plan
from detector.train import Report, describe
from detector.version import code_version
from detector.windows import Rectangle, map_size

_CROP = paper.PATCH_SIZE + 7 * paper.OUTPUT_STRIDE  # px: 8 x 8 cells of the map


@dataclass(frozen=True)
class Comparison:
    """What a cascade finds on some frames, against the fine network on every cell.

    at_half, at_floor: detections of the fine network from 0.5 up, and from the stored score up. lost_*: those of them
    that the cascade has not, at the same place with the same score. added: what only the cascade has. looked_at: share
    of the cells that it scored.
    """

    frames: int
    at_half: int
    lost_at_half: int
    at_floor: int
    lost_at_floor: int
    added: int
    looked_at: float


def distil(
    weights: Path, train: Sequence[Case], held_out: Sequence[Case], plan: Plan, out: Path, *, report: Report
) -> Path:
    """Write the network in `weights` with a coarse one before it to `out`; its card says what the cascade keeps.

    train: what the coarse one learns from. held_out: whole frames on which it is only measured. Labels are not looked
    at. Raises DataSetError where there is no whole frame to learn from.
    """
    fine, card = load_weights(weights)
    coarse = teach(fine, [hpf for case in train for hpf in case.hpfs], plan, report=report)
    trust(coarse, fine, train)
    scorer = Scorer(fine, coarse=coarse, device="cpu", precision="fp32")
    card["coarse"] = {
        "code_version": code_version(),
        "plan": plan.as_dict(),
        "data": describe(train),
        "held_out": describe(held_out),
        "kept": {"data": asdict(compare(scorer, train)), "held_out": asdict(compare(scorer, held_out))},
    }
    save_weights(fine, out, card, coarse=coarse)
    return out


def teach(fine: ResNet12, hpfs: Sequence[Hpf], plan: Plan, *, report: Report = lambda _: None) -> ResNet12:
    """A network of the plan's widths that has learnt the scores of the fine one on varied pixels of these frames.

    A batch has `foreground_per_batch` crops of 8 x 8 cells around what the fine one could take for a mitosis (those of
    each source of data as often), and `background_per_batch` from anywhere. Raises DataSetError where there are none.
    """
    sets = _sample_sets(fine, hpfs, plan.seed)
    torch.manual_seed(plan.seed)
    coarse, teacher = ResNet12(plan.widths).train(), folded(fine).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    moving = get_ema_multi_avg_fn(plan.average)  # type: ignore[no-untyped-call]
    average = AveragedModel(coarse, multi_avg_fn=moving, use_buffers=True)
    optimizer = torch.optim.AdamW(coarse.parameters(), weight_decay=plan.weight_decay)
    began, losses = time.monotonic(), []
    with closing(stream(lambda i: compose_batch(sets, plan, i, size=_CROP)[0], 0, plan.iterations)) as batches:
        for iteration, crops in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate(iteration)
            x = torch.from_numpy(crops).permute(0, 3, 1, 2).float()  # (n, 3, 184, 184)
            with torch.no_grad():
                taught = torch.sigmoid(mitosis_logit(teacher(x)) + paper.COARSE_RAISED)  # (n, 8, 8)
            loss = binary_cross_entropy_with_logits(mitosis_logit(coarse(x.contiguous())), taught)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average.update_parameters(coarse)
            losses.append(float(loss.detach()))
            if (iteration + 1) % 25 == 0:
                rate = (iteration + 1) / (time.monotonic() - began)
                report({"iteration": iteration + 1, "loss": float(np.mean(losses[-25:])), "per_second": rate})
    network = average.module
    assert isinstance(network, ResNet12)
    return network.eval()


def trust(coarse: ResNet12, fine: ResNet12, cases: Sequence[Case]) -> None:
    """Shift the logits of `coarse` so that from 0 up it points at all that the fine network detects at 0.5 here.

    On the whole frames of these cases, with `paper.COARSE_MARGIN` to spare for frames that are not among them.
    """
    looks, knows = (Scorer(network, device="cpu", precision="fp32") for network in (coarse, fine))
    reach = 2 * paper.COARSE_REACH + 1
    lowest = []
    for hpf in _whole_frames(cases):
        image = _under_the_map(hpf)
        logits = knows.logits(image)
        peaks = (logits >= logit(paper.SCORE_THRESHOLD)) & (logits == ndimage.maximum_filter(logits, reach))
        lowest += ndimage.maximum_filter(looks.logits(image), reach)[peaks].tolist()
    bias = coarse.classifier.bias
    assert bias is not None
    with torch.no_grad():
        bias[1] += paper.COARSE_MARGIN - min(lowest, default=0.0)


def compare(scorer: Scorer, cases: Sequence[Case]) -> Comparison:
    """What the cascade of a scorer finds on the whole frames of some cases, against its fine network alone."""
    count, cells, looked_at = np.zeros(5, dtype=int), 0, 0
    hpfs = _whole_frames(cases)
    for hpf in hpfs:
        image = _under_the_map(hpf)
        every, some = scorer.logits(image), scorer.logits_from(image, paper.STORED_SCORE_FLOOR)
        alone, cascade = (_detections(logits, hpf) for logits in (every, some))
        half, lost = alone.scores >= paper.SCORE_THRESHOLD, ~_among(alone, cascade)
        count += [half.sum(), (half & lost).sum(), len(half), lost.sum(), (~_among(cascade, alone)).sum()]
        cells, looked_at = cells + every.size, looked_at + int(np.isfinite(some).sum())
    at_half, lost_at_half, at_floor, lost_at_floor, added = count.tolist()
    share = round(looked_at / max(cells, 1), 4)
    return Comparison(len(hpfs), at_half, lost_at_half, at_floor, lost_at_floor, added, share)


def _sample_sets(fine: ResNet12, hpfs: Sequence[Hpf], seed: int) -> SampleSets:
    scorer, rng = Scorer(fine, device="cpu", precision="fp32"), np.random.default_rng(seed)
    suspects = fg_lab([hpf for hpf in hpfs if not hpf.exhaustive])
    whole = [hpf for hpf in hpfs if hpf.exhaustive]
    for hpf in whole:
        found = detect(scorer, hpf.frame(), min_score=paper.COARSE_SUSPECT)
        suspects += [Sample(hpf, x, y) for x, y in found.xy]
    anywhere = [sample for hpf in whole for sample in sample_bg_rand(hpf, rng)]
    if not suspects or not anywhere:
        raise DataSetError("there is no whole frame in which the network finds anything, so nothing to learn from")
    return SampleSets(suspects, anywhere, stains=list(dict.fromkeys(hpf.stain for hpf in hpfs)))


def _whole_frames(cases: Sequence[Case]) -> list[Hpf]:
    return [hpf for case in cases for hpf in case.hpfs if hpf.exhaustive]


def _under_the_map(hpf: Hpf) -> Rgb:
    """The pixels of a frame under all cells of its map, the mirror padding included."""
    frame = hpf.frame()
    return frame.read(*Rectangle(0, 0, *map_size(frame), windows=1).region)


def _detections(logits: NDArray[np.float32], hpf: Hpf) -> Detections:
    """Those from the stored score up."""
    rows, columns = np.nonzero(logits >= logit(paper.STORED_SCORE_FLOOR))
    return place(Cells(np.stack([columns, rows], axis=1).astype(np.int32), logits[rows, columns]), hpf.frame())


def _among(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """Which of some detections are among the others too: within a tenth of a pixel and a thousandth of the score."""
    rows, other_rows = (np.column_stack([found.xy * 0.01, found.scores]) for found in (some, others))
    apart = np.abs(rows[:, None] - other_rows[None]).max(axis=2, initial=0)  # (some, others)
    return np.asarray((apart < 1e-3).any(axis=1))
