"""Deleting a patient: a case with its slides, what was made of them, and the identity in signed reports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count

from webapp.access.services import answers_forget
from webapp.annotations.models import Region, Verdict
from webapp.audit.models import Action, Entry
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError
from webapp.retraining.models import Judgement, MinedSample, Removal
from webapp.retraining.provenance import affected_by, has_taught
from webapp.retraining.removals import removal_make, removal_make_of_deleted
from webapp.slides.models import Case, CaseDeletion, Slide, Study, Upload
from webapp.slides.roles import Right, demand, may
from webapp.slides.services import slide_delete
from webapp.slides.uploads import upload_cancel

_REASON = "The patient was deleted."


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
        verdicts=Verdict.objects.filter(figure__slide__in=slides).count(),
        regions=Region.objects.filter(slide__in=slides).count(),
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
        of_it = Upload.objects.filter(study=case.study_id, case_identifier=case.identifier, slide=None)
        uploads = list(of_it.select_for_update(of=("self",)).order_by("pk"))  # locked in the order in which they finish
        found = lock_row(Case, case.pk, "study")
        # Locked, so that nobody signs meanwhile.
        slides = list(
            Slide.objects.select_for_update(of=("self",)).filter(case=found).select_related("case").order_by("pk")
        )
        lost, asked_by = case_losses(case=found), ""
        if lost.reports and found.study.deleted_reports == Study.DeletedReports.CONSENT:
            asked_by = _asked_by(found, by)
            if not asked_by:
                return False
        gone = {"slides": lost.slides, "reports": lost.reports}
        agreed = {"asked for by": asked_by} if asked_by else {}
        record(Action.CASE_DELETION, found, who=by, before=gone, after=agreed)
        slides_delete_for_good(slides=slides, by=by)
        _remove_deleted_before(found, by)
        for upload in uploads:
            upload_cancel(upload=upload)
        answers_forget(words=[found.identifier, *(str(slide.pk) for slide in slides)])
        found.delete()
    return True


def slides_delete_for_good(*, slides: Sequence[Slide], by: User | None) -> None:
    """Delete slides of deleted patients: what learnt from them is removed from training, pictures of them go."""
    keys, cases = {str(slide.pk) for slide in slides}, {slide.case.identifier for slide in slides}
    for judgement in Judgement.objects.only("slides", "reviewed", "cases"):
        if keys & {*judgement.slides, *judgement.reviewed} or cases & {*judgement.cases}:
            transaction.on_commit(partial(shutil.rmtree, judgement.folder, ignore_errors=True))
    for slide in slides:
        if has_taught(slide) and not Removal.objects.filter(slide=slide, ended_at=None).exists():
            removal_make(by=by, reason=_REASON, slide=slide)
        slide_delete(slide=slide)


def _remove_deleted_before(case: Case, by: User) -> None:
    """What learnt from slides of the case that were deleted by themselves is removed from training now."""
    for entry in Entry.objects.filter(action=Action.SLIDE_DELETED):
        was = json.loads(entry.before or "{}")
        of_it = (was.get("case"), was.get("study")) == (case.identifier, case.study.name)
        if of_it and has_taught(Slide(pk=UUID(entry.object_id))):
            removal_make_of_deleted(pk=UUID(entry.object_id), by=by, reason=_REASON)


def _asked_by(case: Case, by: User) -> str:
    """Who has asked for the deletion, where a second manager agrees now; "" where this is the one who asks first."""
    asked = CaseDeletion.objects.filter(case=case).select_related("by").first()
    if asked is not None and not may(Right.MANAGE, user=asked.by, study=case.study_id):
        asked.delete()  # whoever asked is no manager any more
        asked = None
    if asked is None:
        CaseDeletion.objects.create(case=case, by=by)
        record(Action.CASE_DELETION, case, who=by, after={"asked for by": by.get_username()})
        return ""
    if asked.by_id == by.pk:
        raise DomainError("You have asked for this already; a second manager of the study has to agree.")
    return str(asked.by.get_username())


def case_deletion_withdraw(*, case: Case, by: User) -> None:
    """Ask no more for the deletion of a patient."""
    demand(Right.MANAGE, user=by, study=case.study_id)
    with transaction.atomic():
        if not CaseDeletion.objects.filter(case=case).delete()[0]:
            raise DomainError("Nobody has asked for the deletion of this patient.")
        record(Action.CASE_DELETION, case, who=by, before={"asked for": True})
