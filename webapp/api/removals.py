"""Removals from training."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import validated
from webapp.retraining.models import LabelledSet, Removal
from webapp.retraining.provenance import affected_in_words
from webapp.retraining.removals import removal_end, removal_make
from webapp.slides.models import Slide


class RemovalRequestSerializer(serializers.Serializer[Any]):
    """One slide, one person (by name) or one labelled set, and why."""

    slide = serializers.UUIDField(required=False)
    person = serializers.CharField(required=False)
    labelled_set = serializers.UUIDField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, default="")


class AffectedSerializer(serializers.Serializer[Any]):
    """What a removal affects."""

    what = serializers.CharField()
    verdicts = serializers.IntegerField()
    mined_samples = serializers.IntegerField()
    sets = serializers.ListField(child=serializers.CharField())
    trainings = serializers.ListField(child=serializers.CharField())
    versions = serializers.ListField(child=serializers.CharField())
    active = serializers.CharField(allow_null=True)
    mining_runs = serializers.ListField(child=serializers.CharField())
    runs = serializers.IntegerField()


class RemovedSerializer(AffectedSerializer):
    """What was removed, and what that affects."""

    id = serializers.IntegerField()


class RemovalSerializer(serializers.ModelSerializer[Removal]):
    """One slide, person or labelled set that no training uses; ended_at: when that was undone."""

    person = serializers.CharField(source="person.username", default=None, allow_null=True)
    by = serializers.CharField(source="by.username", default=None, allow_null=True)

    class Meta:
        model = Removal
        fields = ["id", "slide", "slide_was", "person", "labelled_set", "reason", "by", "at", "ended_at"]


class RemovalViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Removal]
):
    """Removing a slide, a person's work or a set, and everything made from it, from training."""

    serializer_class = RemovalSerializer
    queryset = Removal.objects.select_related("person", "by")

    @extend_schema(request=RemovalRequestSerializer, responses={201: RemovedSerializer})
    def create(self, request: Request) -> Response:
        """Remove it; answers what is affected."""
        subject, reason = _subject(validated(RemovalRequestSerializer, request.data))
        removal = removal_make(by=self.person, reason=reason, **subject)
        answer = {"id": removal.pk, **vars(affected_in_words(removal=removal))}
        return Response(RemovedSerializer(answer).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: Removal) -> None:
        """Undo a removal: later trainings may use it again. The record stays."""
        removal_end(removal=instance)

    @extend_schema(parameters=[RemovalRequestSerializer], responses=AffectedSerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def affected(self, request: Request) -> Response:
        """What a removal would affect; nothing is changed."""
        subject, _ = _subject(validated(RemovalRequestSerializer, request.query_params))
        return Response(AffectedSerializer(affected_in_words(removal=Removal(**subject))).data)


def _subject(sent: dict[str, Any]) -> tuple[dict[str, Any], str]:
    subject = {
        "slide": get_object_or_404(Slide, pk=sent["slide"]) if sent.get("slide") else None,
        "person": get_object_or_404(User, username=sent["person"]) if sent.get("person") else None,
        "labelled_set": get_object_or_404(LabelledSet, pk=sent["labelled_set"]) if sent.get("labelled_set") else None,
    }
    return subject, sent["reason"]
