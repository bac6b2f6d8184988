"""Deleting patients."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.described import serializer_of
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import validated
from webapp.core.errors import DomainError
from webapp.retraining.patients import CaseLosses, case_delete, case_deletion_withdraw, case_losses
from webapp.slides.models import Case
from webapp.slides.roles import Right, demand


class CaseDeletionSerializer(serializers.Serializer[Any]):
    """Confirms that the patient is to be deleted."""

    confirm = serializers.BooleanField(default=False)


class CaseDeletedSerializer(serializers.Serializer[Any]):
    """Whether the patient is deleted, or a second manager has to agree."""

    state = serializers.ChoiceField(choices=["deleted", "asked for"])


class CaseDeletionView(Idempotent):
    """The deletion of a patient: a case, its slides and what was made of them."""

    @extend_schema(responses=serializer_of(CaseLosses), operation_id="cases_deletion")
    def get(self, request: Request, pk: int) -> Response:
        """What would be lost, and who has asked for it; nothing is changed."""
        return Response(vars(case_losses(case=self._case(request, pk))))

    @extend_schema(request=CaseDeletionSerializer, responses=CaseDeletedSerializer, operation_id="cases_delete")
    def post(self, request: Request, pk: int) -> Response:
        """Delete the patient, for managers of the study, or agree to what another manager has asked for.

        Signed reports stay as numbers without identity, or go once two managers have agreed, as the study says.
        """
        case = self._case(request, pk)
        if not validated(CaseDeletionSerializer, request.data)["confirm"]:
            raise DomainError("All slides of this patient would be lost; to delete them, send confirm: true.")
        done = case_delete(case=case, by=cast(User, request.user))
        return Response({"state": "deleted" if done else "asked for"})

    @extend_schema(responses={204: None}, operation_id="cases_deletion_withdraw")
    def delete(self, request: Request, pk: int) -> Response:
        """Ask no more for it, for managers of the study."""
        case_deletion_withdraw(case=self._case(request, pk), by=cast(User, request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _case(self, request: Request, pk: int) -> Case:
        case: Case = get_object_or_404(Case.objects.visible_to(request.user).select_related("study"), pk=pk)
        demand(Right.MANAGE, user=request.user, study=case.study_id)
        return case
