"""Mining runs: request, cost, samples, verdicts and rejections."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.annotations.models import Label
from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import page_of, validated
from webapp.api.serializers import JobSerializer
from webapp.registry.models import ModelVersion
from webapp.results.filters import Filters, slides_filtered
from webapp.retraining.mining import mined_sample_judge, mined_samples_reject, mined_samples_restore, mining_request
from webapp.retraining.models import MinedSample, MiningRun
from webapp.retraining.selectors import (
    estimate_of,
    mining_runs_shown,
    precision_among,
    precision_of,
    samples_to_judge,
    slides_unlabelled,
)
from webapp.slides.models import Slide, Study


class MiningRequestSerializer(serializers.Serializer[Any]):
    """Slides by id; or unlabelled slides of a study that match, at most `most`."""

    slides = serializers.ListField(child=serializers.UUIDField(), required=False)
    study = serializers.IntegerField(required=False)
    matching = serializers.DictField(
        child=serializers.CharField(allow_blank=True),
        required=False,
        help_text="As in the list of slides: search, case, scanner, since, until, min_count, max_count.",
    )
    most = serializers.IntegerField(min_value=1, max_value=10**9, required=False, help_text="At most so many.")
    model = serializers.UUIDField(required=False, help_text="The active version by default.")
    first_look = serializers.FloatField(default=settings.MINING_FIRST_LOOK)
    agreement = serializers.FloatField(default=settings.MINING_AGREEMENT)


class EstimateSerializer(serializers.Serializer[Any]):
    """Cost of a mining run. seconds: null where no speed was measured here yet."""

    slides = serializers.IntegerField()
    tissue_mm2 = serializers.FloatField()
    seconds = serializers.FloatField(allow_null=True)
    rests_on = serializers.CharField()


class PrecisionSerializer(serializers.Serializer[Any]):
    """Precision in the random draw, with its 95 % interval; fit: null where undecided."""

    judged = serializers.IntegerField()
    mitotic = serializers.IntegerField()
    of = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    interval = serializers.ListField(child=serializers.FloatField())
    fit = serializers.BooleanField(allow_null=True)
    sentence = serializers.CharField()


class MiningRunSerializer(serializers.ModelSerializer[MiningRun]):
    """A row of `mining_runs_shown`, with its precision so far."""

    job = JobSerializer()
    samples = serializers.IntegerField(source="sample_count")
    precision = serializers.SerializerMethodField()

    class Meta:
        model = MiningRun
        fields = ["id", "model", "first_look", "agreement", "at", "job", "samples", "precision"]

    @extend_schema_field(PrecisionSerializer)
    def get_precision(self, run: Any) -> Any:
        return PrecisionSerializer(precision_among(drawn=run.drawn)).data


class MinedSampleSerializer(serializers.ModelSerializer[MinedSample]):
    """x, y: level-0 pixels. scores: confidence under each of the eight flips and rotations."""

    class Meta:
        model = MinedSample
        fields = ["id", "slide", "x", "y", "scores", "least", "verdict", "verdict_at", "rejected"]


class SampleVerdictSerializer(serializers.Serializer[Any]):
    """A verdict on a sample."""

    sample = serializers.IntegerField()
    label = serializers.ChoiceField(Label.choices, allow_blank=True)  # type: ignore[assignment]


class RejectSerializer(serializers.Serializer[Any]):
    """One of the three."""

    sample = serializers.IntegerField(required=False)
    slide = serializers.UUIDField(required=False)
    below = serializers.FloatField(required=False)


class ChangedSerializer(serializers.Serializer[Any]):
    """How many samples were changed."""

    changed = serializers.IntegerField()


class MiningRunViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[MiningRun]
):
    """Mining of unlabelled slides."""

    serializer_class = MiningRunSerializer
    queryset = mining_runs_shown()

    @extend_schema(request=MiningRequestSerializer, responses={202: MiningRunSerializer})
    def create(self, request: Request) -> Response:
        """Mine slides."""
        sent = validated(MiningRequestSerializer, request.data)
        model = get_object_or_404(ModelVersion, pk=sent["model"]) if sent.get("model") else None
        run = mining_request(
            slides=requested_slides(sent, self.person), by=self.person, model=model, first_look=sent["first_look"],
            agreement=sent["agreement"],
        )  # fmt: skip
        return Response(MiningRunSerializer(mining_runs_shown().get(pk=run.pk)).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=MiningRequestSerializer, responses=EstimateSerializer)
    @action(detail=False, methods=["post"])
    def estimate(self, request: Request) -> Response:
        """The cost; nothing is queued."""
        slides = requested_slides(validated(MiningRequestSerializer, request.data), self.person)
        return Response(EstimateSerializer(estimate_of(slides=slides)).data)

    @extend_schema(responses=MinedSampleSerializer(many=True))
    @action(detail=True)
    def samples(self, request: Request, pk: str) -> Response:
        """All samples, highest confidence first."""
        return page_of(self, self.get_object().samples.all(), MinedSampleSerializer)

    @extend_schema(responses=MinedSampleSerializer(many=True))
    @action(detail=True)
    def drawn(self, request: Request, pk: str) -> Response:
        """The random draw that a person judges to measure the precision."""
        return page_of(self, samples_to_judge(run=self.get_object()), MinedSampleSerializer)

    @extend_schema(request=SampleVerdictSerializer, responses=PrecisionSerializer)
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, pk: str) -> Response:
        """Give a verdict on a sample; answers the precision so far."""
        run, sent = self.get_object(), validated(SampleVerdictSerializer, request.data)
        sample = get_object_or_404(MinedSample, run=run, pk=sent["sample"])
        mined_sample_judge(sample=sample, label=sent["label"], by=self.person)
        return Response(PrecisionSerializer(precision_of(run=run)).data)

    @extend_schema(request=RejectSerializer, responses=ChangedSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Reject one sample, those of a slide, or those below a confidence."""
        sent = validated(RejectSerializer, request.data)
        return Response({"changed": mined_samples_reject(run=self.get_object(), by=self.person, **sent)})

    @extend_schema(request=None, responses=ChangedSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Undo all rejections."""
        return Response({"changed": mined_samples_restore(run=self.get_object())})


def requested_slides(sent: dict[str, Any], by: User) -> list[Slide]:
    """The slides by id, else the unlabelled ones that match."""
    if "slides" in sent or not ("study" in sent or "matching" in sent):
        return list(Slide.objects.filter(pk__in=sent.get("slides", [])).select_related("case").order_by("name", "pk"))
    study = get_object_or_404(Study, pk=sent["study"]) if "study" in sent else None
    filters = Filters.of(sent.get("matching", {}))
    rows = slides_filtered(
        slides=slides_unlabelled(study=study), user=by, filters=filters, min_score=settings.DEFAULT_MIN_SCORE
    )
    return list(rows[: sent["most"]] if "most" in sent else rows)
