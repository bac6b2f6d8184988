"""What was received: series, and the instances of each. Their files are the inbox's, then those of the slide."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.utils import timezone

from webapp.core.names import NameField
from webapp.slides.models import Slide, Study, Viewer, visible


class SeriesQuerySet(models.QuerySet["Series"]):
    """Series."""

    def visible_to(self, user: Viewer) -> Self:
        """Those of the person's studies."""
        return visible(self, user, "study")


class Series(models.Model):
    """A series that was received into a study of ours; it becomes one slide, and goes with it.

    uid, study_uid: of DICOM. patient: keyed hash of its Patient ID, by which slides of one patient come into one case.
    case_identifier: of that case. facts: DICOM JSON of what is no secret of the series.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+")
    uid = models.CharField(max_length=64)
    study_uid = models.CharField(max_length=64, db_index=True)
    patient = models.CharField(max_length=64, blank=True)
    case_identifier = NameField(max_length=100)
    facts = models.JSONField(default=dict)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, null=True, related_name="series")
    at = models.DateTimeField(default=timezone.now)

    objects = SeriesQuerySet.as_manager()

    class Meta:
        ordering = ["at", "pk"]
        verbose_name_plural = "series"
        constraints = [models.UniqueConstraint(fields=["study", "uid"], name="one_series_per_study")]

    def __str__(self) -> str:
        return self.uid


class Instance(models.Model):
    """An image of a series. uid: SOP Instance UID; facts: DICOM JSON of what is no secret of the instance."""

    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="instances")
    uid = models.CharField(max_length=64)
    facts = models.JSONField(default=dict)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["series", "uid"], name="one_instance_per_series")]

    def __str__(self) -> str:
        return self.uid
