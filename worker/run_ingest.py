"""An uploaded file becomes a slide, or is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from django.conf import settings

from detector.errors import DetectorError
from detector.slide.prepare import Refusal, SlideFacts, from_json
from webapp.annotations.services import detection_request_if_wanted
from webapp.core.errors import DomainError
from webapp.jobs.services import JobStopped
from webapp.slides.models import Slide
from webapp.slides.services import slide_add_remark, slide_prepared, slide_refused
from webapp.slides.storage import local_path, slide_forget, slide_keep
from worker.shard import ClaimedShard

TIME_LIMIT = 1800  # seconds that preparing one file may take


def run_ingest(shard: ClaimedShard) -> None:
    """Prepare the file in a process of its own, then keep its facts, or the reason why it is refused."""
    slide = shard.job.slide
    assert slide is not None, "what is prepared is a slide"
    try:
        _prepare_and_keep(shard, slide)
    except JobStopped:
        if not Slide.objects.filter(pk=slide.pk).exists():
            slide_forget(slide)  # it was deleted meanwhile, and preparing has written into its folder
        raise


def _prepare_and_keep(shard: ClaimedShard, slide: Slide) -> None:
    answer = _prepare(shard)
    if isinstance(answer, SlideFacts):
        slide_keep(slide, without=local_path(slide) if answer.path.startswith("unpacked/") else None)  # the zip

    def save() -> None:
        if isinstance(answer, Refusal):
            slide_refused(slide=slide, reason=answer.reason)
        else:
            _detect_if_wanted(slide_prepared(slide=slide, facts=answer))

    shard.complete(save)


def _detect_if_wanted(slide: Slide) -> None:
    try:
        detection_request_if_wanted(slide=slide)
    except DomainError as error:  # no model version is active, say; the slide can be looked at all the same
        slide_add_remark(slide=slide, remark=str(error))


def _prepare(shard: ClaimedShard) -> SlideFacts | Refusal:
    slide = shard.job.slide
    assert slide is not None
    command = [sys.executable, "-m", "detector.slide", str(local_path(slide)), str(slide.folder)]
    if slide.drawn:
        command.append(str(settings.DEMO_SLIDE_PIXELS))
    # Without our environment: it holds secrets, and whoever takes a decoder over could read them.
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + TIME_LIMIT
    try:
        while True:
            try:
                out, err = process.communicate(timeout=min(10, settings.LEASE_SECONDS / 3))
                break
            except subprocess.TimeoutExpired:
                shard.progress()
                if time.monotonic() > deadline:
                    return Refusal(f"Preparing this file took longer than {TIME_LIMIT // 60} minutes.")
    finally:
        process.kill()
        process.wait()
    if process.returncode < 0:
        return Refusal("Reading this file crashed the reader; it is damaged or not what it says it is.")
    if process.returncode != 0:
        raise DetectorError(f"the slide could not be prepared:\n{err[-4000:]}")
    return from_json(out.splitlines()[-1])
