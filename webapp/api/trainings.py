"""Trainings by REST."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import validated
from webapp.api.serializers import JobSerializer
from webapp.jobs.selectors import with_their_job
from webapp.registry.models import ModelVersion
from webapp.retraining.models import LabelledSet, MinedSample, MiningRun, TrainingRun
from webapp.retraining.trainings import training_again, training_request


class TrainingRequestSerializer(serializers.Serializer[Any]):
    """Training data and plan. Fields that `plan` leaves out are those of the plan `short`."""

    name = serializers.CharField(max_length=100)
    sets = serializers.ListField(child=serializers.UUIDField(), default=list)
    cases = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Of the sets; all by default."
    )
    verdicts = serializers.BooleanField(default=True, help_text="Also verdicts on slides.")
    mining = serializers.ListField(child=serializers.UUIDField(), default=list, help_text="Mining runs.")
    samples = serializers.ListField(child=serializers.IntegerField(), default=list, help_text="Single mined samples.")
    parent = serializers.UUIDField(  # type: ignore[assignment]  # a field called parent, as in the model
        required=False, help_text="Version whose weights are the initial ones; random weights by default."
    )
    plan = serializers.DictField(default=dict)


class AgainSerializer(serializers.Serializer[Any]):
    """Name of the new training."""

    name = serializers.CharField(max_length=100)


class TrainingSerializer(serializers.ModelSerializer[TrainingRun]):
    """A training with curve and log; its inputs are in the manifest."""

    job = JobSerializer()
    inputs = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRun
        fields = ["id", "name", "at", "job", "parent", "plan", "inputs", "manifest_sha256", "warnings", "curve", "log",
                  "version"]  # fmt: skip

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_inputs(self, training: TrainingRun) -> dict[str, Any]:
        manifest = training.manifest
        counts = {part: len(manifest[part]) for part in ("figures", "mined")}
        return {**counts, **{part: manifest[part] for part in ("sets", "train", "validation", "test")}}


class TrainingViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[TrainingRun]
):
    """Trainings. Stop and resume one by the job's cancel and retry."""

    serializer_class = TrainingSerializer
    queryset = with_their_job(TrainingRun.objects.all())

    @extend_schema(request=TrainingRequestSerializer, responses={202: TrainingSerializer})
    def create(self, request: Request) -> Response:
        """Freeze the inputs, and train."""
        sent = validated(TrainingRequestSerializer, request.data)
        sets = [get_object_or_404(LabelledSet, pk=pk) for pk in sent["sets"]]
        mining = [get_object_or_404(MiningRun, pk=pk) for pk in sent["mining"]]
        parent = get_object_or_404(ModelVersion, pk=sent["parent"]) if sent.get("parent") else None
        training = training_request(
            by=self.person, name=sent["name"], sets=sets, cases=sent.get("cases"), verdicts=sent["verdicts"],
            mining=mining, samples=MinedSample.objects.filter(pk__in=sent["samples"]), plan=sent["plan"], parent=parent,
        )  # fmt: skip
        return Response(TrainingSerializer(training).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=AgainSerializer, responses={202: TrainingSerializer})
    @action(detail=True, methods=["post"])
    def again(self, request: Request, pk: str) -> Response:
        """The same training on the same inputs, without what has been removed since."""
        name = validated(AgainSerializer, request.data)["name"]
        made = training_again(training=self.get_object(), by=self.person, name=name)
        return Response(TrainingSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def manifest(self, request: Request, pk: str) -> Response:
        """The manifest: all inputs, as they were frozen."""
        return Response(self.get_object().manifest)
