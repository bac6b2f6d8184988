"""`manage.py measure_tissue`: find the tissue of slides that were prepared before it was kept (0.2.0 and older)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from detector.errors import SlideError
from webapp.core.confinement import confine_process
from webapp.slides.models import Slide
from webapp.slides.services import slide_measure_tissue
from webapp.slides.storage import tissue_read


class Command(BaseCommand):
    """Slides that have it already are left alone, so that it may be run again."""

    help = "Find the tissue of slides that were prepared by an earlier version"

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure one after the other; one that cannot be read is named and left out."""
        confine_process()
        measured = 0
        for slide in Slide.objects.filter(state__in=(Slide.State.READY, Slide.State.NEEDS_MPP)).iterator():
            if tissue_read(slide) is not None:
                continue
            try:
                slide_measure_tissue(slide=slide)
                measured += 1
            except (SlideError, OSError) as error:
                self.stderr.write(f"{slide}: {error}")
        self.stdout.write(f"{measured} slides measured")
