from __future__ import annotations

import pytest

from webapp.jobs.management.commands.simulate import percentile, simulate


def test_an_idle_queue_takes_as_long_as_the_slide():
    day = simulate(slides=20, seconds=10, workers=50)
    assert max(day.reader) < 10 * 6
    assert sum(day.reader) / 20 == pytest.approx(10, rel=0.4)


def test_nothing_is_lost_and_workers_are_busy_no_more_than_always():
    day = simulate(slides=300, seconds=200, workers=2, bulk=100)
    assert (len(day.reader), len(day.bulk)) == (300, 100)
    assert 0 < day.busy <= 1


def test_with_fair_turns_readers_do_not_wait_for_a_bulk_run():
    fair, arrival = (simulate(slides=200, seconds=60, workers=1, bulk=2000, fair=fair) for fair in (True, False))
    assert percentile(fair.reader, 0.95) < percentile(arrival.reader, 0.95) / 10


def test_twice_the_workers_wait_less():
    waits = [percentile(simulate(slides=1000, seconds=100, workers=n).reader, 0.95) for n in (1, 2, 4)]
    assert waits[0] > waits[1] > waits[2]
