"""Signing."""

from __future__ import annotations

import hashlib

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from webapp.annotations.models import Run
from webapp.core.errors import DomainError
from webapp.reports.facts import facts_sha256, report_facts, same_but_for_the_signature
from webapp.reports.models import Report
from webapp.reports.page import draw_page
from webapp.reports.pictures import take_pictures
from webapp.results.findings import findings
from webapp.results.question import Question
from webapp.slides.models import Slide


def report_sign(*, slide: Slide, run: Run, asked: Question, by: User) -> Report:
    """Freeze what holds now under a person's name, as the next version of the slide's report."""
    if slide.mpp is None:
        raise DomainError(
            "The um/px of this slide is not known; enter it first, then the report has areas and a score."
        )
    with transaction.atomic():
        Slide.objects.select_for_update().get(pk=slide.pk)  # no verdict comes between numbers and pictures
        found = findings(slide=slide, run=run, asked=asked)
        last = Report.objects.filter(slide=slide).order_by("-version").first()
        now = timezone.now()
        facts = report_facts(found=found, version=last.version + 1 if last else 1, reader=by, signed_at=now)
        stored = facts.stored()
        if last is not None and last.signed_by_id == by.pk and same_but_for_the_signature(stored, last.facts):
            raise DomainError(f"You have signed this as version {last.version}; nothing has changed since.")
        sha256 = facts_sha256(stored)
        pdf = draw_page(facts, sha256, take_pictures(found))
        report: Report = Report.objects.create(
            slide=slide,
            version=facts.version,
            signed_by=by,
            signed_at=now,
            facts=stored,
            sha256=sha256,
            pdf=pdf,
            pdf_sha256=hashlib.sha256(pdf).hexdigest(),
        )
    return report
