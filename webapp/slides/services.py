"""Writing slides: new and prepared ones, um/px, readers."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from detector.slide import plausible_mpp
from detector.slide.prepare import SlideFacts, tissue_of
from webapp.access.services import answers_forget_of
from webapp.audit.models import Action, Entry
from webapp.audit.services import record, record_many
from webapp.core.database import lock_row
from webapp.core.errors import DomainError, InvalidInput, NotAllowed
from webapp.core.names import named, plain_name
from webapp.slides.blinding import demand_own, demand_unread
from webapp.slides.models import Case, Slide, Study, Upload, may_see_identity
from webapp.slides.roles import Right, demand_on, may, reader_called
from webapp.slides.signals import area_changed
from webapp.slides.storage import local_path, slide_forget, slide_opened, tissue_keep

_FORGOTTEN_AGAIN = timedelta(days=7)


def slide_create(
    *,
    study: Study,
    case_identifier: str,
    name: str,
    file: Path | None,
    user: User | None,
    mpp: float | None = None,
    detect: bool = True,
    links: Sequence[tuple[str, str]] = (),
) -> Slide:
    """A slide from a file on this server, which is moved into the slide's folder. It still has to be prepared.

    The file stays where it was until the rows are there for good, so that a death at any moment loses nothing.
    links: instead of a file, (name, path) of files that are read where they are, and stay there; the one to open first.

    Without a file the slide is one that preparing draws. Without an identifier it is a case of its own, under a
    pseudonym. The name of the file is kept apart: others read the case's pseudonym and the number of the slide in it.
    """
    with transaction.atomic():
        identifier = named(case_identifier, what="case", longest=100) or new_pseudonym(study)
        case, _ = Case.objects.get_or_create(study=study, identifier=identifier)
        drawn = file is None and not links
        number = None if drawn else _next_number(case)
        slide: Slide = Slide.objects.create(
            case=case,
            number=number,
            name=clean_name(name) if drawn else f"{case.identifier} slide {number}",
            file_name="" if drawn else clean_name(name),
            path=f"original/{links[0][0]}" if links else f"original/slide{_suffix(name)}",
            bytes=file.stat().st_size if file else 0,
            uploaded_by=user,
            wants_detection=detect,
            drawn=drawn,
            mpp_x=mpp,
            mpp_y=mpp,
            mpp_source="entered" if mpp else "",
        )
        uploaded = {"study": study.name, "mpp": mpp, "bytes": slide.bytes}
        record(Action.SLIDE_DRAWN if drawn else Action.SLIDE_UPLOADED, slide, who=user, after=uploaded)
        local_path(slide).parent.mkdir(parents=True)
        if file is not None:
            _link_or_copy(file, local_path(slide))
            transaction.on_commit(lambda: file.unlink(missing_ok=True), robust=True)
        for beside, source in links:
            link = slide.folder / "original" / beside
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
    return slide


def new_pseudonym(study: Study) -> str:
    """A name for a case, as no other case of the study has it."""
    while True:
        name = f"case-{secrets.token_hex(4)}"
        if not Case.objects.filter(study=study, identifier=name).exists():
            return name


def slide_correct_case(*, slide: Slide, case: Case) -> None:
    """Put a slide, not yet saved, into another case: it gets the next number there, and is named by it if it was so."""
    before = Slide.objects.select_related("case__study").get(pk=slide.pk)
    slide.case = case
    Slide._base_manager.filter(original=slide).update(case=case)
    places = ({"study": one.study.name, "case": one.identifier} for one in (before.case, case))
    record(Action.SLIDE_MOVED, slide, before=next(places), after=next(places))
    if before.case.study_id != case.study_id:
        slides_changed_study(slides=[slide], before=before.case.study)
    if before.number is None:
        return
    slide.number = _next_number(case)
    if slide.name == f"{before.case.identifier} slide {before.number}":
        slide.name = f"{case.identifier} slide {slide.number}"


def slides_changed_study(*, slides: Iterable[Slide], before: Study) -> None:
    """Slides, not yet saved or saved, are in another study now: who reads them there must be of it, and answers that
    are kept for members of the study before, and may name them, do not come again."""
    for slide in slides:
        if slide.reader is not None and not may(Right.JUDGE, user=slide.reader, study=slide.case.study_id):
            record(Action.SLIDE_ASSIGNED, slide, before={"reader": slide.reader.get_username()}, after={"reader": None})
            slide.reader = None
            Slide.objects.filter(pk=slide.pk).update(reader=None)
    for member in before.memberships.select_related("user"):
        answers_forget_of(user=member.user)


def slide_prepared(*, slide: Slide, facts: SlideFacts) -> Slide:
    """Store what preparing found. um/px of the file wins over an entered one."""
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk)
        uploaded = local_path(slide)
        slide.path, slide.bytes, slide.sha256 = facts.path, facts.bytes, facts.sha256
        slide.format, slide.scanner = facts.format, facts.scanner
        slide.width, slide.height, slide.tissue_fraction = facts.width, facts.height, facts.tissue_fraction
        remarks = [facts.remark] if facts.remark else []
        same = Slide.objects.filter(case__study=slide.case.study_id, sha256=slide.sha256).exclude(pk=slide.pk)
        if twin := same.exclude(state=Slide.State.REFUSED).order_by("uploaded_at").first():
            remarks.append(f"The same file is here already, uploaded on {twin.uploaded_at:%Y-%m-%d}.")
        if facts.mpp:
            if slide.mpp_source == "entered" and slide.mpp_x != facts.mpp[0]:
                remarks.append(f"The file says {facts.mpp[0]:.4g} um/px; the {slide.mpp_x:g} entered is not used.")
            slide.mpp_x, slide.mpp_y = facts.mpp
            slide.mpp_source = "file"
        slide.remark = " ".join(remarks)
        if slide.path.startswith("unpacked/"):
            transaction.on_commit(lambda: uploaded.unlink(missing_ok=True), robust=True)  # the zip
        slide.state = Slide.State.READY if slide.mpp else Slide.State.NEEDS_MPP
        slide.save()
    return slide


def slide_measure_tissue(*, slide: Slide) -> None:
    """Find the tissue of a slide that was prepared before it was kept. Raises SlideError where it cannot be read."""
    with slide_opened(slide) as file:
        _, mask = tissue_of(file)
    tissue_keep(slide, mask)
    with transaction.atomic():
        Slide.objects.filter(pk=slide.pk).update(tissue_fraction=float(mask.mean()))
        area_changed.send(Slide, slide=slide)


def slide_add_remark(*, slide: Slide, remark: str) -> None:
    """Add a remark for the readers of a slide."""
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk)
        slide.remark = f"{slide.remark} {remark}".strip()
        slide.save(update_fields=["remark"])


def slide_refused(*, slide: Slide, reason: str) -> None:
    """Mark a slide as refused and delete its file; the reason stays."""
    with transaction.atomic():
        Slide.objects.filter(pk=slide.pk).update(state=Slide.State.REFUSED, remark=reason, path="")
        transaction.on_commit(lambda: shutil.rmtree(slide.folder, ignore_errors=True))


def slide_delete(*, slide: Slide) -> None:
    """Delete a slide with its runs and verdicts; its files after commit.

    What becomes of signed reports, its study says. A worker on it stops at its next progress report.
    """
    demand_own(slide)
    gone = Slide(pk=slide.pk)
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk, "case__study")
        Upload.objects.filter(slide=slide).delete()  # they have the name of the file
        was = {"case": slide.case.identifier, "study": slide.case.study.name, "sha256": slide.sha256}
        record(Action.SLIDE_DELETED, slide, before=was)
        slide.delete()
        transaction.on_commit(lambda: slide_forget(gone), robust=True)  # what fails is done again by `forget_deleted`


def forget_deleted() -> None:
    """Delete once more the files of slides that were deleted lately: a bucket may have been away, or a process died."""
    since = timezone.now() - _FORGOTTEN_AGAIN
    lately = Entry.objects.filter(action=Action.SLIDE_DELETED, at__gt=since).values_list("object_id", flat=True)
    for pk in set(lately):
        slide_forget(Slide(pk=UUID(pk)))


def demand_identity(user: User) -> None:
    """Raise NotAllowed where a person may not see what can name a patient."""
    if not may_see_identity(user):
        raise NotAllowed(
            "Label, macro image and original file may name a patient; they need a permission of their own."
        )


def slide_identity_seen(*, slide: Slide, user: User, what: str) -> None:
    """Record a person's access to an identifying image or file, or refuse it."""
    slides_identity_seen(slides=[slide], user=user, what=what)


def slides_identity_seen(*, slides: Iterable[Slide], user: User, what: str) -> None:
    """The same of many slides, each of which has its entry."""
    demand_identity(user)
    record_many(Action.IDENTITY_SEEN, [(slide, None, {"what": what}) for slide in slides], who=user)


def slide_assign(*, slide: Slide, reader: str | None, by: User) -> None:
    """Assign the reader of this name, or nobody (None). Who reads it may judge in its study. Raises NoReader."""
    demand_on(Right.JUDGE, slide, by)
    demand_own(slide)
    person = None if reader is None else reader_called(reader, study=slide.case.study_id)
    with transaction.atomic():
        before = lock_row(Slide, slide.pk, "reader").reader
        Slide.objects.filter(pk=slide.pk).update(reader=person)
        was = {"reader": before.get_username() if before else None}
        record(Action.SLIDE_ASSIGNED, slide, who=by, before=was, after={"reader": reader})


def slide_set_mpp(*, slide: Slide, mpp: float, user: User) -> Slide:
    """Enter um/px where the file has none. Allowed to managers of the study and to who uploaded it; logged."""
    if not may_set_mpp(slide=slide, user=user):
        raise NotAllowed("Only a manager of the study or the person who uploaded this slide may enter its um/px.")
    demand_unread(slide)
    if plausible_mpp(mpp, mpp) is None:
        raise InvalidInput("um/px must lie between 0.05 and 5; a 40x scan has about 0.25.")
    with transaction.atomic():
        slide = lock_row(Slide, slide.pk)
        if slide.mpp_source == "file":
            raise DomainError("The um/px of this slide comes from its file and cannot be changed.")
        if slide.state not in {Slide.State.NEEDS_MPP, Slide.State.READY}:
            raise DomainError(f"This slide is {slide.get_state_display()}; um/px can be entered when it is prepared.")
        before = slide.mpp_x
        slide.mpp_x = slide.mpp_y = mpp
        slide.mpp_source = "entered"
        slide.state = Slide.State.READY
        slide.save()
        record(Action.MPP_ENTERED, slide, who=user, before={"mpp": before}, after={"mpp": mpp})
        area_changed.send(Slide, slide=slide)
    return slide


def may_set_mpp(*, slide: Slide, user: User) -> bool:
    """Whether the person is authorised to enter this slide's um/px."""
    right = Right.UPLOAD if slide.uploaded_by_id == user.pk else Right.MANAGE
    return may(right, user=user, study=slide.case.study_id)


def clean_name(name: str) -> str:
    """The last part of a path as a plain name, for display only; a long one is cut."""
    return plain_name(re.split(r"[/\\]", name)[-1])[:255].strip() or "unnamed"


def _next_number(case: Case) -> int:
    """The number of the next slide of a case; whoever asks at the same time waits, and gets the one after it."""
    if not Case.objects.filter(pk=case.pk).update(slides_numbered=F("slides_numbered") + 1):
        raise DomainError("This case was deleted at the same moment; try again.")
    return Case.objects.values_list("slides_numbered", flat=True).get(pk=case.pk)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _suffix(name: str) -> str:
    suffix = Path(clean_name(name)).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""
