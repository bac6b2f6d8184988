"""Model versions: list, model card, comparison, promotion, rollback, detection again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.annotations.services import detection_request
from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import page_of, validated
from webapp.api.mining import requested_slides
from webapp.api.serializers import JobSerializer, ModelVersionSerializer
from webapp.core.errors import DomainError
from webapp.jobs.selectors import with_their_job
from webapp.registry.models import ModelVersion
from webapp.registry.privacy import record_for
from webapp.registry.services import version_promote, version_roll_back
from webapp.retraining.judgements import judgement_request
from webapp.retraining.models import Judgement
from webapp.retraining.selectors import model_card


class JudgementSerializer(serializers.ModelSerializer[Judgement]):
    """A comparison with the version that was active. reviewed: slides of locked cases that were read to the end here.

    left_out: locked cases that take no part, or with a part of their slides, and why.
    """

    job = JobSerializer()
    reviewed = serializers.ListField(child=serializers.UUIDField())
    left_out = serializers.DictField(child=serializers.CharField())
    result = serializers.DictField(allow_null=True)

    class Meta:
        model = Judgement
        fields = ["id", "version", "active", "cases", "reviewed", "left_out", "verdict", "why", "result", "at", "job"]


class ReasonSerializer(serializers.Serializer[Any]):
    """The reason; recorded with your name."""

    reason = serializers.CharField()


class RerunSerializer(serializers.Serializer[Any]):
    """Slides to detect on again with this version."""

    slides = serializers.ListField(child=serializers.UUIDField())


class RerunAnswerSerializer(serializers.Serializer[Any]):
    """Jobs that were queued, and slides without one, each with the reason."""

    jobs = serializers.ListField(child=serializers.UUIDField())
    refused = serializers.DictField(child=serializers.CharField())


class VersionActionsViewSet(AdministratorsOnly, viewsets.GenericViewSet[ModelVersion]):
    """Comparing and promoting model versions."""

    serializer_class = ModelVersionSerializer
    queryset = ModelVersion.objects.all()

    @extend_schema(request=None, responses={202: JudgementSerializer})
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, pk: str) -> Response:
        """Queue the comparison with the active version on the locked test cases."""
        judgement = judgement_request(version=self.get_object(), by=self.person)
        return Response(JudgementSerializer(judgement).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=JudgementSerializer(many=True))
    @action(detail=True)
    def judgements(self, request: Request, pk: str) -> Response:
        """Its comparisons, newest first."""
        return page_of(self, with_their_job(self.get_object().judgements.all()), JudgementSerializer)

    @extend_schema(request=ReasonSerializer, responses=ModelVersionSerializer)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str) -> Response:
        """Make it the active version."""
        reason = validated(ReasonSerializer, request.data)["reason"]
        promotion = version_promote(version=self.get_object(), by=self.person, reason=reason)
        promotion.version.refresh_from_db()
        return Response(self.get_serializer(promotion.version).data)

    @extend_schema(request=None, responses=ModelVersionSerializer)
    @action(detail=False, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request) -> Response:
        """Make the version that the last promotion replaced the active one again."""
        version = version_roll_back(by=self.person).version
        version.refresh_from_db()
        return Response(self.get_serializer(version).data)

    @extend_schema(request=RerunSerializer, responses={202: RerunAnswerSerializer})
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, pk: str) -> Response:
        """Detect on slides again with this version; earlier runs stay."""
        version, jobs, refused = self.get_object(), [], {}
        for slide in requested_slides(validated(RerunSerializer, request.data), self.person):
            try:
                jobs.append(detection_request(slide=slide, by=self.person, model=version).pk)
            except DomainError as error:
                refused[str(slide.pk)] = str(error)
        return Response({"jobs": jobs, "refused": refused}, status=status.HTTP_202_ACCEPTED)


class CardView(APIView):
    """Model cards, readable by every signed-in person."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: UUID) -> Response:
        """The model card, with the provenance that is on record. Of a version that was trained here only administrators
        read names of slides, cases and people; all others read how many."""
        version = get_object_or_404(ModelVersion, pk=pk)
        return Response(record_for(record=model_card(version=version), version=version, user=request.user))


class ModelVersionViewSet(viewsets.ReadOnlyModelViewSet[ModelVersion]):
    """Model versions, readable by every signed-in person."""

    serializer_class = ModelVersionSerializer
    queryset = ModelVersion.objects.all()
