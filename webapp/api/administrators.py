"""Views for superusers alone."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from rest_framework import permissions
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.api.idempotency import Idempotent


class IsAdministrator(permissions.BasePermission):
    """Superusers alone: training uses slides of all studies."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user and request.user.is_active and getattr(request.user, "is_superuser", False))


class AdministratorsOnly(Idempotent):
    """A view of retraining, for superusers."""

    permission_classes = [permissions.IsAuthenticated, IsAdministrator]

    @property
    def person(self) -> User:
        return cast(User, self.request.user)
