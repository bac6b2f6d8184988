"""Labelled sets: import and list; labels made here."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import validated
from webapp.api.serializers import JobSerializer
from webapp.jobs.selectors import with_their_job
from webapp.retraining.models import LabelledFrame, LabelledSet
from webapp.retraining.selectors import local_labels
from webapp.retraining.sets import set_import_upload, set_remove


class SetImportSerializer(serializers.Serializer[Any]):
    """A zip of a labelled set, in a format that the detector reads."""

    name = serializers.CharField(max_length=100)
    file = serializers.FileField()


_CASES = Prefetch("frames", LabelledFrame.objects.only("labelled_set", "case"))


class LabelledSetSerializer(serializers.ModelSerializer[LabelledSet]):
    """A labelled set; cases, frames and what was found, by source, are there once its job is done."""

    job = JobSerializer(read_only=True)
    cases = serializers.SerializerMethodField()
    frames = serializers.IntegerField(source="frames.count", read_only=True)
    found = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = LabelledSet
        fields = ["id", "name", "sha256", "at", "job", "cases", "frames", "found"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_cases(self, labelled_set: LabelledSet) -> list[str]:
        return list(dict.fromkeys(frame.case for frame in labelled_set.frames.all()))


class LocalLabelsSerializer(serializers.Serializer[Any]):
    """Counts of the verdicts on slides: figures, slides, people."""

    mitotic = serializers.IntegerField()
    non_mitotic = serializers.IntegerField()
    slides = serializers.IntegerField()
    people = serializers.IntegerField()


class LabelledSetViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[LabelledSet]
):
    """Labelled frames from files."""

    serializer_class = LabelledSetSerializer
    queryset = with_their_job(LabelledSet.objects.prefetch_related(_CASES))
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": SetImportSerializer}, responses={202: LabelledSetSerializer})
    def create(self, request: Request) -> Response:
        """Import a zip; a worker reads it."""
        sent = validated(SetImportSerializer, request.data)
        made = set_import_upload(name=sent["name"], file=sent["file"], by=self.person)
        return Response(LabelledSetSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a set that could not be read."""
        set_remove(labelled_set=self.get_object(), by=self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=LocalLabelsSerializer)
    @action(detail=False, url_path="made-here", pagination_class=None)
    def made_here(self, request: Request) -> Response:
        """Labels made here: verdicts on slides, part of every training unless `verdicts` is false."""
        return Response(LocalLabelsSerializer(local_labels()).data)
