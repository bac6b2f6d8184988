"""`/metrics` for Prometheus: queues, workers, what has been computed. For staff alone, by token or session.

Prometheus: `authorization: {type: Token, credentials: ...}`; `manage.py make_token` makes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.models import Count
from django.http import HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.annotations.models import Run
from webapp.jobs.health import Health, health_of_jobs, parts_of_server
from webapp.jobs.models import Job
from webapp.slides.models import Slide

_Sample = tuple[tuple[str, ...], float]  # values of the labels, value


class MetricsView(APIView):
    """All metrics in the text format of Prometheus."""

    permission_classes = [IsAdminUser]
    schema = None

    def get(self, request: Request) -> HttpResponse:
        """Computed at each request from the rows and from the heartbeats of workers."""
        registry = CollectorRegistry()
        registry.register(_Figures())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Figures(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, text, labels, samples in _families(health_of_jobs()):
            family = GaugeMetricFamily(f"mitoscope_{name}", text, labels=labels)
            for values, value in samples:
                family.add_metric(values, value)
            yield family


def _families(health: Health) -> Iterator[tuple[str, str, list[str], Iterable[_Sample]]]:
    """Of each gauge its name, what it is, its labels and its samples."""
    queues, workers, parts = health.queues, health.workers or [], parts_of_server()
    yield "part_ok", "1 where a part answers.", ["part"], [((k,), float(v["ok"])) for k, v in parts.items()]
    yield "disk_free_bytes", "Free disk space for slides.", [], [((), parts["disk"]["free_gb"] * 1024**3)]
    yield "jobs_waiting", "Jobs that no worker has begun.", ["kind"], [((q.kind,), q.waiting) for q in queues]
    yield "jobs_running", "Jobs that have begun.", ["kind"], [((q.kind,), q.running) for q in queues]
    yield "jobs_failed_today", "Failed in the last 24 h.", ["kind"], [((q.kind,), q.failed_today) for q in queues]
    yield (
        "jobs_oldest_wait_seconds",
        "Age of the oldest waiting job.",
        ["kind"],
        [((q.kind,), q.waited) for q in queues],
    )
    yield (
        "jobs_oldest_reader_wait_seconds",
        "Age of the oldest waiting job that a person waits for.",
        ["kind"],
        [((q.kind,), q.reader_waited) for q in queues],
    )
    yield "workers", "Processes that take a kind of job.", ["kind"], [((q.kind,), q.workers or 0) for q in queues]
    yield (
        "worker_memory_bytes",
        "Resident memory of a worker process.",
        ["worker", "device"],
        [((w.name, w.device), w.memory_mb * 2**20) for w in workers],
    )
    yield "stuck", "Things that are stuck; the health page says which.", [], [((), len(health.stuck))]
    yield "slow", "Things that are slow; the health page says which.", [], [((), len(health.slow))]
    states = Job.objects.values("kind", "state").annotate(count=Count("pk")).order_by()
    yield "jobs", "Jobs by state.", ["kind", "state"], [((r["kind"], r["state"]), r["count"]) for r in states]
    slides = Slide.objects.values("state").annotate(count=Count("pk")).order_by()
    yield "slides", "Slides by state.", ["state"], [((row["state"],), row["count"]) for row in slides]
    yield (
        "runs",
        "Detections that have been made and are kept.",
        [],
        [((), Run.objects.filter(slide__original=None).count())],
    )
