"""Signed reports."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Max, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.counts import CountQuerySerializer
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import run_or_newest, validated
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.reports import fhir
from webapp.reports.models import Report
from webapp.reports.selectors import SlideNow, report_changes
from webapp.reports.services import MAX_COMMENT, report_sign
from webapp.results.question import Counting, question
from webapp.slides.models import Slide
from webapp.slides.roles import Right, demand_on


class ReportSerializer(serializers.ModelSerializer[Report]):
    """A signed report. sha256: the printed hash, of `facts`; changes: what differs on the slide now.

    number, previous, seal: its place among all reports signed here; the seal is keyed and covers facts, PDF and the
    seal of the report before it.
    """

    signed_by = serializers.CharField(source="signed_by.username")
    pdf = serializers.SerializerMethodField()
    fhir = serializers.SerializerMethodField()
    changes = serializers.SerializerMethodField()

    class Meta:
        model = Report
        fields = [
            "id", "slide", "version", "signed_by", "signed_at", "sha256", "pdf_sha256", "number", "previous", "seal",
            "pdf", "fhir", "changes", "facts",
        ]  # fmt: skip

    def get_pdf(self, report: Report) -> str:
        return reverse("api:report-pdf", args=[report.pk])

    def get_fhir(self, report: Report) -> str:
        return reverse("api:report-fhir", args=[report.pk])

    def get_changes(self, report: Report) -> list[str]:
        return report_changes(report=report, slide=self.context["slide"])


class SignSerializer(CountQuerySerializer):
    """How to count, and what to sign besides."""

    comment = serializers.CharField(required=False, allow_blank=True, max_length=MAX_COMMENT, default="")
    whole_case = serializers.BooleanField(
        default=False, help_text="With the other slides of the case that are detected and have um/px."
    )


class ReportsView(Idempotent):
    """The reports of a slide."""

    @extend_schema(responses=ReportSerializer(many=True), operation_id="slides_reports_list")
    def get(self, request: Request, pk: UUID) -> Response:
        """All signed versions, newest first."""
        slide = self._slide(request, pk)
        reports = _reports(request).filter(slide=slide).defer("pdf").order_by("-version")
        return Response(ReportSerializer(reports, many=True, context={"slide": SlideNow(slide)}).data)

    @extend_schema(request=SignSerializer, responses={201: ReportSerializer}, operation_id="slides_reports_sign")
    def post(self, request: Request, pk: UUID) -> Response:
        """Sign the current count as the next version; earlier versions stay.

        Where candidates of the hotspot have no verdict the report says how many, as large as the number.
        """
        slide = self._slide(request, pk)
        demand_on(Right.JUDGE, slide, request.user)
        query = validated(SignSerializer, request.data)
        run = run_or_newest(slide, query.pop("run", None))
        more = {name: query.pop(name) for name in ("comment", "whole_case")}
        asked = question(**query, study=Counting.of(slide.case.study))
        report = report_sign(slide=slide, run=run, asked=asked, by=cast(User, request.user), **more)
        return Response(
            ReportSerializer(report, context={"slide": SlideNow(slide)}).data, status=status.HTTP_201_CREATED
        )

    def _slide(self, request: Request, pk: UUID) -> Slide:
        slides = Slide.objects.visible_to(request.user).select_related("case__study")
        slide: Slide = get_object_or_404(slides, pk=pk)
        return slide


class ReportPdfView(APIView):
    """The page that was signed."""

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The PDF, byte for byte as it was signed."""
        report = get_object_or_404(_reports(request).select_related("slide"), pk=pk)
        assert report.slide is not None
        record(Action.EXPORTED, report.slide, after={"format": "report", "version": report.version})
        response = HttpResponse(bytes(report.pdf), content_type="application/pdf")
        response["Content-Disposition"] = f'inline; filename="report-{report.slide_id}-v{report.version}.pdf"'
        response["Cache-Control"] = "private, no-cache"
        return response


class ReportFhirView(APIView):
    """A signed report for other systems."""

    @extend_schema(responses={(200, fhir.CONTENT_TYPE): OpenApiTypes.OBJECT}, operation_id="reports_fhir_retrieve")
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """FHIR R4 DiagnosticReport: status, reader, and as contained observations count, density, area and score of
        each slide, of the hotspot and of all that is evaluable, with the slide and the detector.

        It is final where every candidate of each hotspot has been judged, else preliminary.
        """
        report = get_object_or_404(_reports(request).select_related("slide").defer("pdf"), pk=pk)
        assert report.slide is not None
        record(Action.EXPORTED, report.slide, after={"format": "FHIR", "version": report.version})
        made = fhir.diagnostic_report(
            report,
            pdf_url=request.build_absolute_uri(reverse("api:report-pdf", args=[pk])),
            newest=report.slide.reports.aggregate(newest=Max("version"))["newest"],
        )
        return HttpResponse(json.dumps(made, ensure_ascii=False), content_type=fhir.CONTENT_TYPE)


def _reports(request: Request) -> QuerySet[Report]:
    found: Any = Report.objects.visible_to(request.user).exclude(slide=None).select_related("signed_by")
    return cast("QuerySet[Report]", found)
