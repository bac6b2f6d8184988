"""The mitotic count."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers

from webapp.api.described import serializer_of
from webapp.api.fast_view import FastView
from webapp.api.lookup import run_or_newest, validated
from webapp.results.count import mitosis_count_seen
from webapp.results.question import SHAPES
from webapp.results.types import Count
from webapp.slides.models import Slide


class CountQuerySerializer(serializers.Serializer[Any]):
    """How to count, by default as the slide's study does, and by which run (the newest by default)."""

    min_score = serializers.FloatField(min_value=0, max_value=1, default=settings.DEFAULT_MIN_SCORE)
    area_mm2 = serializers.FloatField(
        min_value=0.0001,
        max_value=100,
        required=False,
        help_text="Evaluable in the hotspot; the study's, the rule's, or 2.",
    )
    shape = serializers.ChoiceField(
        choices=SHAPES, required=False, help_text="Of the hotspot; fields: ten circles of a tenth of the area each."
    )
    rule = serializers.CharField(required=False, help_text="Id of the rule of the score.")
    run = serializers.UUIDField(required=False)


_HOTSPOT = {
    "x": 24180.5, "y": 30977.25, "shape": "circle", "area_mm2": 2.0, "count": 17, "count_per_mm2": 8.5,
    "interval": [9.903, 27.219], "unseen": 2, "evaluable_mm2": 2.0, "reach_mm": 0.832, "fields": [],
}  # fmt: skip
_SCORE = {
    "value": 3,
    "rule": {
        "id": "per-mm2",
        "name": "Density: above 3 and from 8 per mm²",
        "version": 1,
        "source": "Bonert and Tate 2017, BioMedical Engineering OnLine, doi:10.1186/s12938-016-0301-z",
        "area_mm2": 2.0,
        "cut_offs": [7, 16],
    },
    "to_next": None,
    "interval": [9.903, 27.219],
    "small_sample": False,
}
_VALUE = {"count": 96, "count_per_mm2": 1.02, "hotspots": [_HOTSPOT], "score": _SCORE}
_EXAMPLE = {
    "slide": "6f1c8b1e-2a51-4f0e-9a55-0d0f4ce1a6c7", "run": "b7a0e7a2-7a86-4b7e-8a0e-3d2f9c54f0d1",
    "min_score": 0.5, "area_mm2": 2.0, "shape": "circle", "count": 96, "count_per_mm2": 1.02, "hotspot": _HOTSPOT,
    "score": _SCORE, "tissue_mm2": 94.1, "reason": "", "ai": {**_VALUE, "count": 101, "count_per_mm2": 1.07},
    "reviewed": _VALUE, "stale": [],
    "judged": {"mitotic": 20, "non_mitotic": 6, "unsure": 1, "added": 2, "unseen": 76, "atypical": None},
    "model": {"name": "mitoscope", "sha256": "8c3f..."}, "parameters": {"floor": 0.2}, "mpp": [0.2519, 0.2519],
    "code_version": "0.2.0", "detected_at": "2026-11-25T10:12:00Z", "use": "research use only",
    "review": {"state": "partly reviewed", "judged": 15, "of": 18, "left": 0},
}  # fmt: skip


class CountView(FastView):
    """The number."""

    @extend_schema(
        parameters=[CountQuerySerializer],
        responses=serializer_of(Count),
        examples=[OpenApiExample("a slide that was reviewed in part", value=_EXAMPLE, response_only=True)],
    )
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """The mitotic count of a slide with its hotspots and score, and what they rest on.

        Whoever asks again with the ETag as `If-None-Match` is answered 304 where nothing has changed.
        """
        query = validated(CountQuerySerializer, request.GET) if request.GET else {}
        run = query.pop("run", None)
        answer = mitosis_count_seen(user=user, slide=pk, run=run, **query)
        if answer is None:  # say which of the reasons it is
            slide: Slide = get_object_or_404(Slide.objects.visible_to(user), pk=pk)
            run_or_newest(slide, run)
            raise Http404
        same = request.headers.get("If-None-Match") == answer.tag
        response = HttpResponse(status=304) if same else HttpResponse(answer.body, content_type="application/json")
        response["ETag"] = answer.tag
        response["Cache-Control"] = "private, no-cache"
        return response
