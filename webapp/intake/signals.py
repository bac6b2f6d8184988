"""When a slide is deleted, the name of the file that it came from goes with it."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import pre_delete
from django.dispatch import receiver

from webapp.intake.models import Arrival
from webapp.slides.models import Slide


@receiver(pre_delete, sender=Slide)
def _forget_name(instance: Slide, **_: Any) -> None:
    Arrival.objects.filter(slide=instance).update(name="")
