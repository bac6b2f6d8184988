"""Labelled sets by REST: import, list, and what people have labelled here."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import _ForAdministrators
from webapp.api.lookup import checked
from webapp.api.serializers import JobSerializer
from webapp.jobs.selectors import with_their_job
from webapp.retraining.models import LabelledFrame, LabelledSet
from webapp.retraining.selectors import labels_made_here
from webapp.retraining.sets import set_import_upload


class SetImportSerializer(serializers.Serializer[Any]):
    """A zip of a labelled set, in a format that the detector reads."""

    name = serializers.CharField(max_length=100)
    file = serializers.FileField()


_CASES = Prefetch("frames", LabelledFrame.objects.only("labelled_set", "case"))


class LabelledSetSerializer(serializers.ModelSerializer[LabelledSet]):
    """A labelled set; cases and frames are there once its job is done."""

    job = JobSerializer(read_only=True)
    cases = serializers.SerializerMethodField()
    frames = serializers.IntegerField(source="frames.count", read_only=True)

    class Meta:
        model = LabelledSet
        fields = ["id", "name", "sha256", "at", "job", "cases", "frames"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_cases(self, labelled_set: LabelledSet) -> list[str]:
        return list(dict.fromkeys(frame.case for frame in labelled_set.frames.all()))


class MadeHereSerializer(serializers.Serializer[Any]):
    """Figures that people have judged on slides, on how many slides, by how many people."""

    mitotic = serializers.IntegerField()
    non_mitotic = serializers.IntegerField()
    slides = serializers.IntegerField()
    people = serializers.IntegerField()


class LabelledSetViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[LabelledSet]
):
    """Labelled frames from files."""

    serializer_class = LabelledSetSerializer
    queryset = with_their_job(LabelledSet.objects.prefetch_related(_CASES))
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": SetImportSerializer}, responses={202: LabelledSetSerializer})
    def create(self, request: Request) -> Response:
        """Take a zip; a worker reads it."""
        sent = checked(SetImportSerializer, request.data)
        made = set_import_upload(name=sent["name"], file=sent["file"], by=self.person)
        return Response(LabelledSetSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=MadeHereSerializer)
    @action(detail=False, url_path="made-here", pagination_class=None)
    def made_here(self, request: Request) -> Response:
        """What was labelled here: verdicts on slides, which a training learns from unless `verdicts` is false."""
        return Response(MadeHereSerializer(labels_made_here()).data)
