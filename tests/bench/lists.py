"""`make bench-lists`: how long pages and lists take with 10,000 slides on PostgreSQL, each asked ten times."""

from __future__ import annotations

import argparse
import os
import statistics
import time

import tests.services  # noqa: F401  PostgreSQL and Redis of its own

os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
os.environ.setdefault("LOG_LEVEL", "WARNING")

ADDRESSES = (
    "/", "/worklist/rows/", "/slides/", "/slides/?search=case-77", "/slides/?state=ready&sort=-count", "/cases/",
    "/cases/?search=case-7", "/jobs/", "/imports/", "/imports/?state=taken&search=99", "/audit/", "/models/",
    "/api/v1/slides/", "/api/v1/slides/?search=case-77", "/api/v1/slides/?limit=100&offset=9000", "/api/v1/jobs/",
    "/admin/slides/slide/", "/admin/slides/slide/?q=case-77",
)  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slides", type=int, default=10_000)
    given = arguments.parse_args()

    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    from tests.bench.count import fill

    call_command("migrate", verbosity=0)
    fill(given.slides, 20)
    _add_rows()
    for name in ("reader", "root"):
        client = Client(SERVER_NAME="localhost")
        client.force_login(_person(name))
        for address in ADDRESSES:
            seconds, status = [], 0
            for _ in range(11):
                began = time.perf_counter()
                status = client.get(address).status_code
                seconds.append(time.perf_counter() - began)
            if status == 200:
                shown = f"median {1000 * statistics.median(seconds[1:]):5.0f} ms, longest {1000 * max(seconds):5.0f} ms"
                print(f"{name:8} {address:45} {shown}", flush=True)


def _add_rows() -> None:
    """Each slide has arrived by itself, and has an entry in the audit table and a job that is done."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.utils import timezone

    from webapp.intake.models import Arrival
    from webapp.jobs.models import Job
    from webapp.slides.models import Slide

    User.objects.create_superuser("root")
    slides, now = list(Slide.objects.all()), timezone.now()
    fields = {"place": "/share", "size": 1 << 30, "stamp": "1", "still_since": now, "state": Arrival.State.TAKEN}
    Arrival.objects.bulk_create(
        Arrival(key=f"{i:064}", sha256=f"{i:064}", name=f"Load/{slide.name}", slide=slide, **fields)
        for i, slide in enumerate(slides)
    )
    Job.objects.bulk_create(Job(kind=Job.Kind.DETECT, slide=slide, state="succeeded", ended_at=now) for slide in slides)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _person(name: str):  # type: ignore[no-untyped-def]  # Django is not there yet
    from django.contrib.auth.models import User

    return User.objects.get(username=name)


if __name__ == "__main__":
    main()
