"""Retraining (Fig. 1 of the paper): labelled sets, locked test cases, mined samples, trainings, comparisons.

Verdicts and figures of slides are those of `webapp.annotations`; nothing of them is copied here. What a training
used is frozen in its manifest, from which provenance is read.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q

from webapp.annotations.models import Label
from webapp.core.names import NameField
from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.slides.models import Slide


class LabelledSet(models.Model):
    """Labelled frames from files, in any format that the detector reads. A worker reads them into `frames`.

    found: lines of text, what it read by source, and what it left out.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    sha256 = models.CharField(max_length=64, help_text="Over names and contents of all files.")
    found = models.JSONField(default=list)
    job = models.OneToOneField(Job, on_delete=models.SET_NULL, null=True, related_name="labelled_set")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return Path(settings.SET_DIR) / str(self.id)

    @property
    def is_removable(self) -> bool:
        """Whether nothing was read of it, and nothing will be unless somebody tries again."""
        return self.job is None or self.job.state in {State.FAILED, State.CANCELLED}


class LabelledFrame(models.Model):
    """One labelled frame. mitoses, non_mitoses: [[x, y], ...] px of the frame at `mpp`, in um/px.

    source: data set, laboratory or scanner, as far as the format says it. exhaustive: every mitosis of it is labelled.
    """

    labelled_set = models.ForeignKey(LabelledSet, on_delete=models.CASCADE, related_name="frames")
    name = models.CharField(max_length=255)
    case = NameField(max_length=200, db_index=True)
    source = models.CharField(max_length=100)
    mpp = models.FloatField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    mitoses = models.JSONField()
    non_mitoses = models.JSONField()
    exhaustive = models.BooleanField()

    class Meta:
        ordering = ["case", "name"]

    def __str__(self) -> str:
        return self.name


class LockedCase(models.Model):
    """A locked test case, by name: never trained on, whether from a labelled set or from slides of a study."""

    name = NameField(max_length=200, unique=True)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, help_text="First judgement on it; from then on it stays locked.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class MitosisFreeSlide(models.Model):
    """A slide that a person marked as mitosis-free: every detection on it is a false positive. Its case is locked."""

    slide = models.OneToOneField(Slide, on_delete=models.CASCADE, related_name="+")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slide__name"]

    def __str__(self) -> str:
        return str(self.slide)


class MiningRun(models.Model):
    """Mining of unlabelled slides by one model version (3.2)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="mining_run")
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="mining_runs")
    first_look = models.FloatField(help_text="Least score under the first transformation.")
    agreement = models.FloatField(help_text="Least score under every one of the eight.")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"Mining of {self.at:%Y-%m-%d %H:%M} by {self.model}"


class MinedSlide(models.Model):
    """A slide of a mining run. counters: what became of windows and candidates, null until it is done."""

    run = models.ForeignKey(MiningRun, on_delete=models.CASCADE, related_name="slides")
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="mined")
    index = models.PositiveIntegerField(help_text="Of the shard that does it.")
    counters = models.JSONField(null=True)
    seconds = models.FloatField(null=True)

    class Meta:
        ordering = ["index"]
        constraints = [models.UniqueConstraint(fields=["run", "index"], name="one_mined_slide_per_shard")]

    def __str__(self) -> str:
        return f"{self.slide} in {self.run}"


class MinedSample(models.Model):
    """A detection under all eight flips and rotations (FG-WSI). x, y: level-0 px. least: the lowest confidence.

    draw: a random number; a person judges the samples with the smallest ones to measure the precision.
    """

    class Rejected(models.TextChoices):
        NO = "", "not rejected"
        ONE = "one", "this one"
        SLIDE = "slide", "with its slide"
        SCORE = "score", "for its score"

    BY_RULE = (Rejected.SLIDE, Rejected.SCORE)

    run = models.ForeignKey(MiningRun, on_delete=models.CASCADE, related_name="samples")
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="mined_samples")
    x = models.FloatField()
    y = models.FloatField()
    scores = models.JSONField()
    least = models.FloatField()
    draw = models.FloatField()
    verdict = models.CharField(max_length=12, choices=Label.choices, blank=True)
    verdict_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    verdict_at = models.DateTimeField(null=True, blank=True)
    rejected = models.CharField(max_length=5, choices=Rejected.choices, blank=True)
    rejected_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    rejected_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-least", "pk"]
        indexes = [models.Index(fields=["run", "draw"]), models.Index(fields=["run", "-least"])]

    def __str__(self) -> str:
        return f"({self.x:.0f}, {self.y:.0f}) {self.least:.2f}"


class TrainingRun(models.Model):
    """A retraining. manifest: its inputs, frozen at the request (`manifest.manifest_of`).

    curve: rows by iteration, of loss, learning rate, hard negatives and what was measured on the validation cases.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="training")
    parent = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Begun from it."
    )
    plan = models.JSONField()
    manifest = models.JSONField()
    manifest_sha256 = models.CharField(max_length=64)
    warnings = models.JSONField(default=list)
    curve = models.JSONField(default=list)
    log = models.JSONField(default=list)
    version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="trainings", help_text="Its result."
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        """Checkpoint, weights and card."""
        return Path(settings.TRAINING_DIR) / str(self.id)


class Judgement(models.Model):
    """The comparison of a version with the active one, on the locked test cases.

    result: that of `detector.evaluation.compare`, null until done.
    """

    class Verdict(models.TextChoices):
        BETTER = "better", "better"
        WORSE = "worse", "worse"
        CANNOT_TELL = "cannot tell", "cannot tell"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="judgement")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="judgements")
    active = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    cases = models.JSONField(help_text="Names of the locked cases.")
    slides = models.JSONField(default=list, help_text="Ids of the slides without mitoses.")
    reviewed = models.JSONField(default=list, help_text="Ids of the slides of locked cases that were read to the end.")
    left_out = models.JSONField(default=dict, help_text="Locked cases that are not compared on, or in part: why.")
    verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    why = models.TextField(blank=True)
    result = models.JSONField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.version} against {self.active}: {self.verdict or 'under way'}"

    @property
    def folder(self) -> Path:
        """Crops of the figures on which the two differ."""
        return Path(settings.TRAINING_DIR) / f"judgement-{self.id}"


class ScannerCalibration(models.Model):
    """A search for the shift of one scanner's logits, by figures that people judged on its slides.

    figures: frozen at the request (`types.CalibrationFigure`). result: the shift and what it rests on, null until done.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scanner = models.CharField(max_length=100)
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="calibration")
    parent = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="+", help_text="The active version then."
    )
    figures = models.JSONField()
    figures_sha256 = models.CharField(max_length=64)
    result = models.JSONField(null=True)
    remark = models.TextField(blank=True, help_text="Why its result was not compared, where it was not.")
    version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="calibrations",
        help_text="Its result.",
    )  # fmt: skip
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"Calibration for {self.scanner} of {self.at:%Y-%m-%d %H:%M}"

    @property
    def folder(self) -> Path:
        """Weights and card."""
        return Path(settings.TRAINING_DIR) / f"calibration-{self.id}"


class Removal(models.Model):
    """A slide, a person's work or a labelled set that no training may use any more, with all that was made from it.

    slide_was: the key of a slide that was deleted since; what learnt from it stays removed.
    """

    slide = models.ForeignKey(Slide, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    slide_was = models.UUIDField(null=True, editable=False, help_text="Its key, of a slide that was deleted.")
    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    labelled_set = models.ForeignKey(LabelledSet, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    reason = models.TextField()
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was taken back.")

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(
                name="removal_of_one_thing",
                condition=Q(slide__isnull=False, person=None, labelled_set=None)
                | Q(slide=None, slide_was__isnull=False, person=None, labelled_set=None)
                | Q(slide=None, slide_was=None, person__isnull=False, labelled_set=None)
                | Q(slide=None, slide_was=None, person=None, labelled_set__isnull=False),
            )
        ]

    def __str__(self) -> str:
        if self.person is not None:
            return f"the work of {self.person}"
        if self.slide_was is not None:
            return "a slide that was deleted"
        return f"the slide {self.slide}" if self.slide is not None else f"the set {self.labelled_set}"
