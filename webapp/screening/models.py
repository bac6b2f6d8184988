"""Screening: which parts of a slide a reader has looked at, field by field."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models

from webapp.slides.models import Slide


class Screening(models.Model):
    """What one reader has seen of a slide, on a grid of cells of equal size over all of it.

    columns, rows: of the grid, as it was laid when the screening began. seen: a bit for each cell, row by row, the
    first in the highest bit of the first byte. x, y: level-0 px, where the reader was last.
    """

    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="screenings")
    reader = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    columns = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    seen = models.BinaryField()
    x = models.FloatField(null=True)
    y = models.FloatField(null=True)
    began_at = models.DateTimeField(auto_now_add=True)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["slide", "reader"], name="one_screening_per_reader")]

    def __str__(self) -> str:
        return f"screening of {self.slide} by {self.reader}"
