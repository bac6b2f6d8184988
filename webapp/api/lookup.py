"""Shared by views: validate the input, find the run, answer a page of rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict
from django.shortcuts import get_object_or_404
from rest_framework import viewsets
from rest_framework.response import Response

from webapp.annotations.models import Run
from webapp.annotations.selectors import run_current
from webapp.core.errors import DomainError
from webapp.slides.models import Slide


def run_or_newest(slide: Slide, pk: UUID | None) -> Run:
    """This run of the slide, or its newest run; DomainError where it has none."""
    if pk is not None:
        run: Run = get_object_or_404(Run.objects.select_related("model"), pk=pk, slide=slide)
        return run
    newest = run_current(slide=slide)
    if newest is None:
        raise DomainError("No detection has been made on this slide yet; ask for one with POST .../detections/.")
    return newest


def validated(serializer: type[Any], data: Any) -> dict[str, Any]:
    """The validated input. An empty query parameter (`?bbox=`) counts as not given."""
    given = {key: value for key, value in data.items() if value != ""} if isinstance(data, QueryDict) else data
    sent = serializer(data=given)
    sent.is_valid(raise_exception=True)
    valid: dict[str, Any] = sent.validated_data
    return valid


def page_of(view: viewsets.GenericViewSet[Any], rows: QuerySet[Any], serializer: type[Any]) -> Response:
    """One page of rows, serialized, by the view's pagination."""
    page = view.paginate_queryset(rows)
    return view.get_paginated_response(serializer(page, many=True).data)
