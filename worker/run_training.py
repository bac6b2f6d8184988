"""A training: what was frozen is read, learnt from, and registered; a killed one goes on from its checkpoint."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import cast

from detector.detection.detect import Cancelled
from detector.training.augment import Augmentation
from detector.training.plan import Plan, override, read_plan, scaled
from detector.training.train import CHECKPOINT, TrainingReport, train_final_model
from webapp.jobs.models import Job
from webapp.jobs.services import JobStopped
from webapp.jobs.states import State
from webapp.jobs.stored import ShardFacts
from webapp.registry.services import version_weights
from webapp.retraining.models import TrainingRun
from webapp.retraining.trainings import training_finish, training_report
from webapp.retraining.types import CurveRow, PlanChoice
from worker import weights
from worker.retry_database import retry_database
from worker.shard import ClaimedShard
from worker.training_data import read_manifest

_SAY_SECONDS = 2.0
_KEPT = {"loss", "bg_hard", "max_f1", "f1_at_0.5", "recall", "precision"}  # of a report, in the curve
_VARIATIONS = [part.name for part in fields(Augmentation)]


def run_training(shard: ClaimedShard) -> None:
    """Train to the end of the plan. Where the job is stopped a checkpoint is left, from which a retry goes on."""
    training = TrainingRun.objects.select_related("job", "parent").get(job=shard.job)
    plan = plan_of(training.plan)
    device = training.plan["device"] if training.plan["device"] != "auto" else weights.DEVICE
    shard.begin(ShardFacts(device=device, precision=weights.PRECISION), total=plan.iterations)
    train, validation, mined = read_manifest(training.manifest)
    goes_on = (training.folder / CHECKPOINT).exists()
    reporter = _Reporter(shard, training, plan)
    reporter.say("Goes on from its last checkpoint." if goes_on else f"Begins: {plan.iterations:,} iterations.")
    try:
        train_final_model(
            train, validation, mined, plan, training.folder,
            parent=version_weights(version=training.parent) if training.parent else None,
            resume=True, device=device, precision=weights.PRECISION, report=reporter,
        )  # fmt: skip
    except Cancelled as stop:
        raise JobStopped("stopped; a checkpoint is kept") from stop
    reporter.say("Done; the weights are a candidate now.")
    shard.complete(lambda: training_finish(training=training))


def plan_of(choice: PlanChoice) -> Plan:
    """The detector's plan for what a person chose (`webapp.retraining.plans`). Raises PlanError naming the field."""
    plan = override(read_plan(choice["base"]), choice["changes"], where="the plan")
    plan = replace(plan, seed=choice["seed"], fg_lab_per_fg_wsi=(choice["ratio"][0], choice["ratio"][1]))
    if choice["iterations"] is not None:
        plan = scaled(plan, choice["iterations"])
    if not choice["augment"]:
        plan = override(plan, {"augmentation": dict.fromkeys(_VARIATIONS, 0.0)}, where="the plan")
    return plan


class _Reporter:
    """Takes the reports of a training: renews the claim, keeps the curve, and learns that the job was stopped."""

    def __init__(self, shard: ClaimedShard, training: TrainingRun, plan: Plan) -> None:
        self.shard, self.training, self.plan = shard, training, plan
        self.rows: list[CurveRow] = list(training.curve)
        self.said = 0.0

    def __call__(self, state: TrainingReport) -> None:
        iteration = state["iteration"]
        self._add(state)
        measured = "max_f1" in state
        sentence = ""
        if "bg_hard_new" in state:
            sentence = f"Iteration {iteration:,}: {state['bg_hard_new']} new hard negatives, {state['bg_hard']} in all."
        elif measured:
            sentence = f"Iteration {iteration:,}: max F1 {state['max_f1']:.3f} on the validation cases."
        if sentence or time.monotonic() - self.said > _SAY_SECONDS:
            self.say(sentence)

    def say(self, sentence: str) -> None:
        """Keep the curve, and a line of the log. Raises Cancelled where somebody stopped the job, so that a checkpoint
        is left, and JobStopped where another worker has it, which alone may write."""
        self.said = time.monotonic()
        done = self.rows[-1]["iteration"] if self.rows else 0
        try:
            retry_database(lambda: self.shard.write_progress(done))
        except JobStopped as stop:
            if Job.objects.filter(pk=self.shard.job.pk, state=State.CANCELLED).exists():
                raise Cancelled from stop
            raise
        retry_database(lambda: training_report(training=self.training, rows=self.rows, said=sentence))

    def _add(self, state: TrainingReport) -> None:
        """A row for each iteration heard of; what a checkpoint made undone comes again."""
        iteration = state["iteration"]
        rate = self.plan.learning_rate_at(max(0, iteration - 1))
        before = self.rows[-1] if self.rows and self.rows[-1]["iteration"] == iteration else {}
        heard = {key: value for key, value in state.items() if key in _KEPT}
        row = cast(CurveRow, {"iteration": iteration, "learning_rate": rate, **before, **heard})
        self.rows = [*(one for one in self.rows if one["iteration"] < iteration), row]
