"""Files that came by themselves: what was found in a watched folder or bucket, and what became of it."""

from __future__ import annotations

import hashlib

from django.db import models

from webapp.slides.models import Slide


class Arrival(models.Model):
    """A slide's file in a folder or bucket.

    place: the folder, or s3://BUCKET/PREFIX. name: its path there; may name a patient, and goes with the slide. key: of
    place and name, by which it is known afterwards. size: bytes; stamp: when it was changed, or its ETag. still_since:
    when it was first seen with these. sha256: of its content, of all files where it has several; each is taken once.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "waits"
        TAKEN = "taken", "imported"
        KNOWN = "known", "known already"
        LEFT = "left", "left out"

    key = models.CharField(max_length=64, unique=True)
    place = models.CharField(max_length=500)
    name = models.CharField(max_length=1000)
    size = models.BigIntegerField()
    stamp = models.CharField(max_length=100)
    still_since = models.DateTimeField()
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.TextField(blank=True, help_text="Why it waits or is left out.")
    slide = models.ForeignKey(Slide, on_delete=models.SET_NULL, null=True, related_name="arrivals")
    at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["sha256"], condition=models.Q(state="taken"), name="each_file_once")
        ]

    def __str__(self) -> str:
        return self.name or "(deleted)"

    @staticmethod
    def key_of(place: str, name: str) -> str:
        """SHA-256 of place and name."""
        return hashlib.sha256(f"{place}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()
