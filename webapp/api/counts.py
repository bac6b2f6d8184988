"""The mitotic count."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers

from webapp.api.fast_view import FastView
from webapp.api.lookup import run_or_newest, validated
from webapp.results.count import mitosis_count_seen
from webapp.results.question import question
from webapp.slides.models import Slide


class CountQuerySerializer(serializers.Serializer[Any]):
    """How to count, and by which run (the newest by default)."""

    min_score = serializers.FloatField(min_value=0, max_value=1, default=0.5)
    area_mm2 = serializers.FloatField(
        min_value=0.0001, max_value=100, required=False, help_text="Area of the hotspot; the rule's, or 2, by default."
    )
    shape = serializers.ChoiceField(choices=["circle", "square"], default="circle", help_text="Of the hotspot.")
    rule = serializers.CharField(required=False, help_text="Id of the rule of the score; the laboratory's by default.")
    run = serializers.UUIDField(required=False)


class HotspotSerializer(serializers.Serializer[Any]):
    """Where the shape holds the most figures, wholly on the slide, in the tumour regions, outside exclusions.

    x, y: its centre in level-0 pixels. interval: 95 % Poisson interval of the count. unseen: figures in it that nobody
    has judged.
    """

    x = serializers.FloatField()
    y = serializers.FloatField()
    shape = serializers.ChoiceField(choices=["circle", "square"])
    area_mm2 = serializers.FloatField()
    count = serializers.IntegerField()
    count_per_mm2 = serializers.FloatField()
    interval = serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)
    unseen = serializers.IntegerField()


class RuleSerializer(serializers.Serializer[Any]):
    """The rule of a score. cut_offs: the counts in area_mm2 from which the score is 2, and 3."""

    id = serializers.CharField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    area_mm2 = serializers.FloatField()
    cut_offs = serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2)


class ScoreSerializer(serializers.Serializer[Any]):
    """The mitotic score of the hotspot. to_next: how many figures more would raise it, null at 3.

    interval: 95 % Poisson interval of the count that was scored.
    """

    value = serializers.IntegerField(min_value=1, max_value=3)
    rule = RuleSerializer()
    to_next = serializers.IntegerField(allow_null=True)
    interval = serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)


class ValueSerializer(serializers.Serializer[Any]):
    """A count with its three best hotspots that do not overlap, and the score of the first."""

    count = serializers.IntegerField()
    count_per_mm2 = serializers.FloatField(allow_null=True, help_text="By tissue area.")
    hotspots = HotspotSerializer(many=True)
    score = ScoreSerializer(allow_null=True)


class JudgedSerializer(serializers.Serializer[Any]):
    """Verdicts on the ground where figures are counted. added: mitotic figures that the detector missed."""

    mitotic = serializers.IntegerField()
    non_mitotic = serializers.IntegerField()
    unsure = serializers.IntegerField()
    added = serializers.IntegerField()
    unseen = serializers.IntegerField(help_text="Candidates from min_score on that nobody has judged.")


class CountModelSerializer(serializers.Serializer[Any]):
    """The model version that detected."""

    name = serializers.CharField()
    sha256 = serializers.CharField()


class CountSerializer(serializers.Serializer[Any]):
    """The count and what it rests on. count, count_per_mm2, hotspot and score repeat the reviewed value."""

    slide = serializers.UUIDField()
    run = serializers.UUIDField()
    min_score = serializers.FloatField()
    area_mm2 = serializers.FloatField()
    shape = serializers.ChoiceField(choices=["circle", "square"])
    count = serializers.IntegerField()
    count_per_mm2 = serializers.FloatField(allow_null=True)
    hotspot = HotspotSerializer(allow_null=True)
    score = ScoreSerializer(allow_null=True)
    tissue_mm2 = serializers.FloatField(allow_null=True, help_text="Tissue on the ground where figures are counted.")
    reason = serializers.CharField(allow_blank=True, help_text="Why there is no density or score, where there is none.")
    ai = ValueSerializer(help_text="The detector's value, verdicts ignored.")
    reviewed = ValueSerializer(help_text="The readers' value; equal to ai where nobody has judged.")
    judged = JudgedSerializer()
    stale = serializers.ListField(child=serializers.CharField(), help_text="Why this may not be the last word.")
    model = CountModelSerializer()
    parameters = serializers.JSONField()
    mpp = serializers.ListField(
        child=serializers.FloatField(), min_length=2, max_length=2, help_text="Of the slide; areas follow from it."
    )
    code_version = serializers.CharField()
    detected_at = serializers.DateTimeField()
    use = serializers.CharField()


_HOTSPOT = {
    "x": 24180.5, "y": 30977.25, "shape": "circle", "area_mm2": 2.0, "count": 17, "count_per_mm2": 8.5,
    "interval": [9.903, 27.219], "unseen": 2,
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
}
_VALUE = {"count": 96, "count_per_mm2": 1.02, "hotspots": [_HOTSPOT], "score": _SCORE}
_EXAMPLE = {
    "slide": "6f1c8b1e-2a51-4f0e-9a55-0d0f4ce1a6c7", "run": "b7a0e7a2-7a86-4b7e-8a0e-3d2f9c54f0d1",
    "min_score": 0.5, "area_mm2": 2.0, "shape": "circle", "count": 96, "count_per_mm2": 1.02, "hotspot": _HOTSPOT,
    "score": _SCORE, "tissue_mm2": 94.1, "reason": "", "ai": {**_VALUE, "count": 101, "count_per_mm2": 1.07},
    "reviewed": _VALUE, "judged": {"mitotic": 20, "non_mitotic": 6, "unsure": 1, "added": 2, "unseen": 76}, "stale": [],
    "model": {"name": "mitoscope", "sha256": "8c3f..."}, "parameters": {"floor": 0.2}, "mpp": [0.2519, 0.2519],
    "code_version": "0.2.0", "detected_at": "2026-11-25T10:12:00Z", "use": "research use only",
}  # fmt: skip


class CountView(FastView):
    """The number."""

    @extend_schema(
        parameters=[CountQuerySerializer],
        responses=CountSerializer,
        examples=[OpenApiExample("a slide that was reviewed in part", value=_EXAMPLE, response_only=True)],
    )
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """The mitotic count of a slide with its hotspots and score, and what they rest on.

        Whoever asks again with the ETag as `If-None-Match` is answered 304 where nothing has changed.
        """
        query = validated(CountQuerySerializer, request.GET) if request.GET else {}
        run = query.pop("run", None)
        count = mitosis_count_seen(user=user, slide=pk, run=run, asked=question(**query))
        if count is None:  # say which of the reasons it is
            slide: Slide = get_object_or_404(Slide.objects.visible_to(user), pk=pk)
            run_or_newest(slide, run)
            raise Http404
        same = request.headers.get("If-None-Match") == count.tag
        response = HttpResponse(status=304) if same else HttpResponse(count.body, content_type="application/json")
        response["ETag"] = count.tag
        response["Cache-Control"] = "private, no-cache"
        return response
