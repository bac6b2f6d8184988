"""Slides, their candidates and counts."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.db.models import OuterRef, QuerySet, Subquery
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.annotations.models import Run
from webapp.annotations.selectors import candidates_in
from webapp.annotations.services import detection_request, detection_request_if_wanted
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import checked, run_or_newest
from webapp.api.serializers import (
    DetectionQuerySerializer,
    DetectionRequestSerializer,
    DetectionsSerializer,
    JobSerializer,
    MppSerializer,
    RunSerializer,
    SlideSerializer,
)
from webapp.registry.models import ModelVersion
from webapp.slides.models import Slide
from webapp.slides.services import slide_set_mpp

_FILTERS = [
    OpenApiParameter("state", str, description="preparing, needs_mpp, ready or refused"),
    OpenApiParameter("case", str, description="identifier of the case"),
    OpenApiParameter("search", str, description="part of the name or the case identifier"),
]


@extend_schema_view(list=extend_schema(parameters=_FILTERS))
class SlideViewSet(Idempotent, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Slide]):
    """Slides that you may see."""

    serializer_class = SlideSerializer
    queryset = Slide.objects.none()

    def get_queryset(self) -> QuerySet[Slide]:
        newest = Run.objects.filter(slide=OuterRef("pk")).order_by("-created_at").values("pk")[:1]
        slides = Slide.objects.visible_to(self.request.user).select_related("case__study")
        slides = slides.annotate(newest_run=Subquery(newest))
        query = self.request.query_params
        if state := query.get("state"):
            slides = slides.filter(state=state)
        if case := query.get("case"):
            slides = slides.filter(case__identifier=case)
        if search := query.get("search"):
            slides = slides.search(search, self.request.user)
        return slides

    @extend_schema(methods=["GET"], parameters=[DetectionQuerySerializer], responses=DetectionsSerializer)
    @extend_schema(methods=["POST"], request=DetectionRequestSerializer, responses={202: JobSerializer})
    @action(detail=True, methods=["get", "post"])
    def detections(self, request: Request, pk: str) -> Response:
        """Candidates of a run (GET), or ask for a new detection (POST: 202 and a job)."""
        slide = self.get_object()
        if request.method == "POST":
            data = checked(DetectionRequestSerializer, request.data)
            model = get_object_or_404(ModelVersion, pk=data["model"]) if "model" in data else None
            job = detection_request(slide=slide, by=cast(User, request.user), model=model)
            return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
        query = checked(DetectionQuerySerializer, request.query_params)
        run = run_or_newest(slide, query.get("run"))
        rows = candidates_in(run=run, min_score=query["min_score"], box=query.get("bbox"))
        page = rows[query["offset"] : query["offset"] + query["limit"]]
        body = {"run": run.pk, "min_score": query["min_score"], "total": rows.count()}
        return Response({**body, "results": list(page.values("x", "y", "score"))})

    @extend_schema(responses=RunSerializer(many=True), filters=False, parameters=[])
    @action(detail=True, pagination_class=None)
    def runs(self, request: Request, pk: str) -> Response:
        """All runs over a slide, the newest first, each with its stamp."""
        return Response(RunSerializer(Run.objects.filter(slide=self.get_object()), many=True).data)

    @extend_schema(request=MppSerializer, responses=SlideSerializer)
    @action(detail=True, methods=["post"])
    def mpp(self, request: Request, pk: str) -> Response:
        """Enter um/px where the file has none. A detection that waits for it begins."""
        data = checked(MppSerializer, request.data)
        slide = slide_set_mpp(slide=self.get_object(), mpp=data["mpp"], user=cast(User, request.user))
        detection_request_if_wanted(slide=slide)
        return Response(self.get_serializer(self.get_object()).data)
