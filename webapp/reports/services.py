"""Signing."""

from __future__ import annotations

import hashlib

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from webapp.annotations.models import Run
from webapp.annotations.selectors import run_current
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.database import lock_row
from webapp.core.errors import DomainError
from webapp.notices.models import Kind
from webapp.notices.services import tell
from webapp.reports.facts import facts_sha256, report_facts, report_part, same_but_for_the_signature
from webapp.reports.models import Report
from webapp.reports.page import draw_page
from webapp.reports.pictures import take_pictures
from webapp.reports.seal import report_keep
from webapp.results.findings import Findings, findings
from webapp.results.question import Question
from webapp.slides.blinding import demand_unread
from webapp.slides.models import Slide

MAX_COMMENT = 4000  # characters


def report_sign(
    *, slide: Slide, run: Run, asked: Question, by: User, comment: str = "", whole_case: bool = False
) -> Report:
    """Freeze what holds now under a person's name, as the next version of the slide's report.

    whole_case: with the other slides of the case; those that are not detected or have no um/px are named as left out.
    """
    if len(comment) > MAX_COMMENT:
        raise DomainError(f"A comment has at most {MAX_COMMENT:,} characters, this one {len(comment):,}; shorten it.")
    demand_unread(slide)
    if slide.mpp is None:
        raise DomainError(
            "The um/px of this slide is not known; enter it first, then the report has areas and a score."
        )
    with transaction.atomic():
        lock_row(Slide, slide.pk)  # no verdict comes between numbers and pictures
        found = findings(slide=slide, run=run, asked=asked)
        others, left_out = others_of_case(slide=slide, asked=asked) if whole_case else ([], [])
        last = Report.objects.filter(slide=slide).order_by("-version").defer("pdf").first()
        now = timezone.localtime()
        facts = report_facts(
            report_part(found, by),
            version=last.version + 1 if last else 1,
            reader=by,
            signed_at=now,
            comment=comment.strip(),
            replaces=last.sha256 if last else "",
            others=[report_part(other, by) for other in others],
            left_out=left_out,
        )
        stored = facts.stored()
        if last is not None and last.signed_by_id == by.pk and same_but_for_the_signature(stored, last.facts):
            raise DomainError(f"You have signed this as version {last.version}; nothing has changed since.")
        sha256 = facts_sha256(stored)
        pdf = draw_page(facts, sha256, [take_pictures(one) for one in (found, *others)])
        report = Report(
            slide=slide,
            version=facts.version,
            signed_by=by,
            signed_at=now,
            facts=stored,
            of_run=run.pk,
            of_mpp=slide.mpp[0],
            sha256=sha256,
            pdf=pdf,
            pdf_sha256=hashlib.sha256(pdf).hexdigest(),
        )
        report_keep(report)
        signed = {"version": report.version, "sha256": sha256, "pdf_sha256": report.pdf_sha256, "seal": report.seal}
        tell(Kind.SIGNED, slide=slide, person=by, reference=report.pk)
        record(Action.SIGNED, slide, who=by, after={"report": str(report.pk), "number": report.number, **signed})
    return report


def others_of_case(*, slide: Slide, asked: Question) -> tuple[list[Findings], list[str]]:
    """The other slides of its case, by name; and which of them a report cannot have, with the reason."""
    found, left_out = [], []
    for other in (
        Slide.objects.filter(case=slide.case_id).exclude(pk=slide.pk).select_related("case__study").order_by("name")
    ):
        run = run_current(slide=other)
        if other.readings.filter(over_at=None).exists():
            left_out.append(f"{other.name}, which is being read blinded")
        elif other.mpp is None:
            left_out.append(f"{other.name}, of which um/px are not known")
        elif run is None:
            left_out.append(f"{other.name}, on which nothing has been detected yet")
        else:
            found.append(findings(slide=other, run=run, asked=asked))
    return found, left_out
