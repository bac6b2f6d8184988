"""Slides that a person says are without mitoses, by REST."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import _ForAdministrators
from webapp.api.lookup import checked
from webapp.retraining.locked_cases import free_slide_add
from webapp.retraining.models import MitosisFreeSlide
from webapp.slides.models import Slide


class FreeSlideSerializer(serializers.ModelSerializer[MitosisFreeSlide]):
    """A slide that a person says is without mitoses."""

    class Meta:
        model = MitosisFreeSlide
        fields = ["id", "slide", "at"]


class SlideIdSerializer(serializers.Serializer[Any]):
    """Which slide."""

    slide = serializers.UUIDField()


class FreeSlideViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[MitosisFreeSlide]
):
    """Slides without mitoses: versions are judged by what they detect on them, too."""

    serializer_class = FreeSlideSerializer
    queryset = MitosisFreeSlide.objects.all()

    @extend_schema(request=SlideIdSerializer, responses={201: FreeSlideSerializer})
    def create(self, request: Request) -> Response:
        """Say that a slide is without mitoses; its case is locked."""
        slide = get_object_or_404(Slide, pk=checked(SlideIdSerializer, request.data)["slide"])
        made = free_slide_add(slide=slide, by=self.person)
        return Response(FreeSlideSerializer(made).data, status=status.HTTP_201_CREATED)
