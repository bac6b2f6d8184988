"""Runs with their candidates; verdicts on figures and regions drawn by people.

A run is one model version with one set of parameters on one slide; its candidates never move. Verdicts and regions
are histories: nothing in them is overwritten.
"""

from __future__ import annotations

import uuid
from typing import Self

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from webapp.slides.models import Slide, Viewer, visible


class RunQuerySet(models.QuerySet["Run"]):
    """Runs."""

    def visible_to(self, user: Viewer) -> Self:
        """Those over slides of the person's studies."""
        return visible(self, user, "slide__case__study")


class Run(models.Model):
    """A detection on a slide, with everything needed to reproduce its candidates."""

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

    @property
    def doubts(self) -> list[str]:
        """Why counts of it are less certain, one sentence each; none where its stamp does not say what is known."""
        said = {
            "stain_known": "The stain of this slide lies outside the training range: the count is less certain.",
            "scanner_known": "The scanner of this slide lies outside the training range, and the version is not "
            "calibrated for it: the count is less certain.",
        }
        return [sentence for key, sentence in said.items() if self.parameters.get(key) is False]


class Candidate(models.Model):
    """A candidate above the stored floor. x, y: level-0 px of the slide. score: the detector's confidence, 0..1."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="candidates")
    x = models.FloatField()
    y = models.FloatField()
    score = models.FloatField()
    evaluable = models.BooleanField(
        default=True, db_default=True, help_text="Whether it lies on the evaluable area of its slide, as that is now."
    )
    atypical = models.FloatField(null=True, help_text="How likely it is atypical, 0..1; null where that was not asked.")
    figure = models.ForeignKey(
        "Figure",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="candidates",
        help_text="Where a person has judged this place.",
    )

    class Meta:
        ordering = ["-score", "y", "x"]
        indexes = [models.Index(fields=["run", "-score", "y", "x"]), models.Index(fields=["run", "x", "y"])]

    def __str__(self) -> str:
        return f"({self.x:.0f}, {self.y:.0f}) {self.score:.2f}"


class PackedCandidates(models.Model):
    """All candidates of a run in the packed form of the viewer (`selectors.pack`), made once."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="packed")
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"packed candidates of {self.run_id}"


class Label(models.TextChoices):
    """A verdict's label."""

    MITOTIC = "mitotic", "mitotic figure"
    NON_MITOTIC = "non_mitotic", "not a mitotic figure"
    UNSURE = "unsure", "unsure"
    OPEN = "", "not judged"  # the last verdict was taken back


class FigureQuerySet(models.QuerySet["Figure"]):
    """Figures."""

    def visible_to(self, user: Viewer) -> Self:
        """Those on slides of the person's studies."""
        return visible(self, user, "slide__case__study")


class Figure(models.Model):
    """A judged place on a slide, with its current verdict. x, y: level-0 px.

    A figure belongs to the slide, not to a run: the candidates of every run at this place point to it, so that a
    new run finds the verdicts of the old ones. `version` counts its verdicts; whoever gives one says which version
    was seen, so that nobody overwrites a verdict unseen.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="figures")
    x = models.FloatField()
    y = models.FloatField()
    added = models.BooleanField(default=False, help_text="Found by a person, not by a detector.")
    screened = models.BooleanField(
        default=False, db_default=False, help_text="Added while the slide was screened field by field."
    )
    label = models.CharField(max_length=12, choices=Label.choices, blank=True)
    atypical = models.BooleanField(null=True, help_text="Of a mitotic figure, what its reader said; null: nothing.")
    disputed = models.BooleanField(
        default=False, db_default=False, help_text="Blinded readers disagreed, and nobody has settled it."
    )
    version = models.PositiveIntegerField(default=0)

    objects = FigureQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["slide", "label"])]

    def __str__(self) -> str:
        return f"({self.x:.0f}, {self.y:.0f}) {self.get_label_display()}"


class Verdict(models.Model):
    """One person's verdict on a figure. Never changed: a new verdict is a new row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    figure = models.ForeignKey(Figure, on_delete=models.CASCADE, related_name="verdicts")
    version = models.PositiveIntegerField()
    label = models.CharField(max_length=12, choices=Label.choices, blank=True)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    atypical = models.BooleanField(null=True)
    at = models.DateTimeField(default=timezone.now)
    together = models.BooleanField(
        default=False, db_default=False, help_text="Settled by the readers who disagreed, together."
    )

    class Meta:
        ordering = ["version"]
        constraints = [models.UniqueConstraint(fields=["figure", "version"], name="one_verdict_per_version")]

    def __str__(self) -> str:
        return f"{self.get_label_display()} by {self.by}"


class RegionQuerySet(models.QuerySet["Region"]):
    """Regions."""

    def visible_to(self, user: Viewer) -> Self:
        """Those on slides of the person's studies."""
        return visible(self, user, "slide__case__study")

    def current(self) -> Self:
        """Neither replaced nor removed."""
        return self.filter(ended_at=None)


class Region(models.Model):
    """A polygon that a person drew. Never changed: an edit ends one row and adds another.

    polygon: [[x, y], ...] level-0 px, at least three corners, not closed. Figures are counted inside tumour regions
    where there are any, and never inside exclusions. Tissue and glass correct where tissue was measured: what was
    missed, and what is none; glass holds where both are drawn.
    """

    class Kind(models.TextChoices):
        TUMOUR = "tumour", "tumour"
        EXCLUSION = "exclusion", "exclusion"
        TISSUE = "tissue", "tissue"
        GLASS = "glass", "glass"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="regions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    polygon = models.JSONField()
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    replaces = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replaced_by"
    )
    ended_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RegionQuerySet.as_manager()

    class Meta:
        ordering = ["at"]
        indexes = [models.Index(fields=["slide", "ended_at"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} region of {self.slide}"
