"""The network that tells atypical mitoses from normal ones: ours, the paper knows one kind of mitosis.

A ResNet12 again, begun with the detector's weights and asked another question. A batch holds as many atypical mitoses
as normal ones, so that 0.5 is the middle between missing atypical ones and calling normal ones so, which balanced
accuracy asks for (the measure of AMi-Br, Bertram et al. 2025). Measured by cross-validation over the cases: each
mitosis by a network that has not seen its slide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch.nn.functional import binary_cross_entropy_with_logits

from detector import paper
from detector.detection.atypical import atypical_probabilities
from detector.detection.scorer import Scorer, has_bf16
from detector.errors import DataSetError
from detector.frames import Case, LabelledFrame, cut_plain
from detector.model.card import AtypicalCard, AtypicalMetrics, data_summary
from detector.model.checkpoint import load_beside, load_weights, save_weights
from detector.model.network import ResNet12, mitosis_logit
from detector.split import rotated_cases, split_by_case
from detector.training.augment import augment_patch, draw_variations
from detector.training.batches import prefetch
from detector.training.plan import Plan, read_plan
from detector.training.state import TrainingState, fingerprints, mean_loss
from detector.version import code_version

Report = Callable[[str], None]
_SAY_EVERY = 100  # iterations
_BOOTSTRAP_SEED = 1


@dataclass(frozen=True)
class Mitosis:
    """A mitosis of which is known whether it is atypical. x, y: px of the frame."""

    frame: LabelledFrame
    x: float
    y: float
    atypical: bool


def mitoses_of(cases: Sequence[Case]) -> list[Mitosis]:
    """The mitoses at the centres of patches whose kind is known."""
    return [
        Mitosis(frame, frame.image.shape[1] / 2, frame.image.shape[0] / 2, frame.atypical)
        for case in cases
        for frame in case.frames
        if frame.atypical is not None
    ]


def train_atypical(
    weights: Path, cases: Sequence[Case], plan: Plan, out: Path, *, folds: int, report: Report = lambda _: None
) -> Path:
    """Write `weights` with a network for atypical mitoses to `out`; its card says what that finds on held-out cases.

    folds: of the cross-validation, each a training of its own, before the last one, which learns from all cases. A
    training that is interrupted goes on from its checkpoint beside `out`. Raises DataSetError where there are too few.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    fine, card = load_weights(weights)
    names = [case.name for case in cases]
    scored: list[tuple[Mitosis, float]] = []
    for fold in range(1, folds + 1):
        train, held_out = split_by_case(cases, rotated_cases(names, fold, 1 / folds))
        report(f"fold {fold} of {folds}: {len(held_out)} cases held out")
        network = train_network(fine, mitoses_of(train), plan, out.with_suffix(f".{fold}.checkpoint"), report)
        tested = mitoses_of(held_out)
        scored += list(zip(tested, probabilities(network, tested).tolist(), strict=True))
    report("all cases")
    network = train_network(fine, mitoses_of(cases), plan, out.with_suffix(".all.checkpoint"), report)
    measured: AtypicalCard = {
        "code_version": code_version(),
        "plan": plan.as_dict(),
        "data": data_summary(cases),
        "folds": folds,
        "metrics_by_source": metrics_by_source(scored),
    }
    card["atypical"] = measured
    beside = load_beside(weights)
    beside["atypical"] = network
    save_weights(fine, out, card, **beside)
    for checkpoint in out.parent.glob(f"{out.stem}.*.checkpoint"):
        checkpoint.unlink()
    return out


def refined(
    network: ResNet12, train: Sequence[Case], out: Path, report: Report = lambda _: None
) -> tuple[ResNet12, int]:
    """The network after learning from the mitoses of known kind among `train` as well, and how many these were.

    The same network and 0 where there are fewer than `paper.ATYPICAL_FIGURES`, or `paper.ATYPICAL_FEWEST` of a kind.
    out: folder of the checkpoint.
    """
    known = mitoses_of(train)
    atypical = sum(one.atypical for one in known)
    if len(known) < paper.ATYPICAL_FIGURES or min(atypical, len(known) - atypical) < paper.ATYPICAL_FEWEST:
        return network, 0
    plan = read_plan("atypical-refine")
    return train_network(network, known, plan, out / "atypical.checkpoint", report, anew=False), len(known)


def probabilities(network: ResNet12, mitoses: Sequence[Mitosis]) -> NDArray[np.float64]:
    """How likely each is atypical, (n,) in 0..1."""
    patches = [cut_plain(one.frame.image, one.x, one.y) for one in mitoses]
    return atypical_probabilities(Scorer(network, device="cpu"), patches)


def train_network(
    start: ResNet12, mitoses: Sequence[Mitosis], plan: Plan, checkpoint: Path, report: Report, *, anew: bool = True
) -> ResNet12:
    """The network that has learnt to tell these mitoses apart, in evaluation mode; goes on from its checkpoint.

    anew: it begins with the features of `start` alone, as that answers another question.
    """
    atypical, normal = ([one for one in mitoses if one.atypical is kind] for kind in (True, False))
    if not atypical or not normal:
        raise DataSetError(
            "atypical and normal mitoses are needed to learn the difference; AMi-Br and AtNorM have both"
        )
    network = ResNet12(start.widths, padded=start.padded)
    network.load_state_dict(start.state_dict())
    torch.manual_seed(plan.seed)
    if anew:
        assert network.classifier.bias is not None
        torch.nn.init.normal_(network.classifier.weight, std=paper.HEAD_DEVIATION)
        torch.nn.init.zeros_(network.classifier.bias)
    plan = replace(plan, widths=network.widths, padded=network.padded)
    frames = [one.frame for one in mitoses]
    labels = str([one.atypical for one in mitoses])
    state = TrainingState(network, plan, checkpoint=checkpoint, inputs=fingerprints(plan, frames, labels))
    if checkpoint.exists():
        state.restore()
    stains = list(dict.fromkeys(frame.stain for frame in frames))
    half = plan.foreground_per_batch

    def batch(iteration: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng([plan.seed, iteration])
        drawn = [some[int(rng.integers(len(some)))] for some in (atypical, normal) for _ in range(half)]
        xy = np.array([(one.x, one.y) for one in drawn])
        own = [one.frame.stain for one in drawn]
        variations = draw_variations(xy, own, stains, plan.augmentation, rng)
        return np.stack([augment_patch(one.frame.image, variations, i) for i, one in enumerate(drawn)])

    wanted, bf16 = torch.tensor([1.0] * half + [0.0] * half), has_bf16(torch.device("cpu"))
    losses, began, first = [], time.monotonic(), state.iteration
    for patches in prefetch(batch, state.iteration, plan.iterations):
        x = torch.from_numpy(patches).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = mitosis_logit(state.network.train()(x)).flatten()
        loss = binary_cross_entropy_with_logits(logits.float(), wanted)
        state.step(loss)
        losses.append(loss.detach())
        if state.iteration % _SAY_EVERY == 0:
            rate = (state.iteration - first) / (time.monotonic() - began)
            mean = mean_loss(losses[-_SAY_EVERY:], state.iteration)
            report(f"iteration {state.iteration:,}: loss {mean:.3f}, {rate:.1f} a second")
        if state.iteration % plan.checkpoint_every == 0:
            state.save()
    state.save()
    return state.ema.eval()


def metrics_by_source(scored: Sequence[tuple[Mitosis, float]]) -> dict[str, AtypicalMetrics]:
    """The figures of each source with mitoses of both kinds, and of all together under "all"."""
    sources = sorted({one.frame.source for one, _ in scored})
    by_source = {source: [pair for pair in scored if pair[0].frame.source == source] for source in sources}
    both = {name: some for name, some in by_source.items() if len({one.atypical for one, _ in some}) == 2}
    return {source: _metrics(some) for source, some in {**both, "all": list(scored)}.items()}


def _metrics(scored: Sequence[tuple[Mitosis, float]]) -> AtypicalMetrics:
    atypical = np.array([one.atypical for one, _ in scored], dtype=bool)
    scores = np.array([score for _, score in scored])
    # Cases are drawn anew for the interval; of a source whose cases are not known, its patches.
    names = [one.frame.case for one, _ in scored]
    groups = (
        np.unique(names, return_inverse=True)[1] if len(set(names)) >= paper.FEWEST_CASES else np.arange(len(names))
    )
    sensitivity, specificity = _shares(scores, atypical)
    return {
        "mitoses": len(scored),
        "atypical": int(atypical.sum()),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "balanced_accuracy_interval": _interval(scores, atypical, groups),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "roc_auc": roc_auc(scores, atypical),
    }


def _shares(scores: NDArray[np.float64], atypical: NDArray[np.bool_]) -> tuple[float, float]:
    """Sensitivity and specificity at 0.5."""
    called = scores >= paper.ATYPICAL_THRESHOLD
    return float(called[atypical].mean()), float((~called)[~atypical].mean())


def _interval(scores: NDArray[np.float64], atypical: NDArray[np.bool_], groups: NDArray[np.intp]) -> list[float] | None:
    """95 % of the balanced accuracy over groups drawn anew; None where a draw may lack one kind too often."""
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    drawn = []
    for _ in range(paper.BOOTSTRAP_DRAWS):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        if 0 < atypical[rows].sum() < len(rows):
            drawn.append(sum(_shares(scores[rows], atypical[rows])) / 2)
    if len(drawn) < paper.BOOTSTRAP_DRAWS // 2:
        return None
    return [float(end) for end in np.percentile(drawn, (2.5, 97.5))]


def roc_auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores above a negative, ties counting a half (Mann and Whitney 1947)."""
    ranks = rankdata(scores)
    of, others = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - of * (of + 1) / 2) / (of * others))
