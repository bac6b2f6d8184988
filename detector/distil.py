"""A coarse network is taught what the fine one says (distillation, Hinton et al. 2015), for the cascade.

No label is needed: both see the same pixels, varied as in training, and the coarse one learns the score that the fine
one gives to every cell. A part of the pixels lies around what the fine one could take for a mitosis, the others
anywhere. How far the coarse one is then to be trusted is measured on whole frames (`trust`, `compare`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from detector import paper
from detector.batches import SampleSets, compose_batch, stream
from detector.checkpoint import load_coarse, load_weights, save_weights
from detector.detect import Scorer, detect
from detector.errors import DataSetError
from detector.hpf import Case, Hpf
from detector.network import ResNet12, folded, mitosis_logit
from detector.patch_sets import Sample, fg_lab, sample_bg_rand
from detector.plans import Plan
from detector.pointing import compare, trust
from detector.train import Report, describe
from detector.version import code_version

_CROP = paper.PATCH_SIZE + 7 * paper.OUTPUT_STRIDE  # px: 8 x 8 cells of the map


def distil(
    weights: Path, train: Sequence[Case], held_out: Sequence[Case], plan: Plan, out: Path, *, report: Report
) -> Path:
    """Write the network in `weights` with a coarse one before it to `out`; its card says what the cascade keeps.

    train: what the coarse one learns from; where the weights have one of the plan's widths, it learns on. held_out:
    whole frames on which it is only measured. Labels are not looked at. Raises DataSetError where there is no whole
    frame to learn from.
    """
    fine, card = load_weights(weights)
    hpfs = [hpf for case in train for hpf in case.hpfs]
    before = load_coarse(weights)
    if before is not None and before.widths != plan.widths:
        before = None
    coarse = teach(fine, hpfs, plan, before=before, report=report)
    trust(coarse, fine, train)
    scorer = Scorer(fine, coarse=coarse, device="cpu", precision="fp32")
    card["coarse"] = {
        "code_version": code_version(),
        "plan": plan.as_dict(),
        "before": card.get("coarse", {}).get("plan") if before is not None else None,
        "data": describe(train),
        "held_out": describe(held_out),
        "kept": {"data": asdict(compare(scorer, train)), "held_out": asdict(compare(scorer, held_out))},
    }
    save_weights(fine, out, card, coarse=coarse)
    return out


def teach(
    fine: ResNet12,
    hpfs: Sequence[Hpf],
    plan: Plan,
    *,
    before: ResNet12 | None = None,
    report: Report = lambda _: None,
) -> ResNet12:
    """A network of the plan's widths, or `before`, that has learnt the scores of the fine one on varied pixels.

    A batch has `foreground_per_batch` crops of 8 x 8 cells around what the fine one could take for a mitosis (those of
    each source of data as often), and `background_per_batch` from anywhere. Raises DataSetError where there are none.
    """
    sets = _sample_sets(fine, hpfs, plan.seed)
    torch.manual_seed(plan.seed)
    coarse = (before or ResNet12(plan.widths, padded=fine.padded)).train()
    teacher = folded(fine).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
