"""Studies: what slides are uploaded into and exported by."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import mixins, serializers, viewsets

from webapp.slides.models import Study


class StudySerializer(serializers.ModelSerializer[Study]):
    """A study. rule, area_mm2, shape: how it counts where nothing else is asked for; empty: as the laboratory does."""

    class Meta:
        model = Study
        fields = ["id", "name", "created_at", "rule", "area_mm2", "shape"]


class StudyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Study]):
    """Studies that you are a member of."""

    serializer_class = StudySerializer
    queryset = Study.objects.none()

    def get_queryset(self) -> QuerySet[Study]:
        studies: QuerySet[Study] = Study.objects.visible_to(self.request.user)
        return studies
