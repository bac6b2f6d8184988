"""What happened while nobody looked: notices for people and, by webhooks, for other systems.

Neither keeps a name: a notice points to its slide, and goes with it.
"""

from __future__ import annotations

import uuid
from typing import Self

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from webapp.slides.models import Slide, Study, Viewer, visible


class Kind(models.TextChoices):
    """What happened."""

    SLIDE_READY = "slide.ready", "slide ready"
    SLIDE_REFUSED = "slide.refused", "slide refused"
    DETECTION_DONE = "detection.done", "detection done"
    SIGNED = "report.signed", "report signed"
    JOB_FAILED = "job.failed", "job failed"
    TEST = "test", "test"  # of a webhook; in no list of people


KINDS = [kind for kind in Kind if kind != Kind.TEST]


class NoticeQuerySet(models.QuerySet["Notice"]):
    """Notices."""

    def visible_to(self, user: Viewer) -> Self:
        """Those of slides of the person's studies, and of the person's own jobs that are about no slide."""
        known = self.exclude(kind=Kind.TEST)
        if getattr(user, "is_superuser", False):
            return visible(known, user, "slide__case__study")
        of_slides = visible(Slide.objects.all(), user, "case__study")
        return known.filter(Q(slide__in=of_slides) | Q(slide=None, person=user.pk))


class Notice(models.Model):
    """One thing that happened. person: who asked for it. reference: id of the run, report or job. what: kind of job."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, null=True, related_name="notices")
    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    reference = models.CharField(max_length=40, blank=True)
    what = models.CharField(max_length=40, blank=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.what} failed" if self.kind == Kind.JOB_FAILED and self.what else self.get_kind_display()


class Wishes(models.Model):
    """What a person wants to be told. seen_at: when the notices were last looked at. mail: kinds that are mailed."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="wishes")
    seen_at = models.DateTimeField(default=timezone.now)
    mail = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"wishes of {self.user}"


class Webhook(models.Model):
    """An address that is told. kinds: of what. study: of its slides alone; None: of everything.

    Its secret follows from the server's key (`services.secret_of`), so that no copy of the database holds it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    address = models.URLField(max_length=500)
    kinds = models.JSONField(default=list)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["made_at"]

    def __str__(self) -> str:
        return self.address


class Delivery(models.Model):
    """A notice on its way to a webhook or, by mail, to a person.

    due_at: of the next try; whoever tries moves it on first, so that two never send at once. answer: the last one.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "waits"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "given up"

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, null=True, related_name="deliveries")
    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    tried_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["due_at"], condition=Q(state="waiting"), name="deliveries_waiting")]

    def __str__(self) -> str:
        return f"{self.notice} to {self.webhook or self.person}"
