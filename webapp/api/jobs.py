"""All background work, in one list."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.idempotency import Idempotent
from webapp.api.serializers import JobSerializer
from webapp.jobs.models import Job
from webapp.jobs.selectors import jobs_shown
from webapp.jobs.services import job_cancel, job_retry

_FILTERS = [
    OpenApiParameter("slide", str, description="id of a slide"),
    OpenApiParameter("state", str, description="pending, running, succeeded, failed or cancelled"),
    OpenApiParameter("kind", str, description="ingest or detect"),
]


@extend_schema_view(list=extend_schema(parameters=_FILTERS))
class JobViewSet(Idempotent, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Job]):
    """Jobs on slides that you may see."""

    serializer_class = JobSerializer
    queryset = Job.objects.none()

    def get_queryset(self) -> QuerySet[Job]:
        jobs = jobs_shown(user=self.request.user)
        for name in ("slide", "state", "kind"):
            if value := self.request.query_params.get(name):
                jobs = jobs.filter(**{name: value})
        return jobs

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a job that has not ended."""
        return Response(JobSerializer(job_cancel(job=self.get_object())).data)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Do again what is missing of a failed or cancelled job."""
        return Response(JobSerializer(job_retry(job=self.get_object())).data)
