"""Training state: model, EMA, optimizer, step, hard negatives; and the checkpoint that holds it.

Batches depend on seed and iteration alone, so a resumed training ends at the weights of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import math
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from detector.errors import PlanError, WeightsError
from detector.frames import LabelledFrame
from detector.model.network import ResNet12
from detector.training.plan import Plan


class TrainingState:
    """A network, the EMA of its weights, its optimizer, and the number of iterations done.

    checkpoint: the file of `save` and `restore`. inputs: `fingerprints` of what must be the same to resume.
    """

    def __init__(self, network: ResNet12, plan: Plan, *, checkpoint: Path, inputs: Sequence[str]) -> None:
        self.network, self.plan, self.checkpoint, self.inputs = network, plan, checkpoint, inputs
        moving = get_ema_multi_avg_fn(plan.ema_decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(network, multi_avg_fn=moving, use_buffers=True)
        self._optimizer = torch.optim.AdamW(network.parameters(), weight_decay=plan.weight_decay)
        self.iteration = 0

    @property
    def ema(self) -> ResNet12:
        """The network with averaged weights where the plan has an `ema_decay`, else the network itself."""
        network = self._average.module if self.plan.ema_decay else self.network
        assert isinstance(network, ResNet12)
        return network

    def step(self, loss: Tensor) -> None:
        """One iteration: an AdamW step on a loss (0-dimensional) of the network, then the EMA."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.learning_rate_at(self.iteration)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._average.update_parameters(self.network)
        self.iteration += 1

    def save(self, **more: Tensor) -> None:
        """Write the checkpoint atomically. more: tensors that `restore` returns."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self._average.state_dict().items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        tensors |= more
        partial = self.checkpoint.with_name(f"{self.checkpoint.name}.partial")
        contiguous = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
        save_file(contiguous, partial, metadata={"iteration": str(self.iteration), "inputs": self.inputs[0]})
        partial.replace(self.checkpoint)

    def restore(self) -> dict[str, Tensor]:
        """Load the checkpoint; returns the tensors saved besides.

        Raises WeightsError for a damaged one, PlanError where it is of other inputs.
        """
        path = self.checkpoint
        try:
            with safe_open(path, framework="pt") as file:
                metadata, names = file.metadata() or {}, file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise WeightsError(f"{path} is damaged ({error}); delete it to train from the beginning") from error
        if metadata.get("inputs") not in self.inputs:
            raise PlanError(
                f"{path} was made with another plan or other data; "
                "resume with the same ones, or train into another folder"
            )
        more: dict[str, Tensor] = {}
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            group, _, name = key.partition(".")
            (groups[group] if name else more)[name or group] = tensor
        self.network.load_state_dict(groups["network"])
        self._average.load_state_dict(groups["average"])
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in groups["optimizer"].items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self.iteration = int(metadata["iteration"])
        return more


def fingerprints(plan: Plan, frames: Iterable[LabelledFrame], weights: str | None) -> list[str]:
    """SHA-256 of what must be the same to resume from a checkpoint: plan, frames with labels, and initial weights.

    weights: SHA-256 of the weights that the training begins with, or None. `calibrate` is left out, as it changes
    nothing before the end. The second is the one of 0.2.0, which left out the look-alikes; read for one version.
    """
    hyperparameters = {key: value for key, value in plan.as_0_2_0().items() if key != "calibrate"}
    known = list(frames)
    labels = [[frame.name, frame.mitoses.tolist(), frame.stain.mean, frame.stain.deviation] for frame in known]
    look_alikes = [frame.non_mitoses.tolist() for frame in known]
    return [_sha256(hyperparameters, labels, weights, look_alikes), _sha256(hyperparameters, labels, weights)]


def _sha256(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def mean_loss(losses: Sequence[Tensor], iteration: int) -> float:
    """The mean of some losses, 0-dimensional each. iteration: for the PlanError that is raised where it diverged."""
    loss = float(torch.stack(list(losses)).mean())
    if not math.isfinite(loss):
        raise PlanError(f"the loss is {loss} at iteration {iteration}; take a smaller learning rate")
    return loss


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Defers SIGINT to the end of the block: half an iteration in a checkpoint could not be resumed."""
    if threading.current_thread() is not threading.main_thread():  # where Ctrl-C does not arrive
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    if held:
        signal.raise_signal(signal.SIGINT)
