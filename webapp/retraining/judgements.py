"""Comparing a version with the active one on the locked test cases."""

from __future__ import annotations

import shutil
from functools import partial

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from webapp.core.database import lock_row
from webapp.core.errors import DomainError
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_active, version_note
from webapp.retraining.forgetting import without_names
from webapp.retraining.locked_cases import cases_learnt_by
from webapp.retraining.models import Judgement, LockedCase, MitosisFreeSlide
from webapp.retraining.provenance import removed_now
from webapp.retraining.reviewed_cases import locked_material
from webapp.retraining.types import ComparisonVerdict


def judgement_request(*, version: ModelVersion, by: User | None) -> Judgement:
    """Queue the comparison with the active version on the locked test cases, which stay locked from now on, and on the
    mitosis-free slides. Of cases reviewed here the slides take part that are read to the end."""
    active = version_active()
    if active.pk == version.pk:
        raise DomainError(f"{version} is the active version; there is nothing to compare it with.")
    material = locked_material()
    names = material.cases
    if not names:
        unread = "".join(f" {name}: {why}." for name, why in material.left_out.items())
        raise DomainError(
            "No locked case has exhaustively labelled frames or a slide that is read to the end; lock test cases on "
            f"the page Retraining, or read their slides, first.{unread}"
        )
    free = MitosisFreeSlide.objects.exclude(slide__in=removed_now().slides).select_related("slide__case")
    if learnt := sorted({*names, *(one.slide.case.identifier for one in free)} & cases_learnt_by(version)):
        raise DomainError(f"{version} was trained on {', '.join(learnt)}; it cannot be compared there.")
    with transaction.atomic():
        LockedCase.objects.filter(name__in=names, used_at=None).update(used_at=timezone.now())
        job = job_create(kind=Job.Kind.JUDGE, by=by)
        judgement: Judgement = Judgement.objects.create(
            job=job, version=version, active=active, cases=names, slides=[str(one.slide_id) for one in free],
            reviewed=[str(slide.pk) for slide in material.slides], left_out=material.left_out,
        )  # fmt: skip
    return judgement


def judgement_request_if_possible(*, version: ModelVersion, by: User | None) -> str:
    """Queue the comparison of a new version where there are locked cases; else, or where it is refused, why not."""
    if not LockedCase.objects.exists():
        return "No test case is locked, so it was not compared with the active version."
    try:
        with transaction.atomic():
            judgement_request(version=version, by=by)
    except DomainError as error:
        return str(error)
    return ""


def judgement_save(*, judgement: Judgement, result: ComparisonVerdict) -> None:
    """Store the result of a comparison, and write it into the version's card."""
    known = sorted(set(judgement.cases) & cases_learnt_by(judgement.active))
    why = result["why"]
    if known:
        why += f" {judgement.active} was trained on {', '.join(known)}, so its metrics there are optimistic."
    with transaction.atomic():
        now = lock_row(Judgement, judgement.pk)
        if gone := set(judgement.cases) - set(now.cases):  # a patient was deleted while it ran
            said = without_names({"why": why, "result": result}, gone)
            why, result = said["why"], said["result"]
            judgement.cases = now.cases
            transaction.on_commit(partial(shutil.rmtree, judgement.folder, ignore_errors=True))
        Judgement.objects.filter(pk=judgement.pk).update(result=result, verdict=result["verdict"], why=why)
        both = {"candidate": result["candidate"], "active": result["active"]}
        sides = {side: {"max_f1": of["max_f1"], "f1_at_0.5": of["f1_at_0.5"]} for side, of in both.items()}
        value = {"against": judgement.active.sha256, "cases": judgement.cases, "verdict": result["verdict"], "why": why}
        version_note(version=judgement.version, key="judgement", value={**value, **sides, "rule": result["rule"]})
