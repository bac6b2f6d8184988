"""What detectors say about a slide. A run is one model version with one set of parameters over one slide."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models

from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from webapp.slides.models import Slide, Viewer, visible


class RunQuerySet(models.QuerySet["Run"]):
    """Runs."""

    def visible_to(self, user: Viewer) -> Self:
        """Those over slides of the person's studies."""
        return visible(self, user, "slide__case__study")


class Run(models.Model):
    """The stamp on a set of candidates: everything that is needed to get the same ones again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="runs")
    job = models.OneToOneField(Job, on_delete=models.SET_NULL, null=True, related_name="run")
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="runs")
    model_sha256 = models.CharField(max_length=64)
    parameters = models.JSONField(help_text="Every parameter of the detection.")
    mpp_x = models.FloatField()
    mpp_y = models.FloatField()
    code_version = models.CharField(max_length=100)
    device = models.CharField(max_length=100)
    precision = models.CharField(max_length=10)
    windows_total = models.PositiveIntegerField()
    windows_skipped = models.PositiveIntegerField()
    candidate_count = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.model} on {self.slide}"


class Candidate(models.Model):
    """A detection above the storage floor. x, y: level-0 px of the slide. score: 0..1."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="candidates")
    x = models.FloatField()
    y = models.FloatField()
    score = models.FloatField()

    class Meta:
        ordering = ["-score", "y", "x"]
        indexes = [models.Index(fields=["run", "-score", "y", "x"]), models.Index(fields=["run", "x", "y"])]

    def __str__(self) -> str:
        return f"({self.x:.0f}, {self.y:.0f}) {self.score:.2f}"
