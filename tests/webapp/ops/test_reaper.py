"""The reaper goes on whatever happens to what it does by the way."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

from webapp.ops.management.commands import reap_jobs


class Ended(Exception):
    """The end of the test's patience."""


def test_a_bucket_that_is_away_does_not_stop_the_reaper(db, monkeypatch):
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now())
    seen = []

    def sleep(_seconds):
        if len(seen) == 2:
            raise Ended

    def away():
        raise EndpointConnectionError(endpoint_url="https://slides.example.org")

    monkeypatch.setattr(reap_jobs, "_go_on", lambda part, seconds: None)  # its threads would outlive the test
    monkeypatch.setattr(reap_jobs, "forget_deleted", away)
    monkeypatch.setattr(reap_jobs, "jobs_watch", lambda: seen.append("looked"))
    monkeypatch.setattr(reap_jobs, "close_old_connections", lambda: None)
    monkeypatch.setattr(reap_jobs.time, "sleep", sleep)
    with pytest.raises(Ended):
        call_command("reap_jobs")
    assert seen == ["looked", "looked"] and not Session.objects.exists()
