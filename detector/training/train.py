"""Training (3.1): the initial model from labelled HPFs alone, the final model from HPFs and mined slides.

Both run the same course: Adam on cross-entropy, background from BG-Rand, then hard-negative mining on the training
HPFs and background from BG-Hard. A checkpoint every few hundred iterations holds weights, optimizer and BG-Hard;
as batches depend on seed and iteration alone, a resumed training ends at the weights of an uninterrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Required, TypedDict

import numpy as np
import torch
from torch import nn

from detector import paper
from detector.detection.cascade_recall import measure_recall, score_frames, set_recall_threshold
from detector.detection.detect import Cancelled, find_peaks
from detector.detection.scorer import Scorer, has_bf16, parse_device
from detector.errors import DataSetError, PlanError
from detector.evaluation.evaluate import evaluate, measure_held_out, summary
from detector.frames import Case, LabelledFrame, Points, cases_of
from detector.model.card import Card, CoarseCard, ParentCard, StainRange, data_summary, read_card, training_cases
from detector.model.checkpoint import load_atypical, load_coarse, load_figure_scale, load_weights, save_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12
from detector.model.stains import stain_range, united
from detector.training.atypical import refined
from detector.training.augment_gpu import FramesOnDevice
from detector.training.batches import SampleSets, compose_batch, draw_batch, prefetch
from detector.training.calibrate import calibrate
from detector.training.curve import Curve
from detector.training.patch_sets import Sample, bg_context, bg_hard, fg_lab, fg_wsi, sample_bg_rand
from detector.training.plan import Plan, plan_of_card
from detector.training.state import TrainingState, defer_interrupt, fingerprints, mean_loss
from detector.version import code_version

TrainingReport = TypedDict(
    "TrainingReport",
    {
        "iteration": Required[int],
        "loss": float,
        "per_second": float,
        "waiting": float,  # share of the time
        "learning_rate": float,
        "bg_hard": int,
        "bg_hard_new": int,
        "max_f1": float,
        "f1_at_0.5": float,
        "recall": float,
        "precision": float,
        "missed": int,  # of a distillation, as is the next
        "false": int,
    },
    total=False,
)
Report = Callable[[TrainingReport], None]

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
_BG_HARD = "bg_hard"  # in the checkpoint


def train_initial_model(
    train: Sequence[Case], validation: Sequence[Case], plan: Plan, out: Path, **options: Any
) -> Path:
    """ "For the initial model, which makes use of only the labeled data": BG-Rand and FG-Lab, then BG-Hard.

    Writes `weights.safetensors` with its card, `curve.csv`, `curve.png` and a checkpoint into `out`; returns the path
    of the weights. options: see `_Trainer`. Raises DataSetError where there is nothing to learn from.
    """
    return _Trainer(train, validation, (), plan, out, **options).run()


def train_final_model(
    train: Sequence[Case],
    validation: Sequence[Case],
    mined: Sequence[LabelledFrame],
    plan: Plan,
    out: Path,
    **options: Any,
) -> Path:
    """ "For the final model, which utilizes both the labeled and unlabeled data": FG-Lab and FG-WSI in a fixed ratio.

    mined: patches of 128 px or more, each with a mined mitosis at its centre. From scratch, as the paper describes
    its schedule anew for this model. Otherwise as `train_initial_model`.
    """
    return _Trainer(train, validation, fg_wsi(mined), plan, out, **options).run()


def is_trained(out: Path, train: Sequence[Case], plan: Plan, parent: Path | None) -> bool:
    """Whether `out` holds the finished weights of this training, by their card: plan, data and parent.

    Raises PlanError where it holds those of another training.
    """
    if not (out / WEIGHTS).exists():
        return False
    card, begun = read_card(out / WEIGHTS), None
    if parent is not None:
        network, of_parent = load_weights(parent)
        plan, begun = _with_network_shape(plan, network), of_parent["sha256"]
    there = plan_of_card(card.get("plan") or {}).as_dict()
    wanted = [plan.as_dict(), data_summary(train), begun]
    if [there, card.get("data"), (card.get("parent") or {}).get("sha256")] != wanted:
        raise PlanError(f"{out} holds weights of another plan, other data or another parent; choose another --out")
    return True


def _parent_card(card: Card) -> ParentCard:
    """What the card of a training keeps of the card of its parent."""
    return {
        "name": card.get("name"),
        "sha256": card["sha256"],
        "iterations": card.get("iterations"),
        "data": card.get("data"),
        "bg_hard": card.get("bg_hard"),
        "plan": card.get("plan"),
        "held_out": card.get("held_out"),
        "metrics": card.get("metrics"),
        "calibration": card.get("calibration"),
    }


def _with_network_shape(plan: Plan, network: ResNet12) -> Plan:
    """The plan of a training that begins with a network, which keeps its widths and its padding."""
    return replace(plan, widths=network.widths, padded=network.padded)


@dataclass
class _Trainer:
    train: Sequence[Case]
    validation: Sequence[Case]
    mined: Sequence[Sample]
    plan: Plan
    out: Path
    parent: Path | None = None  # weights to begin with instead of random ones
    resume: bool = False
    device: str = "auto"
    precision: str = "auto"
    parent_peaks: dict[tuple[object, ...], Points] | None = None  # of the parent by frame, for other trainings too
    compile: bool = False  # up to twice as fast on a CPU; needs a C++ compiler at run time
    report: Report = field(default=lambda _: None)

    def __post_init__(self) -> None:
        self.device = str(parse_device(self.device))
        if self.precision == "auto":
            self.precision = "bf16" if has_bf16(torch.device(self.device)) else "fp32"
        self.frames = [frame for case in self.train for frame in case.frames]
        self.sets = self._sample_sets()
        self.on_device: FramesOnDevice | None = None
        if torch.device(self.device).type == "cuda":
            mined = [sample.frame for sample in self.mined]
            self.on_device = FramesOnDevice([*self.frames, *mined], self.device)
        torch.manual_seed(self.plan.seed)
        self.network = ResNet12(self.plan.widths, padded=self.plan.padded)
        self.parent_card: ParentCard | None = None
        self.coarse_card: CoarseCard = {}
        self.figures = FigureScale()
        self.cases_before: set[str] = set()  # which the parent was trained on
        self.stains_before: StainRange | None = None
        if self.parent is not None:
            self.network, card = load_weights(self.parent)
            self.plan, self.figures = _with_network_shape(self.plan, self.network), load_figure_scale(self.parent)
            self.cases_before = training_cases(card)
            self.stains_before = card.get("stains")
            self.parent_card = _parent_card(card)
            self.coarse_card = card.get("coarse", {})
        # Without bf16 a CPU learns 1.3 times as fast with the channels first; everything else with the channels last.
        channels_first = self.device == "cpu" and self.precision == "fp32"
        self.layout = torch.contiguous_format if channels_first else torch.channels_last
        self.network.to(device=self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.forward = torch.compile(self.network) if self.compile else self.network
        self.state = TrainingState(
            self.network, self.plan, checkpoint=self.out / CHECKPOINT, inputs=self._fingerprints()
        )
        self.hard: list[tuple[int, float, float]] = []  # BG-Hard as (index into frames, x, y)

    @property
    def iteration(self) -> int:
        """Number of iterations done."""
        return self.state.iteration

    def run(self) -> Path:
        """Train to the end of the plan. An interruption, or `Cancelled` raised by `report`, leaves a checkpoint."""
        if not self.resume and any((self.out / name).exists() for name in (CHECKPOINT, WEIGHTS)):
            raise PlanError(f"{self.out} holds a training already; go on with it (--resume), or choose another folder")
        self.out.mkdir(parents=True, exist_ok=True)
        if self.resume and self.state.checkpoint.exists():
            self.hard = [(int(i), x, y) for i, x, y in self.state.restore()[_BG_HARD].tolist()]
        self.curve = Curve(self.out, begin_at=self.iteration)
        try:
            while self.iteration < self.plan.iterations:
                self._run_to(self._next_stop())
        except (KeyboardInterrupt, Cancelled):
            self._save()
            raise
        finally:
            self.curve.draw()
        self._save()
        return self._finish()

    def _sample_sets(self) -> SampleSets:
        labelled = fg_lab(self.frames)
        rng = np.random.default_rng([self.plan.seed, 0xB6])
        background = [s for frame in self.frames if frame.exhaustive for s in sample_bg_rand(frame, rng)]
        frames = [*self.frames, *(sample.frame for sample in self.mined)]
        context = [sample for frame in frames for sample in bg_context(frame, rng)]
        if not labelled:
            raise DataSetError("there is no labelled mitosis to learn from in these cases")
        if not background:
            raise DataSetError("there is no exhaustively labelled frame to take background from in these cases")
        stains = list(dict.fromkeys(frame.stain for frame in frames))
        return SampleSets(labelled, background, context, (), self.mined, stains)

    def _next_stop(self) -> int:
        plan = self.plan
        periodic = [n * (self.iteration // n + 1) for n in (plan.evaluate_every, plan.checkpoint_every)]
        mining = [at for at in plan.hard_negatives_at if at > self.iteration]
        return min([plan.iterations, *periodic, *mining])

    def _run_to(self, stop: int) -> None:
        if self.iteration in self.plan.hard_negatives_at:
            self._mine_hard_negatives()
        sets = SampleSets(
            self.sets.fg_lab,
            self.sets.bg_rand,
            self.sets.bg_context,
            [Sample(self.frames[i], x, y) for i, x, y in self.hard],
            self.sets.fg_wsi,
            self.sets.stains,
        )
        started, first, losses, waited = time.monotonic(), self.iteration, [], 0.0
        self.network.train()
        with closing(prefetch(lambda iteration: self._batch(sets, iteration), self.iteration, stop)) as batches:
            while self.iteration < stop:
                asked = time.monotonic()
                patches, labels, priors = next(batches)
                waited += time.monotonic() - asked
                with defer_interrupt():
                    losses.append(self._step(patches, labels, priors))
                if self.iteration % 25 == 0 or self.iteration == stop:
                    seconds = time.monotonic() - started
                    loss, rate = mean_loss(losses[-25:], self.iteration), (self.iteration - first) / seconds
                    share = waited / seconds
                    self.report({"iteration": self.iteration, "loss": loss, "per_second": rate, "waiting": share})
        row: TrainingReport = {
            "iteration": self.iteration,
            "loss": round(float(torch.stack(losses).mean()), 5),
            "learning_rate": self.plan.learning_rate_at(self.iteration - 1),
            "bg_hard": len(self.hard),
        }
        if self.validation and (self.iteration % self.plan.evaluate_every == 0 or stop == self.plan.iterations):
            measured = summary(evaluate(self._scorer(), self.validation))
            row["max_f1"], row["f1_at_0.5"] = measured["max_f1"], measured["f1_at_0.5"]
            row["recall"], row["precision"] = measured["recall"], measured["precision"]
            self.report(row)
        self.curve.add(row)
        if self.iteration % self.plan.checkpoint_every == 0:
            self._save()

    def _batch(self, sets: SampleSets, iteration: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Patches (n, 128, 128, 3), RGB in 0..255, labels (n,) and priors (n,) of an iteration; on a GPU made there."""
        if self.on_device is None:
            patches, labels, priors = map(torch.from_numpy, compose_batch(sets, self.plan, iteration))
            return patches, labels, priors
        batch = draw_batch(sets, self.plan, iteration)
        frames = [sample.frame for sample in batch.samples]
        labels, priors = torch.from_numpy(batch.labels), torch.from_numpy(batch.priors)
        return self.on_device.augment_batch(frames, batch.variations), labels.to(self.device), priors.to(self.device)

    def _step(self, patches: torch.Tensor, labels: torch.Tensor, priors: torch.Tensor) -> torch.Tensor:
        x = patches.to(self.device).permute(0, 3, 1, 2).float()  # (n, 3, 128, 128)
        x = x.contiguous(memory_format=self.layout)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.forward(x).flatten(1)  # (n, 2)
        logits = logits.float() + nn.functional.pad(priors.to(self.device)[:, None], (1, 0))  # of the mitosis alone
        loss = nn.functional.cross_entropy(logits, labels.to(self.device))
        self.state.step(loss)
        return loss.detach()

    def _scorer(self) -> Scorer:
        return Scorer(self.state.ema, figures=self.figures, device=self.device, precision=self.precision)

    def _mine_hard_negatives(self) -> None:
        """Add the false positives of the present model on the training HPFs to BG-Hard, each place once.

        Places that the labels call look-alikes are hard negatives whatever the model says of them (ours).
        """
        scorer = self._scorer()
        before = len(self.hard)
        cell = paper.OUTPUT_STRIDE
        known = {(i, round(x / cell), round(y / cell)) for i, x, y in self.hard}
        for index, frame in enumerate(self.frames):
            if not frame.exhaustive and not frame.rim_known:
                continue
            for sample in bg_hard(frame, np.concatenate([self._peaks(scorer, frame), frame.non_mitoses])):
                place = (index, round(sample.x / cell), round(sample.y / cell))
                if place not in known:
                    known.add(place)
                    self.hard.append((index, sample.x, sample.y))
        self.report({"iteration": self.iteration, "bg_hard": len(self.hard), "bg_hard_new": len(self.hard) - before})

    def _peaks(self, scorer: Scorer, frame: LabelledFrame) -> Points:
        """The network's peaks on a frame; those of the parent are found once for all trainings that share them."""
        known = self.parent_peaks if self.parent and not self.iteration else None
        key = (frame.source, frame.case, frame.name, self.plan.hard_min_score)
        if known and key in known:
            return known[key]
        radius = paper.um(paper.HARD_NMS_RADIUS)
        xy = find_peaks(scorer, frame.array_frame(), min_score=self.plan.hard_min_score, radius=radius).xy
        if known is not None:
            known[key] = xy
        return xy

    def _save(self) -> None:
        self.state.save(**{_BG_HARD: torch.tensor(self.hard, dtype=torch.float64).reshape(-1, 3)})

    def _fingerprints(self) -> list[str]:
        frames = [*self.frames, *(sample.frame for sample in self.mined)]
        return fingerprints(self.plan, frames, self.parent_card["sha256"] if self.parent_card else None)

    def _stains(self) -> StainRange | None:
        """The range trained on, the parent's included; None where the parent's card has none: it is not known then."""
        if self.parent_card is not None and self.stains_before is None:
            return None
        mined = cases_of(sample.frame for sample in self.mined)
        return united(self.stains_before, stain_range([*self.train, *mined]))

    def _finish(self) -> Path:
        """Write weights and card. Shifts of scanners that the parent has are dropped: the network is another now."""
        path = self.out / WEIGHTS
        network, figures, calibration = self.state.ema.eval(), self.figures, None
        if self.plan.calibrate and self.validation:
            figures, calibration = calibrate(network, self.validation, figures, device=self.device)
        card: Card = {
            "name": self.out.name,
            "code_version": code_version(),
            "plan": self.plan.as_dict(),
            "iterations": self.iteration,
            "precision": self.precision,
            "data": data_summary(self.train),
            "cases_learnt": sorted({case.name for case in self.train} | self.cases_before),
            "bg_hard": len(self.hard),
            "fg_wsi": len(self.mined),
            "calibration": calibration,
            "stains": self._stains(),
        }
        scorer = Scorer(network, figures=figures, device=self.device, precision="fp32")
        measure_held_out(card, scorer, self.validation)
        if self.parent_card is not None:
            card["parent"] = self.parent_card
        coarse = load_coarse(self.parent) if self.parent is not None else None
        if coarse is not None:  # kept as it is; only its threshold is set anew for this network
            outputs = score_frames(network, self.train, figures)
            set_recall_threshold(coarse, outputs)
            scorer = Scorer(network, coarse=coarse, figures=figures, device="cpu", precision="fp32")
            if self.validation:
                kept = {"held_out": asdict(measure_recall(scorer, score_frames(network, self.validation, figures)))}
            else:
                kept = {"data": asdict(measure_recall(scorer, outputs))}
            card["coarse"] = {**self.coarse_card, "of_parent": True, "kept": kept}
        atypical = load_atypical(self.parent) if self.parent is not None else None
        if atypical is not None and self.parent is not None:
            atypical, known = refined(atypical, self.train, self.out)
            card["atypical"] = {**read_card(self.parent)["atypical"], "of_parent": True, "refined_on": known}
        save_weights(network, path, card, coarse=coarse, figures=figures, atypical=atypical)
        return path
