"""Knowledge distillation (Hinton et al. 2015) of the fine network into the coarse first stage of a cascade.

No label is needed: both networks see the same augmented crops, and the coarse one is fitted to the score that the fine
one gives to every map cell (binary cross-entropy, weighted by the error). Part of the crops lie around candidates of
the fine network, the others anywhere. As in training, hard examples are mined on the way: candidates that the coarse
network scores lowest, and background that it passes. Its threshold, and what the cascade then loses, are measured on
whole frames (`set_recall_threshold`, `measure_recall`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from detector import paper
from detector.detection.cascade_recall import (
    TeacherOutput,
    measure_recall,
    recall_threshold,
    score_frames,
    set_recall_threshold,
)
from detector.detection.detect import Cancelled
from detector.detection.scorer import Scorer, logit
from detector.errors import DataSetError
from detector.frames import Case
from detector.model.card import data_summary
from detector.model.checkpoint import load_beside, load_weights, save_weights
from detector.model.network import ResNet12, folded, mitosis_logit
from detector.training.batches import SampleSets, compose_batch
from detector.training.patch_sets import Sample, fg_lab, sample_bg_rand
from detector.training.plan import Plan
from detector.training.state import TrainingState, defer_interrupt, fingerprints, mean_loss
from detector.training.train import Report
from detector.version import code_version

_CROP = paper.PATCH_SIZE + 7 * paper.OUTPUT_STRIDE  # px: 8 x 8 cells of the map
_KEPT = 150  # distillation batches that may be used again; about 3 MB each
_MISSED: Final = "missed"  # in the checkpoint, and in reports
_FALSE: Final = "false"
Place = tuple[int, float, float]  # index of a whole frame, x, y


def distil(
    weights: Path,
    train: Sequence[Case],
    held_out: Sequence[Case],
    plan: Plan,
    out: Path,
    *,
    resume: bool = False,
    report: Report,
) -> Path:
    """Write the network of `weights` and a coarse one for its cascade to `out`; the card holds the cascade's recall.

    train: frames and patches to distil on; labels are not used. A coarse network of the plan's widths in `weights` is
    trained further, otherwise a new one begins. held_out: frames for measuring only. An interruption leaves a
    checkpoint beside `out`, from which `resume` goes on. Shifts of scanners are kept. Raises DataSetError without a
    frame that has candidates.
    """
    out.parent.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
    fine, card = load_weights(weights)
    beside = load_beside(weights)
    before, figures = beside["coarse"], beside["figures"]
    if before is not None and before.widths != plan.widths:
        before = None
    torch.manual_seed(plan.seed)
    state = TrainingState(
        before or ResNet12(plan.widths, padded=fine.padded),
        plan,
        checkpoint=out.with_suffix(".checkpoint"),
        inputs=fingerprints(plan, (frame for case in train for frame in case.frames), card["sha256"]),
    )
    outputs = score_frames(fine, train, figures)
    patches = fg_lab([frame for case in train for frame in case.frames if not frame.exhaustive])
    coarse = Distiller(fine, outputs, patches, state, report).run(resume=resume)
    set_recall_threshold(coarse, outputs)
    scorer = Scorer(fine, coarse=coarse, figures=figures, device="cpu", precision="fp32")
    card["coarse"] = {
        "code_version": code_version(),
        "plan": plan.as_dict(),
        "before": (card.get("coarse") or {}).get("plan") if before is not None else None,
        "data": data_summary(train),
        "held_out": data_summary(held_out),
        "kept": {
            "data": asdict(measure_recall(scorer, outputs)),
            "held_out": asdict(measure_recall(scorer, score_frames(fine, held_out, figures))),
        },
    }
    beside["coarse"] = coarse
    save_weights(fine, out, card, **beside)
    state.checkpoint.unlink()
    return out


class Distiller:
    """Distils the fine network into the coarse one of a training state.

    A batch has `foreground_per_batch` crops of 8 x 8 map cells around candidates of the fine network (each source of
    data by the square root of its size), and `background_per_batch` from anywhere. From the first of the plan's
    `hard_negatives_at` on, half of the candidates in whole frames are those that the coarse network scores lowest, and
    `hard_share` of the background is what it wrongly passes. As the fine network takes most of the time, a batch is
    used `paper.COARSE_LOOKS` times on average.
    """

    def __init__(
        self,
        fine: ResNet12,
        outputs: Sequence[TeacherOutput],
        patches: Sequence[Sample],
        state: TrainingState,
        report: Report,
    ) -> None:
        rng = np.random.default_rng(state.plan.seed)
        self.fine = folded(fine).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.outputs, self.state, self.plan, self.report = outputs, state, state.plan, report
        found = [output.detections(output.logits, paper.COARSE_SUSPECT).xy for output in outputs]
        self.patches = patches
        self.candidates = self._samples([(i, *xy) for i, some in enumerate(found) for xy in some.tolist()])
        self.background = [sample for output in outputs for sample in sample_bg_rand(output.frame, rng)]
        if not (self.candidates or patches) or not self.background:
            raise DataSetError("there is no whole frame in which the network finds anything, so nothing to learn from")
        self.hard: dict[str, list[Place]] = {_MISSED: [], _FALSE: []}

    def run(self, *, resume: bool = False) -> ResNet12:
        """Train to the end of the plan. An interruption, or `Cancelled` raised by `report`, leaves a checkpoint."""
        state = self.state
        if resume and state.checkpoint.exists():
            self.hard = {key: [(int(i), x, y) for i, x, y in rows.tolist()] for key, rows in state.restore().items()}
        self._begin_batches()
        began, first, losses = time.monotonic(), state.iteration, []
        try:
            while state.iteration < self.plan.iterations:
                if state.iteration in self.plan.hard_negatives_at:
                    self._mine()
                with defer_interrupt():
                    losses.append(self._step())
                if state.iteration % 25 == 0:
                    rate = (state.iteration - first) / (time.monotonic() - began)
                    loss = mean_loss(losses[-25:], state.iteration)
                    self.report({"iteration": state.iteration, "loss": loss, "per_second": rate})
                if state.iteration % self.plan.checkpoint_every == 0:
                    self._save()
        except (KeyboardInterrupt, Cancelled):
            self._save()
            raise
        self._save()
        return state.ema.eval()

    def _step(self) -> Tensor:
        crops, teacher = self._batch(self._batch_number())
        x = crops.float().contiguous()  # (n, 3, 184, 184)
        logits = mitosis_logit(self.state.network.train()(x))  # (n, 8, 8)
        weight = (teacher - torch.sigmoid(logits)).abs().detach()  # else the many easy cells would drown the rest
        loss = binary_cross_entropy_with_logits(logits, teacher, weight)
        self.state.step(loss)
        return loss.detach()

    def _batch_number(self) -> int:
        """Number of the next distillation batch: a new one, or one of the last that were made of the present sets."""
        now = self.state.iteration
        first = max((at for at in self.plan.hard_negatives_at if at <= now), default=0)
        newest, again = divmod(now - first, paper.COARSE_LOOKS)
        if again:
            newest -= int(np.random.default_rng([self.plan.seed, now, 1]).integers(min(_KEPT, newest + 1)))
        return first + newest

    def _begin_batches(self) -> None:
        """Put together the present sample sets; batches of earlier sets are dropped from the cache."""
        missed, false = (self._samples(self.hard[key]) for key in (_MISSED, _FALSE))
        repeats = len(self.candidates) // max(1, len(missed))
        candidates = [*self.patches, *self.candidates, *(repeats * missed)]
        stains = list(dict.fromkeys(sample.frame.stain for sample in [*candidates, *self.background]))
        sets = SampleSets(candidates, self.background, bg_hard=false, stains=stains)

        @lru_cache(maxsize=2 * _KEPT)
        def batch(number: int) -> tuple[Tensor, Tensor]:  # (n, 3, 184, 184), RGB in 0..255; (n, 8, 8), scores
            crops = torch.from_numpy(compose_batch(sets, self.plan, number, size=_CROP)[0]).permute(0, 3, 1, 2)
            with torch.no_grad():
                return crops, torch.sigmoid(mitosis_logit(self.fine(crops.float())) + paper.COARSE_RAISED)

        self._batch = batch

    def _mine(self) -> None:
        """Hard examples of the present coarse network on the whole frames: candidates missed, background passed."""
        scorer = Scorer(self.state.ema, device="cpu", precision="fp32")
        coarse = [scorer.logits(output.image()) for output in self.outputs]
        components = [output.components(logits) for output, logits in zip(self.outputs, coarse, strict=True)]
        threshold, floor = recall_threshold(components), logit(paper.PEAK_FLOOR)
        peaks = np.concatenate([some.coarse for some in components])
        lowest = np.quantile(peaks, paper.COARSE_MISSED) if len(peaks) else -np.inf
        missed: list[Place] = []
        false: list[Place] = []
        for i, (output, logits, some) in enumerate(zip(self.outputs, coarse, components, strict=True)):
            missed += [(i, *xy) for xy in some.xy[some.coarse <= lowest].tolist()]
            passed = np.where(output.logits < floor, logits - threshold, -np.inf)
            false += [(i, *xy) for xy in output.detections(passed, paper.SCORE_THRESHOLD).xy.tolist()]
        self.hard = {_MISSED: missed, _FALSE: false}
        self._begin_batches()
        self.report({"iteration": self.state.iteration, _MISSED: len(missed), _FALSE: len(false)})

    def _samples(self, places: Sequence[Place]) -> list[Sample]:
        return [Sample(self.outputs[i].frame, x, y) for i, x, y in places]

    def _save(self) -> None:
        self.state.save(
            **{key: torch.tensor(rows, dtype=torch.float64).reshape(-1, 3) for key, rows in self.hard.items()}
        )
