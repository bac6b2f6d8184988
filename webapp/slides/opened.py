"""That a slide was looked at: recorded when its page is opened, and once an hour for who takes its pixels otherwise."""

from __future__ import annotations

import time
from uuid import UUID

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.redis import ask_redis
from webapp.slides.models import Slide, Viewer

_SECONDS = 3600
_known: dict[tuple[int, UUID], float] = {}  # of this process: until when nothing is to be recorded
_MANY = 100_000


def slide_page_opened(*, slide: Slide, user: Viewer) -> None:
    """Record that the page of a slide was opened."""
    record(Action.SLIDE_OPENED, slide)
    ask_redis(lambda redis: redis.set(_name(user, slide), 1, ex=_SECONDS))


def slide_pixels_taken(*, slide: Slide, user: Viewer) -> None:
    """Record that somebody looks at a slide, where no page or earlier call has said so within the hour.

    Without Redis each process says so for itself.
    """
    assert user.pk is not None
    key, now = (user.pk, slide.pk), time.monotonic()
    if _known.get(key, 0.0) > now:
        return
    if len(_known) > _MANY:
        _known.clear()
    _known[key] = now + _SECONDS
    if ask_redis(lambda redis: (redis.set(_name(user, slide), 1, ex=_SECONDS, nx=True),)) == (None,):
        return
    try:
        record(Action.SLIDE_OPENED, slide, after={"by": "its pixels"})
    except BaseException:  # nothing is recorded, so the next call has to
        _known.pop(key, None)
        ask_redis(lambda redis: redis.delete(_name(user, slide)))
        raise


def _name(user: Viewer, slide: Slide) -> str:
    return f"mitoscope:opened:{user.pk}:{slide.pk}"
