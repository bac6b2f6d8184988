"""What was received: series, and the instances of each. Their files are the inbox's, then those of the slide."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from webapp.core.names import NameField
from webapp.slides.models import Slide, Study


class Series(models.Model):
    """A series that was received; it becomes one slide, whose study it is of from then on, and goes with it.

    study: of ours, into which it was received. uid, study_uid: of DICOM. patient: keyed hash of its Patient ID, by
    which slides of one patient come into one case. case_identifier: of that case. facts: DICOM JSON of what is no
    secret of the series. by: who sent it.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+")
    uid = models.CharField(max_length=64)
    study_uid = models.CharField(max_length=64, db_index=True)
    patient = models.CharField(max_length=64, blank=True)
    case_identifier = NameField(max_length=100)
    facts = models.JSONField(default=dict)
    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, null=True, related_name="series")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)

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
