"""Deleting a slide: what would be lost with it, and who may."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from webapp.annotations.models import Candidate, Verdict
from webapp.core.errors import DomainError
from webapp.retraining.models import MitosisFreeSlide, Removal
from webapp.retraining.provenance import affected_by
from webapp.slides.blinding import demand_unread
from webapp.slides.models import Slide
from webapp.slides.roles import Right, demand_on
from webapp.slides.selectors import reports_on
from webapp.slides.services import slide_delete


@dataclass(frozen=True)
class SlideLosses:
    """What is lost with a slide. reports: signed ones; with one it goes with its patient alone.

    mitosis_free: whether it was marked as such. trainings, versions: made from it; they stay, and can be made anew
    without it.
    """

    runs: int
    candidates: int
    verdicts: int
    regions: int
    reports: int
    mined_samples: int
    mitosis_free: bool
    trainings: int
    versions: int

    def work(self) -> dict[str, int]:
        """What people have made of it, by what it is called."""
        made = {"verdicts": self.verdicts, "regions": self.regions, "mined samples": self.mined_samples}
        return {**made, "mark as mitosis-free": int(self.mitosis_free)}


def slide_losses(*, slide: Slide) -> SlideLosses:
    """What would be lost if the slide were deleted."""
    affected = affected_by(removals=[Removal(slide=slide)])
    return SlideLosses(
        runs=slide.runs.count(),
        candidates=Candidate.objects.filter(run__slide=slide).count(),
        verdicts=Verdict.objects.filter(figure__slide=slide).count(),
        regions=slide.regions.count(),
        reports=reports_on(slide=slide),
        mined_samples=slide.mined_samples.count(),
        mitosis_free=MitosisFreeSlide.objects.filter(slide=slide).exists(),
        trainings=len(affected.trainings),
        versions=len(affected.versions),
    )


def slide_delete_asked(*, slide: Slide, by: User, confirmed: bool) -> None:
    """Delete a slide for a manager of its study. What people have made of it is lost only if that is confirmed."""
    demand_on(Right.MANAGE, slide, by)
    demand_unread(slide)
    lost = slide_losses(slide=slide)
    if lost.reports:
        raise DomainError(
            f"This slide cannot be deleted by itself: signed reports ({lost.reports}) rest on it. Its patient can, "
            "with all slides, on the page of the case."
        )
    if any(lost.work().values()) and not confirmed:
        listed = ", ".join(f"{count} {what}" for what, count in lost.work().items() if count)
        raise DomainError(f"With this slide {listed} would be lost; to delete it, ask again with ?confirm=true.")
    slide_delete(slide=slide)
