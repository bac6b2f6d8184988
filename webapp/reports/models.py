"""Signed reports. Never changed; signing again makes a new version."""

from __future__ import annotations

import uuid
from typing import Self

from django.contrib.auth.models import User
from django.db import models

from webapp.slides.models import Slide, Study, Viewer, visible


class ReportQuerySet(models.QuerySet["Report"]):
    """Reports."""

    def visible_to(self, user: Viewer) -> Self:
        """Those on slides of the person's studies, and tombstones there."""
        return visible(self, user, "slide__case__study") | visible(self, user, "study")


class Report(models.Model):
    """A signed report of a slide. facts: every number with its provenance; sha256: of the facts, printed.

    of_run, of_mpp: of the facts, by which the worklist knows whether it still holds.
    number: counts all reports signed here. seal, previous: of this report and of the one before it, see
    `webapp.reports.seal`; empty in reports from before there were seals.

    A tombstone is the report of a patient who was deleted: without slide and PDF, its facts without identity, or none.
    slide_was: the key of the slide; study: where it was; buried_at, buried_by: when it was deleted, and by whom;
    stone_seal: of what is left.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slide = models.ForeignKey(Slide, on_delete=models.SET_NULL, null=True, related_name="reports")
    version = models.PositiveIntegerField()
    signed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField()
    facts = models.JSONField()
    of_run = models.UUIDField(null=True, editable=False)
    of_mpp = models.FloatField(null=True, editable=False)
    sha256 = models.CharField(max_length=64, unique=True)
    pdf = models.BinaryField()
    pdf_sha256 = models.CharField(max_length=64, db_index=True)
    number = models.PositiveIntegerField(null=True, unique=True, editable=False)
    previous = models.CharField(max_length=64, blank=True, editable=False)
    seal = models.CharField(max_length=64, blank=True, editable=False)
    slide_was = models.UUIDField(null=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.SET_NULL, null=True, editable=False, related_name="+")
    buried_at = models.DateTimeField(null=True, editable=False)
    buried_by = models.CharField(max_length=150, blank=True, editable=False)
    stone_seal = models.CharField(max_length=64, blank=True, editable=False)

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ["-signed_at"]
        constraints = [models.UniqueConstraint(fields=["slide", "version"], name="one_report_per_version")]

    def __str__(self) -> str:
        return f"report {self.version} of {self.slide or 'a patient who was deleted'}"
