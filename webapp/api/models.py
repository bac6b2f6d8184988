"""Model versions with their metrics."""

from __future__ import annotations

from rest_framework import viewsets

from webapp.api.serializers import ModelVersionSerializer
from webapp.registry.models import ModelVersion


class ModelVersionViewSet(viewsets.ReadOnlyModelViewSet[ModelVersion]):
    """Every signed-in person may see the model versions: results name them."""

    serializer_class = ModelVersionSerializer
    queryset = ModelVersion.objects.all()
