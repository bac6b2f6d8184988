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
from webapp.reports.facts import facts_sha256, report_facts, report_part, same_but_for_the_signature
from webapp.reports.models import Report
from webapp.reports.page import draw_page
from webapp.reports.pictures import take_pictures
from webapp.reports.seal import report_keep
from webapp.results.findings import Findings, findings
from webapp.results.question import Question
from webapp.slides.models import Slide

MAX_COMMENT = 4000  # characters


def report_sign(
    *, slide: Slide, run: Run, asked: Question, by: User, comment: str = "", whole_case: bool = False
) -> Report:
    """Freeze what holds now under a person's name, as the next version of the slide's report.

    whole_case: with the other slides of the case that are detected and have um/px.
    """
    if len(comment) > MAX_COMMENT:
        raise DomainError(f"A comment has at most {MAX_COMMENT:,} characters, this one {len(comment):,}; shorten it.")
    if slide.mpp is None:
        raise DomainError(
            "The um/px of this slide is not known; enter it first, then the report has areas and a score."
        )
    with transaction.atomic():
        lock_row(Slide, slide.pk)  # no verdict comes between numbers and pictures
        found = findings(slide=slide, run=run, asked=asked)
        others = _others(slide, asked) if whole_case else []
        last = Report.objects.filter(slide=slide).order_by("-version").defer("pdf").first()
        now = timezone.localtime()
        facts = report_facts(
            report_part(found),
            version=last.version + 1 if last else 1,
            reader=by,
            signed_at=now,
            comment=comment.strip(),
            replaces=last.sha256 if last else "",
            others=[report_part(other) for other in others],
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
            sha256=sha256,
            pdf=pdf,
            pdf_sha256=hashlib.sha256(pdf).hexdigest(),
        )
        report_keep(report)
        signed = {"version": report.version, "sha256": sha256, "pdf_sha256": report.pdf_sha256, "seal": report.seal}
        record(Action.SIGNED, slide, who=by, after={"report": str(report.pk), "number": report.number, **signed})
    return report


def _others(slide: Slide, asked: Question) -> list[Findings]:
    """The other slides of its case, by name."""
    slides = Slide.objects.filter(case=slide.case_id).exclude(pk=slide.pk).exclude(mpp_x=None)
    runs = [(other, run_current(slide=other)) for other in slides.select_related("case__study").order_by("name")]
    return [findings(slide=other, run=run, asked=asked) for other, run in runs if run is not None]
