"""`/metrics` for Prometheus: queues, workers, what has been computed. For staff alone, by token or session.

Prometheus: `authorization: {type: Token, credentials: ...}`; `manage.py make_token` makes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.models import Count
from django.http import HttpResponse
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.annotations.models import Run
from webapp.jobs.health import Health, health_of_jobs, parts_of_server
from webapp.jobs.models import Job
from webapp.slides.models import Slide

_Sample = tuple[dict[str, str], float]


class MetricsView(APIView):
    """All metrics in the text format of Prometheus."""

    permission_classes = [IsAdminUser]
    schema = None

    def get(self, request: Request) -> HttpResponse:
        """Computed at each request from the rows and from what workers say."""
        text = "".join(_family(*family) for family in _families(health_of_jobs()))
        return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _families(health: Health) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    """Of each figure its name, what it is, and its samples (labels, value). All are gauges."""
    queues, workers, parts = health.queues, health.workers or [], parts_of_server()
    yield "part_ok", "1 where a part answers.", [({"part": k}, float(v["ok"])) for k, v in parts.items()]
    yield "disk_free_bytes", "Free disk space for slides.", [({}, parts["disk"]["free_gb"] * 1024**3)]
    yield "jobs_waiting", "Jobs that no worker has begun.", [({"kind": q.kind}, q.waiting) for q in queues]
    yield "jobs_running", "Jobs that have begun.", [({"kind": q.kind}, q.running) for q in queues]
    yield "jobs_failed_today", "Failed in the last 24 h.", [({"kind": q.kind}, q.failed_today) for q in queues]
    yield "jobs_oldest_wait_seconds", "Age of the oldest waiting job.", [({"kind": q.kind}, q.waited) for q in queues]
    yield (
        "jobs_oldest_reader_wait_seconds",
        "Age of the oldest waiting job that a person waits for.",
        [({"kind": q.kind}, q.reader_waited) for q in queues],
    )
    yield "workers", "Processes that take a kind of job.", [({"kind": q.kind}, q.workers or 0) for q in queues]
    yield (
        "worker_memory_bytes",
        "Resident memory of a worker process.",
        [({"worker": w.name, "device": w.device}, w.memory_mb * 2**20) for w in workers],
    )
    yield "stuck", "Things that are stuck; the health page says which.", [({}, len(health.stuck))]
    yield "slow", "Things that are slow; the health page says which.", [({}, len(health.slow))]
    states = Job.objects.values("kind", "state").annotate(count=Count("pk")).order_by()
    yield "jobs", "Jobs by state.", [({"kind": r["kind"], "state": r["state"]}, r["count"]) for r in states]
    slides = Slide.objects.values("state").annotate(count=Count("pk")).order_by()
    yield "slides", "Slides by state.", [({"state": row["state"]}, row["count"]) for row in slides]
    yield "runs", "Detections that have been made and are kept.", [({}, Run.objects.count())]


def _family(name: str, help_text: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# HELP mitoscope_{name} {help_text}", f"# TYPE mitoscope_{name} gauge"]
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"mitoscope_{name}{{{pairs}}} {value:g}" if pairs else f"mitoscope_{name} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
