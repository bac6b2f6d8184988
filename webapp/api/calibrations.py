"""Calibrations for a scanner by REST."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import AdministratorsOnly
from webapp.api.described import serializer_of
from webapp.api.lookup import validated
from webapp.api.serializers import JobSerializer
from webapp.jobs.selectors import with_their_job
from webapp.retraining.calibrations import JudgedScanner, calibration_request, scanners_judged
from webapp.retraining.models import ScannerCalibration

JudgedScannerSerializer = serializer_of(JudgedScanner)


class CalibrationRequestSerializer(serializers.Serializer[Any]):
    """The scanner to calibrate the active version for."""

    scanner = serializers.CharField(max_length=100, help_text="As in `scanner` of a slide.")


class CalibrationSerializer(serializers.ModelSerializer[ScannerCalibration]):
    """A calibration. parent: the version that was calibrated; version: what came of it, null until then.

    figures: how many judged figures it rests on. result: the shift of the logit now and `before`, the figures by
    verdict, those that the version missed, and F1 at 0.5 on them before and after. remark: why it was not compared.
    """

    job = JobSerializer()
    figures = serializers.SerializerMethodField()
    result = serializers.DictField(child=serializers.FloatField(), allow_null=True)

    class Meta:
        model = ScannerCalibration
        fields = ["id", "scanner", "at", "job", "parent", "version", "figures", "figures_sha256", "result", "remark"]

    @extend_schema_field(OpenApiTypes.INT)
    def get_figures(self, calibration: ScannerCalibration) -> int:
        return len(calibration.figures)


class CalibrationViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ScannerCalibration]
):
    """Calibrating the active version for a scanner, by judged figures."""

    serializer_class = CalibrationSerializer
    queryset = with_their_job(ScannerCalibration.objects.all())

    @extend_schema(request=CalibrationRequestSerializer, responses={202: CalibrationSerializer})
    def create(self, request: Request) -> Response:
        """Freeze the judged figures of a scanner, and calibrate."""
        scanner = validated(CalibrationRequestSerializer, request.data)["scanner"]
        calibration = calibration_request(scanner=scanner, by=self.person)
        return Response(CalibrationSerializer(calibration).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=JudgedScannerSerializer(many=True), filters=False)
    @action(detail=False, pagination_class=None)
    def scanners(self, request: Request) -> Response:
        """Every scanner of the slides here, and the judged figures that a calibration for it can use."""
        return Response(JudgedScannerSerializer(scanners_judged(), many=True).data)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def figures(self, request: Request, pk: str) -> Response:
        """The judged figures, as they were frozen, in level-0 pixels, with their scores."""
        calibration = self.get_object()
        return Response({"scanner": calibration.scanner, "figures": calibration.figures})
