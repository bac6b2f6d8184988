"""What a change brings with it: other candidates lie on the evaluable area of a slide."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from webapp.annotations.services import candidates_place
from webapp.slides.models import Slide
from webapp.slides.signals import area_changed


@receiver(area_changed)
def _changed(slide: Slide, **_: Any) -> None:
    candidates_place(slide=slide)
