"""Locked test cases."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.administrators import AdministratorsOnly
from webapp.api.lookup import validated
from webapp.retraining.locked_cases import case_lock, case_unlock
from webapp.retraining.models import LockedCase


class CaseNameSerializer(serializers.Serializer[Any]):
    """Name of a case."""

    name = serializers.CharField(max_length=200)


class LockedCaseSerializer(serializers.ModelSerializer[LockedCase]):
    """A case that is never trained on."""

    class Meta:
        model = LockedCase
        fields = ["id", "name", "at", "used_at"]


class LockedCaseViewSet(
    AdministratorsOnly, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[LockedCase]
):
    """Locked test cases."""

    serializer_class = LockedCaseSerializer
    queryset = LockedCase.objects.all()

    @extend_schema(request=CaseNameSerializer, responses={201: LockedCaseSerializer})
    def create(self, request: Request) -> Response:
        """Lock a case."""
        case = case_lock(name=validated(CaseNameSerializer, request.data)["name"], by=self.person)
        return Response(LockedCaseSerializer(case).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: LockedCase) -> None:
        case_unlock(case=instance)
