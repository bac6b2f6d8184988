"""Slides, their candidates and counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import OuterRef, QuerySet, Subquery
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.annotations.models import Run
from webapp.annotations.selectors import candidates_in, newest_run
from webapp.annotations.services import detection_request, detection_request_if_wanted
from webapp.api.described import serializer_of
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import run_or_newest, validated
from webapp.api.serializers import (
    DetectionQuerySerializer,
    DetectionRequestSerializer,
    DetectionsSerializer,
    JobSerializer,
    MppSerializer,
    ReaderSerializer,
    RunSerializer,
    SlideSerializer,
)
from webapp.registry.models import ModelVersion
from webapp.results.filters import Filters, slides_filtered
from webapp.retraining.losses import SlideLosses, slide_delete_asked, slide_losses
from webapp.slides.models import Slide
from webapp.slides.roles import Right, demand_on
from webapp.slides.services import slide_assign, slide_set_mpp


class SlideFilterSerializer(serializers.Serializer[Any]):
    """Which slides."""

    state = serializers.ChoiceField(choices=Slide.State.choices, required=False)
    study = serializers.CharField(required=False, help_text="Name of the study.")
    case = serializers.CharField(required=False, help_text="Identifier of the case.")
    search = serializers.CharField(required=False, help_text="Part of the name or of the case's identifier.")
    scanner = serializers.CharField(required=False, help_text="As in `scanner` of a slide.")
    reader = serializers.CharField(required=False, help_text="Name of the assigned reader.")
    since = serializers.DateTimeField(required=False, help_text="Uploaded at or after this time.")
    until = serializers.DateField(required=False, help_text="Uploaded on this day or earlier.")
    min_count = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=10**9,
        help_text="Candidates at confidence 0.5 or more, by the newest run.",
    )
    max_count = serializers.IntegerField(required=False, min_value=0, max_value=10**9)


class DeletionSerializer(serializers.Serializer[Any]):
    """Whether to delete."""

    confirm = serializers.BooleanField(
        default=False, help_text="Also where verdicts, regions or mined samples would be lost."
    )


@extend_schema_view(list=extend_schema(parameters=[SlideFilterSerializer]))
class SlideViewSet(Idempotent, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Slide]):
    """Slides that you may see."""

    serializer_class = SlideSerializer
    queryset = Slide.objects.none()

    def get_queryset(self) -> QuerySet[Slide]:
        newest = newest_run(OuterRef("pk"))
        slides = Slide.objects.visible_to(self.request.user).select_related("case__study", "reader")
        slides = slides.annotate(newest_run=Subquery(newest))
        if self.action != "list":
            return slides
        filters = Filters(**validated(SlideFilterSerializer, self.request.query_params))
        return slides_filtered(
            slides=slides, user=self.request.user, filters=filters, min_score=settings.DEFAULT_MIN_SCORE
        )

    @extend_schema(parameters=[DeletionSerializer])
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a slide and its files, for managers of its study. `losses/` says what would be lost."""
        confirmed = validated(DeletionSerializer, request.query_params)["confirm"]
        slide_delete_asked(slide=self.get_object(), by=cast(User, request.user), confirmed=confirmed)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=serializer_of(SlideLosses), filters=False, parameters=[])
    @action(detail=True, pagination_class=None)
    def losses(self, request: Request, pk: str) -> Response:
        """What would be lost if the slide were deleted; nothing is changed."""
        return Response(asdict(slide_losses(slide=self.get_object())))

    @extend_schema(methods=["GET"], parameters=[DetectionQuerySerializer], responses=DetectionsSerializer)
    @extend_schema(methods=["POST"], request=DetectionRequestSerializer, responses={202: JobSerializer})
    @action(detail=True, methods=["get", "post"])
    def detections(self, request: Request, pk: str) -> Response:
        """Candidates of a run (GET), or request a detection (POST: 202 and a job)."""
        slide = self.get_object()
        if request.method == "POST":
            demand_on(Right.UPLOAD, slide, request.user)
            data = validated(DetectionRequestSerializer, request.data)
            model = get_object_or_404(ModelVersion, pk=data["model"]) if "model" in data else None
            job = detection_request(slide=slide, by=cast(User, request.user), model=model)
            return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
        query = validated(DetectionQuerySerializer, request.query_params)
        run = run_or_newest(slide, query.get("run"))
        rows = candidates_in(run=run, min_score=query["min_score"], box=query.get("bbox"))
        page = rows[query["offset"] : query["offset"] + query["limit"]]
        body = {"run": run.pk, "min_score": query["min_score"], "total": rows.count()}
        return Response({**body, "results": list(page.values("x", "y", "score"))})

    @extend_schema(responses=RunSerializer(many=True), filters=False, parameters=[])
    @action(detail=True, pagination_class=None)
    def runs(self, request: Request, pk: str) -> Response:
        """All runs over a slide, newest first."""
        return Response(RunSerializer(Run.objects.filter(slide=self.get_object()), many=True).data)

    @extend_schema(
        request=ReaderSerializer,
        responses=SlideSerializer,
        examples=[OpenApiExample("mine", value={"reader": "alice"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def reader(self, request: Request, pk: str) -> Response:
        """Assign a reader: you or another member of the study, or null."""
        name = validated(ReaderSerializer, request.data)["reader"]
        slide_assign(slide=self.get_object(), reader=name, by=cast(User, request.user))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        request=MppSerializer,
        responses=SlideSerializer,
        examples=[OpenApiExample("a 40x scan", value={"mpp": 0.25}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def mpp(self, request: Request, pk: str) -> Response:
        """Enter um/px where the file has none. A detection that waits for it begins."""
        data = validated(MppSerializer, request.data)
        slide = slide_set_mpp(slide=self.get_object(), mpp=data["mpp"], user=cast(User, request.user))
        detection_request_if_wanted(slide=slide)
        return Response(self.get_serializer(self.get_object()).data)
