"""States of jobs and shards, and every move between them, in one place."""

from __future__ import annotations

from django.db import models


class State(models.TextChoices):
    """Of a job, and of each of its shards."""

    PENDING = "pending", "waiting"
    RUNNING = "running", "running"
    SUCCEEDED = "succeeded", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


MOVES: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    # Back to pending when the lease of a dead worker has run out.
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.PENDING}),
    State.FAILED: frozenset({State.PENDING}),  # retry
    State.CANCELLED: frozenset({State.PENDING}),  # retry
    State.SUCCEEDED: frozenset(),
}

OPEN = (State.PENDING, State.RUNNING)
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


def sources(target: State) -> list[State]:
    """The states from which there is a move to this one."""
    return [state for state, targets in MOVES.items() if target in targets]
