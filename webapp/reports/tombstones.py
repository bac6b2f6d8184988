"""What is left of the signed reports of a patient who is deleted.

The row stays, or the chain of seals would break; its PDF goes, and with it every picture. Its facts stay without
identity, or go as well, as the study says (`Study.deleted_reports`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.utils import timezone

from webapp.audit.origin import person_now
from webapp.reports.seal import stone_seal_of
from webapp.slides.models import Slide, Study

_NAMES = {"name": "", "case": "", "study": "", "sha256": "", "remark": ""}  # of a slide


def without_identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a report with numbers and provenance alone: no names of slide, case and file, and no comment."""
    kept = {**facts, "slide": {**facts.get("slide", {}), **_NAMES}}
    if "others" in facts:
        kept["others"] = [without_identity(other) for other in facts["others"]]
    return {**kept, "comment": ""} if "comment" in facts else kept


@receiver(pre_delete, sender=Slide)
def _bury(instance: Slide, **_: Any) -> None:
    """By whatever door the slide is deleted."""
    study, by = instance.case.study, person_now()
    keeps = study.deleted_reports == Study.DeletedReports.TOMBSTONE
    for report in instance.reports.all():
        report.facts = without_identity(report.facts) if keeps else {}
        report.pdf = b""
        report.slide_was, report.study = instance.pk, study
        report.buried_at, report.buried_by = timezone.now(), by.get_username() if by else "the program"
        report.stone_seal = stone_seal_of(report)
        report.save()
