"""The seals of signed reports: keyed, over facts and PDF, each over the one before it.

A seal is the HMAC-SHA256, by a key that is not in the database, of a report's number, the seal of the report before it,
and what was signed. A row that was changed has another seal; a row that was removed leaves a number missing and the
next report without the one that it names.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC

from django.conf import settings
from django.db import IntegrityError, transaction

from webapp.core.errors import DomainError
from webapp.reports.facts import facts_sha256
from webapp.reports.models import Report

_TRIES = 5  # where several people sign at the same moment


def seal_of(report: Report) -> str:
    """The seal that a report has to have. SHA-256 in hex, as all that goes into it."""
    slide = report.slide_was or report.slide_id
    parts = (
        str(report.number), report.previous, str(report.pk), str(slide), str(report.version),
        str(report.signed_by_id), report.signed_at.astimezone(UTC).isoformat(), report.sha256, report.pdf_sha256,
    )  # fmt: skip
    return _sealed(parts)


def stone_seal_of(report: Report) -> str:
    """The seal that a tombstone has to have: of the seal that it was signed with, and of what is left of it."""
    assert report.buried_at is not None
    parts = (report.seal, facts_sha256(report.facts), report.buried_at.astimezone(UTC).isoformat(), report.buried_by)
    return _sealed(parts)


def _sealed(parts: Sequence[str]) -> str:
    return hmac.new(settings.SIGNING_KEY.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def report_keep(report: Report) -> None:
    """Number, seal and save a new report. Raises DomainError where others keep signing in between."""
    for _ in range(_TRIES):
        last = Report.objects.exclude(number=None).order_by("-number").defer("pdf").first()
        report.number = last.number + 1 if last and last.number else 1
        report.previous = last.seal if last else ""
        report.seal = seal_of(report)
        try:
            with transaction.atomic():
                report.save(force_insert=True)
        except IntegrityError:
            continue
        return
    raise DomainError("Others are signing at the same moment. Nothing was signed; sign again.")


def seal_faults(report: Report) -> list[str]:
    """Why a report's seal is not what it must be, one sentence each; nothing of one from before there were seals."""
    if report.number is None:
        return []
    faults = []
    if not hmac.compare_digest(report.seal, seal_of(report)):
        faults.append("Its seal is not the one that it was signed with.")
    others = Report.objects.defer("pdf", "facts")
    before = others.filter(number=report.number - 1).first()
    if report.number > 1 and (before is None or before.seal != report.previous):
        faults.append(f"The report signed before it, number {report.number - 1}, is missing or was changed.")
    after = others.filter(number__gt=report.number).order_by("number").first()
    if after is not None and (after.number != report.number + 1 or after.previous != report.seal):
        faults.append(f"The report signed after it, number {report.number + 1}, is missing or was changed.")
    return faults
