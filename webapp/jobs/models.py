"""Jobs and their shards; one task does one shard."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Self

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Case, Count, OuterRef, Q, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from webapp.jobs.states import OPEN, State
from webapp.jobs.stored import ShardFacts
from webapp.slides.models import Slide, Viewer, visible


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs are seen with their slide; those without one by who asked."""

    def visible_to(self, user: Viewer) -> Self:
        """Jobs on slides that the user may see, and the user's own that are about no one slide."""
        if not user.is_authenticated or not user.is_active or getattr(user, "is_superuser", False):
            return visible(self, user, "slide__case__study")
        return self.filter(Q(slide__case__study__memberships__user_id=user.pk) | Q(slide=None, requested_by_id=user.pk))

    def with_progress(self) -> Self:
        """With slide, shards and place in the queue (`ahead`), so that what `JobSerializer` tells asks for no more."""
        shards = models.Prefetch("shards", Shard.objects.defer("result"))
        jobs = _ahead_of(*map(OuterRef, ("kind", "priority", "turn", "created_at")))
        number = jobs.order_by().values("state").annotate(number=Count("pk")).values("number")
        ahead = Case(When(state=State.PENDING, then=Coalesce(Subquery(number), 0)))
        return self.select_related("slide").prefetch_related(shards).annotate(ahead=ahead)

    def in_turn(self) -> Self:
        """Queue order: readers before bulk, then round robin over people."""
        return self.order_by("priority", "turn", "created_at")


class Job(models.Model):
    """One piece of background work: on one slide, or on what its parameters name."""

    class Kind(models.TextChoices):
        INGEST = "ingest", "preparing"
        DETECT = "detect", "detection"
        MINE = "mine", "mining"
        TRAIN = "train", "training"
        JUDGE = "judge", "judging"
        CALIBRATE = "calibrate", "calibrating"

    class Priority(models.IntegerChoices):
        READER = 0, "a person waits for it"
        BULK = 1, "one of many"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, null=True, blank=True, related_name="jobs")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.READER)
    turn = models.PositiveIntegerField(default=0, help_text="Round of the queue; each person has one job a round.")
    parameters = models.JSONField(default=dict, blank=True)
    requested_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    error = models.TextField(blank=True, help_text="One sentence for the user.")
    traceback = models.TextField(blank=True, help_text="For the admin.")
    asked_with = models.CharField(max_length=100, blank=True, editable=False, help_text="Version of the code then.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["kind", "state", "priority", "turn", "created_at"], name="job_in_turn"),
            models.Index(fields=["state", "ended_at"], name="job_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.slide}" if self.slide else self.get_kind_display()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN

    @property
    def progress(self) -> dict[str, int]:
        """Units and shards done (windows skipped as glass included), of how many; all 0 before it began.

        total counts the units of the shards that have begun; those of the others are not known yet.
        """
        shards = self.shards.all()
        return {
            "done": sum(shard.units_done for shard in shards),
            "total": sum(shard.units_total for shard in shards),
            "skipped": sum(shard.units_skipped for shard in shards),
            "shards_done": sum(shard.state == State.SUCCEEDED for shard in shards),
            "shards_total": len(shards),
        }

    @property
    def unit(self) -> str:
        """The unit of its progress, in the plural."""
        units = {self.Kind.TRAIN: "iterations", self.Kind.JUDGE: "frames", self.Kind.CALIBRATE: "figures"}
        return units.get(self.Kind(self.kind), "windows")

    @property
    def workers(self) -> list[str]:
        """Who is at it or has done it, each with its device and precision as far as known: `host/pid, device, bf16`."""
        return sorted({shard.worker_in_words for shard in self.shards.all() if shard.worker})

    @property
    def queue_position(self) -> int | None:
        """1 for the next job of its kind to begin; None once it has begun."""
        if self.state != State.PENDING:
            return None
        read: int | None = getattr(self, "ahead", None)
        return 1 + (_ahead_of(self.kind, self.priority, self.turn, self.created_at).count() if read is None else read)

    @property
    def seconds_left(self) -> float | None:
        """Estimate from how fast the shards that run now are; None where there is nothing to go by.

        Shards that nobody has begun are taken to be as large as the mean of the others.
        """
        if self.state != State.RUNNING:
            return None
        shards = self.shards.all()
        rate = sum(shard.units_per_second for shard in shards)
        begun = [shard for shard in shards if shard.units_total]
        if not rate or not begun:
            return None
        left = sum(shard.units_total - shard.units_done for shard in begun)
        computed = sum(shard.units_total - shard.units_skipped for shard in begun) / len(begun)
        return (left + computed * (len(shards) - len(begun))) / rate


def _ahead_of(kind: Any, priority: Any, turn: Any, created_at: Any) -> JobQuerySet:
    """The waiting jobs of a kind that begin before one of this priority and turn that was asked for at this time."""
    earlier = Q(priority=priority, turn__lt=turn) | Q(priority=priority, turn=turn, created_at__lt=created_at)
    return Job.objects.filter(Q(priority__lt=priority) | earlier, kind=kind, state=State.PENDING)


class Shard(models.Model):
    """The part of a job that one task does. Whoever holds `claim` may write to it, until the lease ends."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="shards")
    index = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    claim = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    progressed_at = models.DateTimeField(null=True, blank=True, help_text="When it last said how far it is.")
    units_done = models.PositiveIntegerField(default=0)
    units_total = models.PositiveIntegerField(default=0)
    units_skipped = models.PositiveIntegerField(default=0)
    facts = models.JSONField(default=dict, blank=True, help_text="Device, precision, seconds, memory.")
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

    @property
    def units_per_second(self) -> float:
        """Of units that were computed, since it was claimed; 0 where it does not run."""
        if self.state != State.RUNNING or self.started_at is None:
            return 0.0
        elapsed: timedelta = timezone.now() - self.started_at
        return max(self.units_done - self.units_skipped, 0) / max(elapsed.total_seconds(), 0.001)

    @property
    def worker_in_words(self) -> str:
        """The worker, its device and precision, as far as they are known."""
        facts = ShardFacts.from_json(self.facts)
        return ", ".join(filter(None, (self.worker, facts.device, facts.precision)))
