"""Signing a report, its versions, and checking a printed hash."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from webapp.annotations.selectors import run_current
from webapp.core.errors import DomainError
from webapp.reports.models import Report
from webapp.reports.selectors import SlideNow, report_by_file, report_by_hash, report_changes, report_faults
from webapp.reports.services import others_of_case, report_sign
from webapp.results.count import mitosis_count
from webapp.results.question import Counting, question
from webapp.results.worklist import next_to_read
from webapp.slides.models import Slide
from webapp.slides.opened import slide_pixels_taken
from webapp.slides.roles import Right, may

_MAX_PDF_BYTES = 100 << 20


@login_required
def slide_report(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The report as it would be signed now, and the signed versions.

    A hotspot that is not reviewed is asked about once before it is signed. After signing, the next slide to read.
    """
    slides = Slide.objects.visible_to(request.user).select_related("case__study")
    slide: Slide = get_object_or_404(slides, pk=pk)
    run = run_current(slide=slide)
    may_sign = may(Right.JUDGE, user=request.user, study=slide.case.study_id)
    if request.method == "POST" and not may_sign:
        raise PermissionDenied
    asked = question(study=Counting.of(slide.case.study))
    count = mitosis_count(run=run, asked=asked) if run else None
    unreviewed = bool(count and count.unreviewed)
    comment = request.POST.get("comment", "").replace("\r\n", "\n")
    whole_case = "whole_case" in request.POST
    others, left_out = others_of_case(slide=slide, asked=asked) if whole_case else ([], [])
    open_ones = [other.slide.name for other in others if other.count.unreviewed]
    asks = request.method == "POST" and (unreviewed or bool(open_ones)) and "unreviewed" not in request.POST
    if request.method == "POST" and run is not None and not asks:
        try:
            report = report_sign(
                slide=slide, run=run, asked=asked, by=cast(User, request.user), comment=comment, whole_case=whole_case
            )
            messages.success(request, f"Version {report.version} is signed.")
        except DomainError as error:
            messages.error(request, str(error))
        return redirect("slide-report", pk=pk)
    slide_pixels_taken(slide=slide, user=request.user)
    reports = Report.objects.filter(slide=slide).select_related("signed_by").defer("pdf").order_by("-version")
    now = SlideNow(slide)
    context = {
        "slide": slide,
        "count": count,
        "unreviewed": unreviewed,
        "asks": asks,
        "may_sign": may_sign,
        "comment": comment,
        "whole_case": whole_case,
        "open_ones": open_ones,
        "left_out": left_out,
        "others": Slide.objects.filter(case=slide.case_id).exclude(pk=pk).count(),
        "reports": [{"report": report, "changes": report_changes(report=report, slide=now)} for report in reports],
        "next": next_to_read(user=request.user, after=slide) if reports else None,
    }
    return render(request, "report.html", context)


@login_required
def check_report(request: HttpRequest) -> HttpResponse:
    """Look up a signed report by its printed hash or its PDF."""
    context: dict[str, Any] = {"hash": request.GET.get("hash", "").strip()}
    file = request.FILES.get("file")
    if request.method == "POST" and file is not None and (file.size or 0) <= _MAX_PDF_BYTES:
        report = report_by_file(user=request.user, data=file.read())
    else:
        report = report_by_hash(user=request.user, sha256=context["hash"]) if context["hash"] else None
    if request.method == "POST" or context["hash"]:
        context |= {"asked": True, "report": report}
    if report is not None:
        context |= {"faults": report_faults(report), "changes": report_changes(report=report)}
    return render(request, "report_check.html", context)
