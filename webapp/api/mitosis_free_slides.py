"""Mitosis-free slides."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import validated
from webapp.retraining.locked_cases import free_slide_add
from webapp.retraining.models import MitosisFreeSlide
from webapp.slides.models import Slide


class MitosisFreeSlideSerializer(serializers.ModelSerializer[MitosisFreeSlide]):
    """A slide that a person marked as mitosis-free."""

    class Meta:
        model = MitosisFreeSlide
        fields = ["id", "slide", "at"]


class SlideIdSerializer(serializers.Serializer[Any]):
    """Id of a slide."""

    slide = serializers.UUIDField()


class MitosisFreeSlideViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[MitosisFreeSlide]
):
    """Mitosis-free slides: comparisons count false positives on them."""

    serializer_class = MitosisFreeSlideSerializer
    queryset = MitosisFreeSlide.objects.all()

    @extend_schema(request=SlideIdSerializer, responses={201: MitosisFreeSlideSerializer})
    def create(self, request: Request) -> Response:
        """Mark a slide as mitosis-free; locks its case."""
        slide = get_object_or_404(Slide, pk=validated(SlideIdSerializer, request.data)["slide"])
        made = free_slide_add(slide=slide, by=self.person)
        return Response(MitosisFreeSlideSerializer(made).data, status=status.HTTP_201_CREATED)
