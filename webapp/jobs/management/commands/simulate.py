"""`python manage.py simulate --slides 1000 --seconds 50 --workers 2`: queue waits by discrete-event simulation."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

_HOUR = 3600.0
# Share of a day's slides that arrive in each hour: a laboratory scans from early morning into the evening.
_HOURS = (0, 0, 0, 0, 0, 1, 3, 6, 9, 11, 12, 12, 11, 10, 9, 7, 5, 3, 1, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Waits:
    """A day. Seconds from request to result; busy: share of the time of the workers."""

    reader: list[float]
    bulk: list[float]
    busy: float


def simulate(*, slides: int, seconds: float, workers: int, bulk: int = 0, fair: bool = True, seed: int = 1) -> Waits:
    """A day of slides that readers wait for, and a bulk run of so many at midnight, through so many workers.

    seconds: mean time of one slide on one worker; single slides vary as their tissue does (log-normal, sigma 0.5).
    fair: readers before bulk, as the queue does; else in the order of arrival. What has begun is not interrupted.
    """
    rng = random.Random(seed)  # noqa: S311  nothing secret
    hours = rng.choices(range(24), weights=_HOURS, k=slides)
    arrivals = sorted([(hour + rng.random()) * _HOUR for hour in hours])
    waiting = [(1 if fair else 0, 0.0, number) for number in range(bulk)]  # (priority, when, number)
    heapq.heapify(waiting)
    free = [0.0] * workers  # when each worker is free
    took: dict[int, list[float]] = {0: [], 1: []}  # reader, bulk
    work, number = 0.0, bulk
    while waiting or number - bulk < slides:
        now = heapq.heappop(free)
        if not waiting:
            now = max(now, arrivals[number - bulk])
        while number - bulk < slides and arrivals[number - bulk] <= now:
            heapq.heappush(waiting, (0, arrivals[number - bulk], number))
            number += 1
        _, asked, which = heapq.heappop(waiting)
        length = seconds * rng.lognormvariate(-0.125, 0.5)
        work += length
        took[int(which < bulk)].append(now + length - asked)
        heapq.heappush(free, now + length)
    return Waits(took[0], took[1], work / (max(free) * workers))


def percentile(values: list[float], share: float) -> float:
    """The quantile of this share; 0 for no values."""
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)] if values else 0.0


class Command(BaseCommand):
    """Reads nothing of the installation."""

    help = "Simulate a day of the queue: waits of readers and of a bulk run, with fair turns and in order of arrival."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--slides", type=int, default=1000, help="a day, that somebody waits for")
        parser.add_argument("--bulk", type=int, default=0, help="in one bulk run, asked for at midnight")
        parser.add_argument("--seconds", type=float, required=True, help="of one slide on one worker, in the mean")
        parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])

    def handle(self, *args: Any, slides: int, bulk: int, seconds: float, workers: list[int], **options: Any) -> None:
        self.stdout.write(
            f"{slides} slides a day and {bulk} in bulk, {seconds:g} s each. Minutes from request to result:\n"
            f"{'workers':>7} {'order':>8} {'busy':>6} {'reader 50 %':>12} {'reader 95 %':>12} {'bulk all':>9}"
        )
        for count in workers:
            for fair in (True, False) if bulk else (True,):
                day = simulate(slides=slides, seconds=seconds, workers=count, bulk=bulk, fair=fair)
                half, most = (percentile(day.reader, share) / 60 for share in (0.5, 0.95))
                self.stdout.write(
                    f"{count:>7} {'fair' if fair else 'arrival':>8} {day.busy:>6.0%} {half:>12.1f} {most:>12.1f} "
                    f"{max(day.bulk, default=0.0) / 60:>9.0f}"
                )
