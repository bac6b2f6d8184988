"""Jobs."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.idempotency import Idempotent
from webapp.api.lookup import validated
from webapp.api.serializers import JobSerializer
from webapp.jobs.models import Job
from webapp.jobs.selectors import jobs_shown
from webapp.jobs.services import job_cancel, job_retry
from webapp.jobs.states import State
from webapp.slides.roles import Right, demand_on


class JobFilterSerializer(serializers.Serializer[Any]):
    """Which jobs."""

    slide = serializers.UUIDField(required=False)
    state = serializers.ChoiceField(choices=State.choices, required=False)
    kind = serializers.ChoiceField(choices=Job.Kind.choices, required=False)
    since = serializers.DateTimeField(required=False, help_text="Requested at or after this time.")


@extend_schema_view(list=extend_schema(parameters=[JobFilterSerializer]))
class JobViewSet(Idempotent, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Job]):
    """Jobs on slides that you may see."""

    serializer_class = JobSerializer
    queryset = Job.objects.none()

    def get_queryset(self) -> QuerySet[Job]:
        jobs = jobs_shown(user=self.request.user)
        if self.action != "list":
            return jobs
        wanted = validated(JobFilterSerializer, self.request.query_params)
        names = {"since": "created_at__gte"}
        return jobs.filter(**{names.get(name, name): value for name, value in wanted.items()})

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a job that has not ended."""
        return Response(JobSerializer(job_cancel(job=self._own())).data)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Retry the missing part of a failed or cancelled job."""
        return Response(JobSerializer(job_retry(job=self._own())).data)

    def _own(self) -> Job:
        """The job that is asked for; one on a slide is stopped and retried by who may ask for it."""
        job: Job = self.get_object()
        if job.slide is not None:
            demand_on(Right.UPLOAD, job.slide, self.request.user)
        return job
