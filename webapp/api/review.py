"""Review: all candidates at once, verdicts, regions, and two runs side by side."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.annotations.models import Figure, Region, Run
from webapp.annotations.selectors import (
    atypical_of,
    candidates_packed,
    figures_of,
    figures_version,
    run_current,
    runs_compare,
)
from webapp.annotations.services import VerdictConflict, figure_judge, region_draw, region_remove
from webapp.api.errors import problem
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import run_or_newest, validated
from webapp.api.serializers import (
    AtypicalSerializer,
    CompareQuerySerializer,
    CompareSerializer,
    FigureSerializer,
    FiguresSerializer,
    HistorySerializer,
    RegionSerializer,
    RunQuerySerializer,
    VerdictSerializer,
)
from webapp.slides.models import Slide
from webapp.slides.roles import Right, demand_on


class ReviewView(Idempotent):
    """About one slide."""

    def slide(self, request: Request, pk: UUID) -> Slide:
        """The slide; what is sent about it comes from who may judge."""
        slides = Slide.objects.visible_to(request.user).select_related("case")
        slide: Slide = get_object_or_404(slides, pk=pk)
        if request.method not in {"GET", "HEAD"}:
            demand_on(Right.JUDGE, slide, request.user)
        return slide


class CandidatesView(ReviewView):
    """All candidates of a run in one compact answer."""

    @extend_schema(parameters=[RunQuerySerializer], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """All stored candidates, best first, as little-endian columns: 20 bytes each after a header of 16.

        Two float64: how many (n), and the smallest key; then score float64[n], x float32[n], y float32[n] in level-0
        pixels, key - smallest key uint32[n]. A run never changes, so this answer may be kept for good.
        """
        run = run_or_newest(self.slide(request, pk), validated(RunQuerySerializer, request.query_params).get("run"))
        tag = f'"{run.pk}"'
        known = request.headers.get("If-None-Match") == tag
        response = HttpResponse(
            b"" if known else candidates_packed(run=run),
            content_type="application/octet-stream",
            status=status.HTTP_304_NOT_MODIFIED if known else status.HTTP_200_OK,
        )
        response["ETag"] = tag
        # With ?run= the address names what never changes; without it a newer run may come.
        patch_cache_control(response, private=True, max_age=86400 if "run" in request.query_params else 0)
        return response


class AtypicalView(ReviewView):
    """Which candidates may be atypical mitotic figures."""

    @extend_schema(parameters=[RunQuerySerializer], responses=AtypicalSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """How likely the candidates of a run are atypical; none where the study did not ask when it was made."""
        run = run_or_newest(self.slide(request, pk), validated(RunQuerySerializer, request.query_params).get("run"))
        known = list(atypical_of(run=run))
        columns = zip(*known, strict=True) if known else ((), ())
        keys, likely = columns
        return Response(AtypicalSerializer({"run": run.pk, "candidates": keys, "probabilities": likely}).data)


class FiguresView(ReviewView):
    """Judged figures of a slide."""

    @extend_schema(parameters=[RunQuerySerializer], responses=FiguresSerializer, operation_id="slides_figures_list")
    def get(self, request: Request, pk: UUID) -> Response:
        """The judged figures, each with its current verdict; 304 by `If-None-Match` while nothing changed."""
        slide, run = self._slide_and_run(request, pk)
        version = figures_version(slide=slide)
        tag = f'"{run.pk if run else ""}-{version}"'
        if request.headers.get("If-None-Match") == tag:
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": tag})
        figures = figures_of(slide=slide, run=run).order_by("pk")
        body = FiguresSerializer({"run": run and run.pk, "version": version, "results": figures})
        return Response(body.data, headers={"ETag": tag, "Cache-Control": "private, no-cache"})

    @extend_schema(
        parameters=[RunQuerySerializer],
        request=VerdictSerializer,
        examples=[OpenApiExample("a verdict", value={"label": "mitotic", "x": 1204.5, "y": 880.25}, request_only=True)],
        responses={200: FigureSerializer, 409: dict},
        operation_id="slides_figures_judge",
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Give a verdict; where neither a candidate nor a figure is within 7.5 um, a missed figure is added.

        409 where somebody else judged the figure since `expected`: `figure` in the answer is its current state.
        """
        slide, run = self._slide_and_run(request, pk)
        data = validated(VerdictSerializer, request.data)
        try:
            figure = figure_judge(slide=slide, by=cast(User, request.user), **data)
        except VerdictConflict as conflict:
            holds = conflict.figure and _shown(figures_of(slide=slide, run=run), conflict.figure)
            return problem(conflict.status, str(conflict), figure=holds)
        return Response(_shown(figures_of(slide=slide, run=run), figure))

    def _slide_and_run(self, request: Request, pk: UUID) -> tuple[Slide, Run | None]:
        slide = self.slide(request, pk)
        asked = validated(RunQuerySerializer, request.query_params).get("run")
        return slide, run_or_newest(slide, asked) if asked else run_current(slide=slide)


class FigureView(ReviewView):
    """The history of one figure."""

    @extend_schema(responses=HistorySerializer(many=True), operation_id="slides_figures_history")
    def get(self, request: Request, pk: UUID, figure: UUID) -> Response:
        """Every verdict on a figure, the first one first. Nothing is ever overwritten."""
        found = get_object_or_404(Figure, pk=figure, slide=self.slide(request, pk))
        return Response(HistorySerializer(found.verdicts.select_related("by"), many=True).data)


class RegionsView(ReviewView):
    """Tumour regions and exclusions."""

    @extend_schema(responses=RegionSerializer(many=True), operation_id="slides_regions_list")
    def get(self, request: Request, pk: UUID) -> Response:
        """The current regions."""
        regions = Region.objects.current().filter(slide=self.slide(request, pk)).select_related("by", "slide")
        return Response(RegionSerializer(regions, many=True).data)

    @extend_schema(
        request=RegionSerializer,
        examples=[
            OpenApiExample(
                "a triangle",
                value={"kind": "tumour", "polygon": [[100, 100], [900, 100], [500, 700]]},
                request_only=True,
            )
        ],
        responses={201: RegionSerializer, 409: dict},
        operation_id="slides_regions_draw",
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Keep a polygon. With `replaces` it is an edit: the old one ends and stays in the history."""
        slide = self.slide(request, pk)
        sent = RegionSerializer(data=request.data, slide=slide)
        sent.is_valid(raise_exception=True)
        region = region_draw(slide=slide, by=cast(User, request.user), **sent.validated_data)
        return Response(RegionSerializer(region).data, status=status.HTTP_201_CREATED)


class RegionView(ReviewView):
    """One region."""

    @extend_schema(responses={204: None, 409: dict})
    def delete(self, request: Request, pk: UUID, region: UUID) -> Response:
        """End a region; it stays in the history."""
        found = get_object_or_404(Region, pk=region, slide=self.slide(request, pk))
        region_remove(region=found, by=cast(User, request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CompareView(ReviewView):
    """Two runs over one slide."""

    @extend_schema(parameters=[CompareQuerySerializer], responses=CompareSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """Candidates of both runs at a threshold: how many agree, and those found by one run alone."""
        slide = self.slide(request, pk)
        query = validated(CompareQuerySerializer, request.query_params)
        run, other = run_or_newest(slide, query["run"]), run_or_newest(slide, query["other"])
        return Response(CompareSerializer(runs_compare(run=run, other=other, min_score=query["min_score"])).data)


def _shown(figures: QuerySet[Figure], figure: Figure) -> dict[str, object]:
    return dict(FigureSerializer(figures.get(pk=figure.pk)).data)
