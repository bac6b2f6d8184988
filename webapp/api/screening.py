"""Screening: what the person who asks has seen of a slide."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.annotations.selectors import run_current
from webapp.api.described import serializer_of
from webapp.api.lookup import run_or_newest, validated
from webapp.api.review import ReviewView
from webapp.screening.selectors import ScreeningCoverage, ScreeningProgress, coverage_of, progress_of
from webapp.screening.services import MOST_RUNS, cells_see, screening_forget

_COVERAGE, _PROGRESS = serializer_of(ScreeningCoverage), serializer_of(ScreeningProgress)


class ScreeningQuerySerializer(serializers.Serializer[Any]):
    """Of which run the sensitivity is, the newest by default, and at which threshold."""

    run = serializers.UUIDField(required=False)
    min_score = serializers.FloatField(min_value=0, max_value=1, required=False)


class SeenSerializer(serializers.Serializer[Any]):
    """Cells that were seen, as [row, first column, one after the last]. x, y: level-0 px, where the reader is."""

    cells = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(min_value=0), min_length=3, max_length=3),
        max_length=MOST_RUNS,
    )
    x = serializers.FloatField(required=False)
    y = serializers.FloatField(required=False)


class ScreeningView(ReviewView):
    """What you have seen of a slide."""

    @extend_schema(parameters=[ScreeningQuerySerializer], responses=_COVERAGE)
    def get(self, request: Request, pk: UUID) -> Response:
        """Your cells that were seen, with how much of the evaluable area that is.

        Bits are row by row, the first cell in the highest bit of the first byte, in base64. The sensitivity is of the
        mitotic figures in what you have seen: how many the detector has found.
        """
        slide = self.slide(request, pk)
        coverage = coverage_of(slide=slide, reader=cast(User, request.user), **self._asked(request, slide))
        return Response(_COVERAGE(coverage).data)

    @extend_schema(
        parameters=[ScreeningQuerySerializer],
        request=SeenSerializer,
        examples=[OpenApiExample("two rows", value={"cells": [[10, 4, 13], [11, 4, 13]]}, request_only=True)],
        responses=_PROGRESS,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Add cells that were shown long enough at a fine enough scale; the same again change nothing."""
        slide, reader = self.slide(request, pk), cast(User, request.user)
        asked = self._asked(request, slide)
        sent = validated(SeenSerializer, request.data)
        cells_see(slide=slide, reader=reader, runs=sent["cells"], x=sent.get("x"), y=sent.get("y"))
        return Response(_PROGRESS(progress_of(slide=slide, reader=reader, **asked)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Begin anew: forget what you have seen of the slide."""
        screening_forget(slide=self.slide(request, pk), reader=cast(User, request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _asked(self, request: Request, slide: Any) -> dict[str, Any]:
        query = validated(ScreeningQuerySerializer, request.query_params)
        run = run_or_newest(slide, query["run"]) if "run" in query else run_current(slide=slide)
        return {"run": run, "min_score": query.get("min_score", settings.DEFAULT_MIN_SCORE)}
