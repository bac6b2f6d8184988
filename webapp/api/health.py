"""What each part says of itself."""

from __future__ import annotations

import shutil
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from redis import Redis, RedisError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.jobs.models import Job, Shard
from webapp.jobs.states import State


class HealthView(APIView):
    """Liveness."""

    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(responses={200: dict, 503: dict})
    def get(self, request: Request) -> Response:
        """200 where every part answers, else 503; no names, no paths."""
        parts: dict[str, Any] = {"database": _database(), "broker": _broker(), "disk": _disk()}
        healthy = all(part["ok"] for part in parts.values())
        if parts["database"]["ok"]:
            parts["jobs"] = {
                "waiting": Job.objects.filter(state=State.PENDING).count(),
                "running": Job.objects.filter(state=State.RUNNING).count(),
                "lost_leases": Shard.objects.filter(state=State.RUNNING, lease_until__lt=timezone.now()).count(),
            }
        return Response({"ok": healthy, **parts}, status=200 if healthy else 503)


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return {"ok": False, "say": "the database does not answer"}
    return {"ok": True, "kind": connection.vendor}


def _broker() -> dict[str, Any]:
    try:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2) as redis:
            redis.ping()
    except RedisError:
        return {"ok": False, "say": "Redis does not answer; jobs wait until it does"}
    return {"ok": True}


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(settings.DATA_DIR).free
    return {"ok": free > 1 << 30, "free_gb": round(free / 1024**3, 1)}
