"""What workers have been asked to do: a job, in shards that one task each does."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Self

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q, Sum
from django.utils import timezone

from webapp.jobs.states import State
from webapp.slides.models import Slide, Viewer, visible


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs are seen with their slide."""

    def visible_to(self, user: Viewer) -> Self:
        """Jobs on slides that the user may see."""
        return visible(self, user, "slide__case__study")


class Job(models.Model):
    """One piece of background work on one slide."""

    class Kind(models.TextChoices):
        INGEST = "ingest", "preparing"
        DETECT = "detect", "detection"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="jobs")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    parameters = models.JSONField(default=dict, blank=True)
    requested_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    error = models.TextField(blank=True, help_text="One sentence for the user.")
    traceback = models.TextField(blank=True, help_text="For the admin.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state", "kind", "created_at"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.slide}"

    @property
    def progress(self) -> dict[str, int]:
        """Windows done (skipped ones included), total and skipped as glass; all 0 before it began."""
        sums = self.shards.aggregate(
            done=Sum("windows_done"), total=Sum("windows_total"), skipped=Sum("windows_skipped")
        )
        return {key: value or 0 for key, value in sums.items()}

    @property
    def queue_position(self) -> int | None:
        """1 for the next job of its kind to begin; None once it has begun."""
        if self.state != State.PENDING:
            return None
        return Job.objects.filter(kind=self.kind, state=State.PENDING, created_at__lt=self.created_at).count() + 1

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the rate so far; None where there is nothing to go by."""
        progress = self.progress
        computed, left = progress["done"] - progress["skipped"], progress["total"] - progress["done"]
        if self.state != State.RUNNING or self.started_at is None or computed <= 0:
            return None
        elapsed: timedelta = timezone.now() - self.started_at
        return elapsed.total_seconds() / computed * left


class Shard(models.Model):
    """The part of a job that one task does. Whoever holds `claim` may write to it, until the lease ends."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="shards")
    index = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    claim = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When its message was last sent.")
    windows_done = models.PositiveIntegerField(default=0)
    windows_total = models.PositiveIntegerField(default=0)
    windows_skipped = models.PositiveIntegerField(default=0)
    facts = models.JSONField(default=dict, blank=True, help_text="Small results: device, precision, properties.")
    result = models.BinaryField(null=True, blank=True, help_text="Map cells above the floor, until the job is merged.")

    class Meta:
        ordering = ["index"]
        constraints = [
            models.UniqueConstraint(fields=["job", "index"], name="one_shard_per_index"),
            models.CheckConstraint(
                condition=~Q(state=State.RUNNING) | Q(claim__isnull=False), name="running_is_claimed"
            ),
        ]

    def __str__(self) -> str:
        return f"shard {self.index} of {self.job_id}"
