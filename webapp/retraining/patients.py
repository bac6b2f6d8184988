"""Deleting a patient: a case with its slides, what was made of them, and the identity in signed reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count

from webapp.annotations.models import Region, Verdict
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError
from webapp.retraining.models import MinedSample, Removal
from webapp.retraining.provenance import affected_by
from webapp.retraining.removals import removal_make
from webapp.slides.models import Case, CaseDeletion, Slide, Study
from webapp.slides.roles import Right, demand
from webapp.slides.services import slide_delete


@dataclass(frozen=True)
class CaseLosses:
    """What goes with a patient. reports: signed ones; reports_become: what the study says of them ("tombstone",
    "consent"). versions: of the model that learnt from the slides; they count as not fit for training from then on.

    asked_by, asked_at: who has asked for it and waits for a second manager.
    """

    slides: int
    reports: int
    reports_become: str
    verdicts: int
    regions: int
    mined_samples: int
    versions: int
    asked_by: str | None = None
    asked_at: datetime | None = None


def case_losses(*, case: Case) -> CaseLosses:
    """What would be lost if the patient were deleted."""
    slides = list(case.slides.all())
    learnt = affected_by(removals=[Removal(slide=slide) for slide in slides])
    asked = CaseDeletion.objects.filter(case=case).select_related("by").first()
    return CaseLosses(
        slides=len(slides),
        reports=case.slides.aggregate(reports=Count("reports"))["reports"],
        reports_become=case.study.deleted_reports,
        verdicts=Verdict.objects.filter(figure__slide__case=case).count(),
        regions=Region.objects.filter(slide__case=case).count(),
        mined_samples=MinedSample.objects.filter(slide__case=case).count(),
        versions=len(learnt.versions),
        asked_by=asked.by.get_username() if asked else None,
        asked_at=asked.at if asked else None,
    )


def case_delete(*, case: Case, by: User) -> bool:
    """Delete a patient, for managers of the study; whether that is done.

    Where signed reports rest on the slides and the study wants a second manager, the first one asks and the second one
    agrees by the same call. What learnt from the slides is removed from training.
    """
    demand(Right.MANAGE, user=by, study=case.study_id)
    with transaction.atomic():
        case = Case.objects.select_for_update(of=("self",)).select_related("study").get(pk=case.pk)
        lost = case_losses(case=case)
        if lost.reports and case.study.deleted_reports == Study.DeletedReports.CONSENT:
            asked, new = CaseDeletion.objects.get_or_create(case=case, defaults={"by": by})
            if new:
                record(Action.CASE_DELETION, case, who=by, after={"asked for by": by.get_username()})
                return False
            if asked.by_id == by.pk:
                raise DomainError("You have asked for this already; a second manager of the study has to agree.")
        agreed = {"asked for by": lost.asked_by} if lost.asked_by else {}
        record(
            Action.CASE_DELETION, case, who=by, before={"slides": lost.slides, "reports": lost.reports}, after=agreed
        )
        for slide in Slide.objects.filter(case=case).select_related("case__study"):
            has_taught = affected_by(removals=[Removal(slide=slide)]).versions
            if has_taught and not Removal.objects.filter(slide=slide, ended_at=None).exists():
                removal_make(by=by, reason="The patient was deleted.", slide=slide)
            slide_delete(slide=slide)
        case.delete()
    return True


def case_deletion_withdraw(*, case: Case, by: User) -> None:
    """Ask no more for the deletion of a patient."""
    demand(Right.MANAGE, user=by, study=case.study_id)
    with transaction.atomic():
        if not CaseDeletion.objects.filter(case=case).delete()[0]:
            raise DomainError("Nobody has asked for the deletion of this patient.")
        record(Action.CASE_DELETION, case, who=by, before={"asked for": True})
