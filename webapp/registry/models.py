"""Model versions: weights with their card. One is active; every run keeps the one that it was made with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models

from detector.model.card import Metrics, Reliability, SourceSummary

TRAINED_HERE = "trainings/"  # begins the path of weights that were trained here


@dataclass(frozen=True)
class MeasuredSource:
    """What a card says of one source of data. new: what was measured has learnt from no slide of it."""

    name: str
    metrics: Metrics
    f1_at_half: float | None
    new: bool
    reliability: Reliability


@dataclass(frozen=True)
class Measured:
    """Metrics of a card on held-out cases, over all and by source.

    before: F1 at 0.5 before calibration on labelled cases. by_course: measured with the same training without these
    cases, which the version itself has learnt from. left_out: plan of the networks of the same recipe, each without
    one laboratory, by which the new ones among the sources were measured; "" without such.
    """

    metrics: Metrics
    f1_at_half: float | None
    held_out: list[SourceSummary]
    before: float | None
    by_course: bool
    by_source: list[MeasuredSource]
    left_out: str = ""


class ModelVersion(models.Model):
    """Weights with their model card."""

    class State(models.TextChoices):
        CANDIDATE = "candidate", "candidate"
        ACTIVE = "active", "active"
        RETIRED = "retired", "retired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State.choices, default=State.CANDIDATE)
    path = models.CharField(max_length=500, help_text="The .safetensors file in the folder of models, or trainings/.")
    sha256 = models.CharField(max_length=64, unique=True)
    card = models.JSONField(default=dict, help_text="Recipe, data, metrics: the JSON beside the weights.")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=models.Q(state="active"), name="one_active_version")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def f1_at_half(self) -> float | None:
        """F1 at confidence 0.5 on the held-out cases of its card."""
        value: float | None = self.card.get("metrics", {}).get("f1_at_0.5")
        return value

    @property
    def measured(self) -> Measured | None:
        """What its card measures on held-out cases; None where it has learnt from all cases there were."""
        metrics, calibration = self.card.get("metrics"), self.card.get("calibration") or {}
        if not metrics:
            return None
        course = self.card.get("measured_by")
        known = {part["source"] for part in (course or self.card).get("data") or []}
        reliability = calibration.get("reliability") or {}
        sources = [
            MeasuredSource(name, one, one.get("f1_at_0.5"), name not in known, reliability.get(name) or [])
            for name, one in (self.card.get("metrics_by_source") or {}).items()
        ]
        left_out = self.card.get("left_out") or {}
        for name, one in (left_out.get("metrics_by_source") or {}).items():
            sources.append(MeasuredSource(name, one, one.get("f1_at_0.5"), True, []))
        held_out = self.card.get("held_out") or []
        before = calibration.get("f1_at_0.5_before")
        plan = left_out.get("plan") or ""
        return Measured(metrics, metrics.get("f1_at_0.5"), held_out, before, bool(course), sources, plan)

    @property
    def file(self) -> Path:
        """The weights: shipped ones lie in the folder of models, those trained here beside their training."""
        if self.path.startswith(TRAINED_HERE):
            return Path(settings.TRAINING_DIR) / self.path.removeprefix(TRAINED_HERE)
        return Path(settings.MODEL_DIR) / self.path


class Promotion(models.Model):
    """A person made a version the active one. Never changed, never deleted."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    replaced = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()

    class Meta:
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.version} on {self.at:%Y-%m-%d}"
