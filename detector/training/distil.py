"""A coarse network is taught what the fine one says (distillation, Hinton et al. 2015), for the cascade.

No label is needed: both see the same pixels, varied as in training, and the coarse one learns the score that the fine
one gives to every cell. A part of the pixels lies around what the fine one could take for a mitosis, the others
anywhere. As in training, what it is wrong about is mined on the way: where it points at nothing, and what it hardly
points at. How far it is then to be trusted is measured on whole frames (`trust`, `compare`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from detector import paper
from detector.detection.cascade_recall import Known, compare, known, least_pointing, trust
from detector.detection.detect import Cancelled
from detector.detection.scorer import Scorer, logit
from detector.errors import DataSetError
from detector.frames import Case
from detector.model.card import describe
from detector.model.checkpoint import load_coarse, load_weights, save_weights
from detector.model.network import ResNet12, folded, mitosis_logit
from detector.training.batches import SampleSets, compose_batch
from detector.training.patch_sets import Sample, fg_lab, sample_bg_rand
from detector.training.plan import Plan
from detector.training.state import Learner, fingerprint, mean_loss, whole_iteration
from detector.training.train import Report
from detector.version import code_version

_CROP = paper.PATCH_SIZE + 7 * paper.OUTPUT_STRIDE  # px: 8 x 8 cells of the map
_KEPT = 150  # lessons that may be learnt from again; about 3 MB each
_MISSED, _FALSE = "missed", "false"  # in the checkpoint
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
    """Write the network in `weights` with a coarse one before it to `out`; its card says what the cascade keeps.

    train: what the coarse one learns from; where the weights have one of the plan's widths, it learns on. held_out:
    whole frames on which it is only measured. Labels are not looked at. An interruption leaves a checkpoint beside
    `out`, from which `resume` goes on. Raises DataSetError where there is no whole frame to learn from.
    """
    out.parent.mkdir(parents=True, exist_ok=True)  # better known before the work than after it
    fine, card = load_weights(weights)
    before = load_coarse(weights)
    if before is not None and before.widths != plan.widths:
        before = None
    torch.manual_seed(plan.seed)
    learner = Learner(
        before or ResNet12(plan.widths, padded=fine.padded),
        plan,
        checkpoint=out.with_suffix(".checkpoint"),
        inputs=fingerprint(plan, (hpf for case in train for hpf in case.hpfs), card["sha256"]),
    )
    frames = known(fine, train)
    patches = fg_lab([hpf for case in train for hpf in case.hpfs if not hpf.exhaustive])
    coarse = Teaching(fine, frames, patches, learner, report).run(resume=resume)
    trust(coarse, frames)
    scorer = Scorer(fine, coarse=coarse, device="cpu", precision="fp32")
    card["coarse"] = {
        "code_version": code_version(),
        "plan": plan.as_dict(),
        "before": card.get("coarse", {}).get("plan") if before is not None else None,
        "data": describe(train),
        "held_out": describe(held_out),
        "kept": {"data": asdict(compare(scorer, frames)), "held_out": asdict(compare(scorer, known(fine, held_out)))},
    }
    save_weights(fine, out, card, coarse=coarse)
    learner.checkpoint.unlink()
    return out


class Teaching:
    """The course of a coarse network.

    A batch has `foreground_per_batch` crops of 8 x 8 cells around what the fine network could take for a mitosis (those
    of each source of data as often), and `background_per_batch` from anywhere. From the first of the plan's
    `hard_negatives_at` on, half of the first in whole frames are what the coarse one hardly points at, and `hard_share`
    of the others is where it points at nothing. As the fine network takes most of the time, a batch is learnt from
    `paper.COARSE_LOOKS` times on average.
    """

    def __init__(
        self, fine: ResNet12, frames: Sequence[Known], patches: Sequence[Sample], learner: Learner, report: Report
    ) -> None:
        rng = np.random.default_rng(learner.plan.seed)
        self.fine = folded(fine).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frames, self.learner, self.plan, self.report = frames, learner, learner.plan, report
        found = [frame.detections(frame.logits, paper.COARSE_SUSPECT).xy for frame in frames]
        self.patches = patches
        self.suspects = self._samples([(i, *xy) for i, some in enumerate(found) for xy in some.tolist()])
        self.anywhere = [sample for frame in frames for sample in sample_bg_rand(frame.hpf, rng)]
        if not (self.suspects or patches) or not self.anywhere:
            raise DataSetError("there is no whole frame in which the network finds anything, so nothing to learn from")
        self.mined: dict[str, list[Place]] = {_MISSED: [], _FALSE: []}

    def run(self, *, resume: bool = False) -> ResNet12:
        """Teach to the end of the plan. An interruption, or `Cancelled` raised by `report`, leaves a checkpoint."""
        learner = self.learner
        if resume and learner.checkpoint.exists():
            self.mined = {key: [(int(i), x, y) for i, x, y in rows.tolist()] for key, rows in learner.restore().items()}
        self._begin_lessons()
        began, first, losses = time.monotonic(), learner.iteration, []
        try:
            while learner.iteration < self.plan.iterations:
                if learner.iteration in self.plan.hard_negatives_at:
                    self._mine()
                with whole_iteration():
                    losses.append(self._learn())
                if learner.iteration % 25 == 0:
                    rate = (learner.iteration - first) / (time.monotonic() - began)
                    loss = mean_loss(losses[-25:], learner.iteration)
                    self.report({"iteration": learner.iteration, "loss": loss, "per_second": rate})
                if learner.iteration % self.plan.checkpoint_every == 0:
                    self._save()
        except (KeyboardInterrupt, Cancelled):
            self._save()
            raise
        self._save()
        return learner.learnt.eval()

    def _learn(self) -> Tensor:
        crops, taught = self._lesson(self._next_lesson())
        x = crops.float().contiguous()  # (n, 3, 184, 184)
        logits = mitosis_logit(self.learner.network.train()(x))  # (n, 8, 8)
        weight = (taught - torch.sigmoid(logits)).abs().detach()  # what is known already would drown the rest
        loss = binary_cross_entropy_with_logits(logits, taught, weight)
        self.learner.learn(loss)
        return loss.detach()

    def _next_lesson(self) -> int:
        """A new one, or one of the last that were made with the sets as they are."""
        now = self.learner.iteration
        first = max((at for at in self.plan.hard_negatives_at if at <= now), default=0)
        newest, again = divmod(now - first, paper.COARSE_LOOKS)
        if again:
            newest -= int(np.random.default_rng([self.plan.seed, now, 1]).integers(min(_KEPT, newest + 1)))
        return first + newest

    def _begin_lessons(self) -> None:
        """Put together the sets that lessons are made from; the lessons of other sets are forgotten."""
        missed, false = (self._samples(self.mined[key]) for key in (_MISSED, _FALSE))
        often = len(self.suspects) // max(1, len(missed))
        suspects = [*self.patches, *self.suspects, *(often * missed)]
        stains = list(dict.fromkeys(sample.hpf.stain for sample in [*suspects, *self.anywhere]))
        sets = SampleSets(suspects, self.anywhere, bg_hard=false, stains=stains)

        @lru_cache(maxsize=2 * _KEPT)
        def lesson(number: int) -> tuple[Tensor, Tensor]:  # (n, 3, 184, 184), RGB in 0..255; (n, 8, 8), scores
            crops = torch.from_numpy(compose_batch(sets, self.plan, number, size=_CROP)[0]).permute(0, 3, 1, 2)
            with torch.no_grad():
                return crops, torch.sigmoid(mitosis_logit(self.fine(crops.float())) + paper.COARSE_RAISED)

        self._lesson = lesson

    def _mine(self) -> None:
        """Find out what the coarse network of now is wrong about on the whole frames."""
        looks = Scorer(self.learner.learnt, device="cpu", precision="fp32")
        pointing = [looks.logits(frame.image()) for frame in self.frames]
        spots = [frame.spots(logits) for frame, logits in zip(self.frames, pointing, strict=True)]
        points_from, nothing = least_pointing(spots), logit(paper.STORED_SCORE_FLOOR)
        heights = np.concatenate([some.coarse for some in spots])
        hardly = np.quantile(heights, paper.COARSE_MISSED) if len(heights) else -np.inf
        missed: list[Place] = []
        false: list[Place] = []
        for i, (frame, logits, some) in enumerate(zip(self.frames, pointing, spots, strict=True)):
            missed += [(i, *xy) for xy in some.xy[some.coarse <= hardly].tolist()]
            above = np.where(frame.logits < nothing, logits - points_from, -np.inf)
            false += [(i, *xy) for xy in frame.detections(above, paper.SCORE_THRESHOLD).xy.tolist()]
        self.mined = {_MISSED: missed, _FALSE: false}
        self._begin_lessons()
        self.report({"iteration": self.learner.iteration, _MISSED: len(missed), _FALSE: len(false)})

    def _samples(self, places: Sequence[Place]) -> list[Sample]:
        return [Sample(self.frames[i].hpf, x, y) for i, x, y in places]

    def _save(self) -> None:
        self.learner.save(
            **{key: torch.tensor(rows, dtype=torch.float64).reshape(-1, 3) for key, rows in self.mined.items()}
        )
