"""An uploaded file becomes a slide, or is refused."""

from __future__ import annotations

from django.conf import settings

from detector.slide.prepare import Refusal, SlideFacts, from_json
from webapp.annotations.services import detection_request_if_wanted
from webapp.core.errors import DomainError
from webapp.jobs.services import JobStopped
from webapp.notices.models import Kind
from webapp.notices.services import tell
from webapp.slides.models import Slide
from webapp.slides.services import slide_add_remark, slide_prepared, slide_refused
from webapp.slides.storage import local_path, slide_forget, slide_keep
from worker.apart import NotRead, read_apart
from worker.process import worker_name
from worker.shard import ClaimedShard


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
            tell(Kind.SLIDE_REFUSED, slide=slide, person=slide.uploaded_by)
        else:
            prepared = slide_prepared(slide=slide, facts=answer)
            if prepared.state == Slide.State.READY:
                tell(Kind.SLIDE_READY, slide=prepared, person=prepared.uploaded_by)
            _detect_if_wanted(prepared)

    shard.complete(save)


def _detect_if_wanted(slide: Slide) -> None:
    try:
        detection_request_if_wanted(slide=slide)
    except DomainError as error:  # no model version is active, say; the slide can be looked at all the same
        slide_add_remark(slide=slide, remark=str(error))


def _prepare(shard: ClaimedShard) -> SlideFacts | Refusal:
    slide = shard.job.slide
    assert slide is not None
    if not slide.drawn:
        _demand_readable(slide)
    drawn = [str(settings.DEMO_SLIDE_PIXELS)] if slide.drawn else []
    try:
        return from_json(read_apart(shard, "detector.slide", local_path(slide), slide.folder, *drawn, what="this file"))
    except NotRead as reason:
        return Refusal(str(reason))


def _demand_readable(slide: Slide) -> None:
    """Raise DomainError where this worker may not read the file, which is no fault of the file: a share, say, in which
    it is used in place, is not mounted here."""
    for path in local_path(slide).parent.rglob("*"):
        try:
            if not path.is_dir():
                path.open("rb").close()
        except OSError as error:
            raise DomainError(
                f"The worker {worker_name()} cannot read it ({error.strerror}). Mount the folder that it is used in "
                "there, or give it the right; then start the worker anew, and try again."
            ) from error
