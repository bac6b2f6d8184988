"""Health of the parts."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.jobs.health import health_of_jobs, parts_of_server


class HealthView(APIView):
    """Liveness."""

    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(responses={200: dict, 503: dict})
    def get(self, request: Request) -> Response:
        """200 where every part answers, else 503; what is slow or stuck, without names and paths."""
        parts = parts_of_server()
        healthy = all(part["ok"] for part in parts.values())
        if parts["database"]["ok"]:
            jobs = health_of_jobs()
            parts["jobs"] = {
                "waiting": sum(queue.waiting for queue in jobs.queues),
                "running": sum(queue.running for queue in jobs.queues),
                "workers": None if jobs.workers is None else len(jobs.workers),
                "stuck": jobs.stuck,
                "slow": jobs.slow,
            }
        return Response({"ok": healthy, **parts}, status=200 if healthy else 503)
