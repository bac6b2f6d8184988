"""Studies hold cases, cases hold slides; people are members of studies.

Every list and every object is reached through `visible_to(user)`, which gives nothing unless a rule gives it.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from webapp.core.names import NameField

Viewer = AbstractBaseUser | AnonymousUser
Rows = TypeVar("Rows", bound=models.QuerySet[Any])


def visible(rows: Rows, user: Viewer, study: str) -> Rows:
    """The rows of the studies that a person is a member of; superusers see all, strangers nothing.

    Who reads a slide blinded sees the own copy of it in its place, and nobody else sees that (`Reading`).
    study: the lookup from a row to its study, such as "case__study"; "" for studies themselves.
    """
    if not user.is_authenticated or not user.is_active:
        return rows.none()
    if study.endswith("case__study"):
        rows = _unblinded(rows, user, study.removesuffix("case__study"))
    if getattr(user, "is_superuser", False):
        return rows
    member = f"{study}__memberships__user_id" if study else "memberships__user_id"
    return rows.filter(**{member: user.pk})


def _unblinded(rows: Rows, user: Viewer, slide: str) -> Rows:
    """The rows of slides, by the lookup to them, but for those that a person reads blinded, and copies of others."""
    own = Q(**{f"{slide}original": None}) | Q(**{f"{slide}reader": user.pk})
    read = Reading.objects.filter(slide=OuterRef(f"{slide}pk"), reader=user.pk, over_at=None)
    return rows.filter(own, ~Exists(read))


def may_see_identity(user: Viewer) -> bool:
    """Whether a person may see what can name a patient, of the slides that they see at all."""
    return isinstance(user, User) and user.has_perm("slides.view_identity")


class StudyQuerySet(models.QuerySet["Study"]):
    """Studies."""

    def visible_to(self, user: Viewer) -> Self:
        """Those that the person is a member of."""
        return visible(self, user, "")


class CaseQuerySet(models.QuerySet["Case"]):
    """Cases."""

    def visible_to(self, user: Viewer) -> Self:
        """Those of the person's studies."""
        return visible(self, user, "study")


class SlideQuerySet(models.QuerySet["Slide"]):
    """Slides."""

    def visible_to(self, user: Viewer) -> Self:
        """Those of the person's studies."""
        return visible(self, user, "case__study")

    def search(self, text: str, user: Viewer) -> Self:
        """Those whose name or case holds the text; file names are searched for whom they are shown to."""
        names = Q(name__icontains=text) | Q(case__identifier__icontains=text)
        file_name = Q(file_name__icontains=text)
        return self.filter(names | (file_name if may_see_identity(user) else file_name & Q(uploaded_by=user.pk)))


class SlideManager(models.Manager["Slide"]):
    """Slides, without the copies of blinded readers: each is seen by its reader alone, by `visible_to`."""

    def get_queryset(self) -> SlideQuerySet:
        return SlideQuerySet(self.model, using=self._db).filter(original=None)

    def visible_to(self, user: Viewer) -> SlideQuerySet:
        """Those of the person's studies, with the own copies of slides that the person reads blinded."""
        return SlideQuerySet(self.model, using=self._db).visible_to(user)


class Study(models.Model):
    """A group of cases that the same people may see.

    rule, area_mm2, shape: of the mitotic score and the hotspot; "" and null: as the laboratory counts. deleted_reports:
    what becomes of the signed reports of a patient who is deleted. reading: who judges a slide. candidates_hidden:
    whether blinded readers see nothing of the detector's. atypical: whether atypical figures are told and counted.
    """

    class ReadingMode(models.TextChoices):
        OPEN = "open", "Open: all readers, each sees the others' verdicts"
        ONE = "one", "One reader: whose it is to read, or who judges first"
        BLINDED = "blinded", "Second reader, blinded: two or more, none sees the others until all are done"

    class DeletedReports(models.TextChoices):
        TOMBSTONE = "tombstone", "Their numbers stay, without identity and pictures"
        CONSENT = "consent", "Nothing of them stays, once a second manager has agreed"

    name = NameField(max_length=200, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    rule = models.CharField(max_length=60, blank=True)
    area_mm2 = models.FloatField("area in mm²", null=True, blank=True)
    shape = models.CharField(max_length=10, blank=True)
    deleted_reports = models.CharField(
        "reports of deleted patients",
        max_length=10,
        choices=DeletedReports.choices,
        default=DeletedReports.TOMBSTONE,
    )
    reading = models.CharField(max_length=10, choices=ReadingMode.choices, default=ReadingMode.OPEN, db_default="open")
    candidates_hidden = models.BooleanField(
        "hide the detector's candidates from blinded readers", default=False, db_default=False
    )
    atypical = models.BooleanField("tell atypical mitotic figures", default=False, db_default=False)
    members = models.ManyToManyField(User, through="Membership", related_name="studies")

    objects = StudyQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person in a study. What the roles may: `webapp.slides.roles`."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer: looks"
        UPLOADER = "uploader", "Uploader: also uploads and has slides detected on"
        READER = "reader", "Reader: also judges, draws regions, signs"
        MANAGER = "manager", "Manager: also members, way of counting, exports of the study, deleting"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.READER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "user"], name="one_membership_per_study")]

    def __str__(self) -> str:
        return f"{self.user} in {self.study} as {self.role}"


class Case(models.Model):
    """One patient, by a pseudonym; the unit by which data are split for training.

    slides_numbered: how many slides have had a number here; none is given twice.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="cases")
    identifier = NameField(max_length=100)
    slides_numbered = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CaseQuerySet.as_manager()

    class Meta:
        ordering = ["identifier"]
        constraints = [models.UniqueConstraint(fields=["study", "identifier"], name="one_case_per_identifier")]

    def __str__(self) -> str:
        return self.identifier


class CaseDeletion(models.Model):
    """The deletion of a patient that one manager has asked for and another one has to agree to."""

    case = models.OneToOneField(Case, on_delete=models.CASCADE, related_name="deletion")
    by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"deletion of {self.case}, asked for by {self.by}"


class Slide(models.Model):
    """A slide or frame that was uploaded. Coordinates everywhere are its level-0 pixels, origin top left, uncropped."""

    class State(models.TextChoices):
        PREPARING = "preparing", "being prepared"
        NEEDS_MPP = "needs_mpp", "µm/px missing"
        READY = "ready", "ready"
        REFUSED = "refused", "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="slides")
    name = NameField(max_length=255, help_text="What everybody may read: the case's pseudonym and a number.")
    number = models.PositiveIntegerField(null=True, blank=True, editable=False, help_text="In the case, from 1 up.")
    file_name = NameField(max_length=255, blank=True, help_text="May name a patient: see `name_for`.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PREPARING, db_index=True)
    remark = models.TextField(blank=True, help_text="Why it was refused, or what a reader should know about it.")
    path = models.CharField(max_length=500, blank=True, help_text="The file to open, relative to its own folder.")
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    bytes = models.BigIntegerField(default=0)
    format = models.CharField(max_length=50, blank=True)
    scanner = models.CharField(max_length=100, blank=True, db_index=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    mpp_x = models.FloatField(null=True, blank=True, help_text="um per level-0 pixel.")
    mpp_y = models.FloatField(null=True, blank=True)
    mpp_source = models.CharField(max_length=10, blank=True, help_text="file, or entered by a person.")
    tissue_fraction = models.FloatField(null=True, blank=True, help_text="Share of the area that is not glass.")
    wants_detection = models.BooleanField(default=True, help_text="Detect as soon as it is ready.")
    drawn = models.BooleanField(default=False, help_text="Drawn by the program, not scanned.")
    uploaded_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    uploaded_at = models.DateTimeField(auto_now_add=True, db_index=True)
    reader = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="to_read", help_text="Whose it is to read."
    )
    original = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, editable=False, related_name="+",
        help_text="Of a copy, which its reader reads blinded: the slide that it is a copy of, whose files are its own.",
    )  # fmt: skip

    objects = SlideManager()

    class Meta:
        ordering = ["-uploaded_at"]
        permissions = [("view_identity", "Can see label and macro images and file names, which may name a patient")]
        constraints = [models.UniqueConstraint(fields=["case", "number"], name="one_slide_per_number")]

    def __str__(self) -> str:
        return self.name

    def name_for(self, user: Viewer) -> str:
        """The file's name for whoever uploaded it or may see identities, the pseudonymous name for all others."""
        own = user.pk is not None and user.pk == self.uploaded_by_id
        return self.file_name if self.file_name and (own or may_see_identity(user)) else self.name

    @property
    def files_of(self) -> uuid.UUID:
        """Key of the slide whose files these are: its own, or the original's."""
        return self.original_id or self.id

    @property
    def folder(self) -> Path:
        """Where everything of this slide lies."""
        return Path(settings.SLIDE_DIR) / str(self.files_of)

    @property
    def thumbnail(self) -> Path:
        """A JPEG of at most 512 px."""
        return self.folder / "thumbnail.jpeg"

    @property
    def mpp(self) -> tuple[float, float] | None:
        """(x, y) um per level-0 pixel, or None where unknown."""
        return (self.mpp_x, self.mpp_y) if self.mpp_x is not None and self.mpp_y is not None else None

    @property
    def tissue_mm2(self) -> float | None:
        """Area that is not glass, from um/px in x times y; None where um/px is unknown."""
        if self.mpp is None or self.tissue_fraction is None or not self.width or not self.height:
            return None
        return self.tissue_fraction * self.width * self.height * self.mpp[0] * self.mpp[1] / 1e6


class Reading(models.Model):
    """A slide that one reader reads blinded, on a copy of it with the own verdicts alone.

    copy: None before the reading begins, and when it is over. shows_candidates: whether the detector's are on the copy.
    round: a reader may read each slide twice, `wash_out_days` apart; place: in the order of the reader. opens_at: not
    before, null until the round before is done. done_at: when the reader was done; over_at: when all readings of the
    slide were, and verdicts came together.
    result: of the reader's own verdicts, `webapp.readings.types.ReadingResult`.
    """

    slide = models.ForeignKey(Slide, on_delete=models.CASCADE, related_name="readings")
    reader = models.ForeignKey(User, on_delete=models.CASCADE, related_name="readings")
    copy = models.OneToOneField(Slide, on_delete=models.SET_NULL, null=True, related_name="reading")
    shows_candidates = models.BooleanField(default=True)
    round = models.PositiveSmallIntegerField(default=1)
    place = models.PositiveIntegerField(default=1)
    opens_at = models.DateTimeField(null=True)
    wash_out_days = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    over_at = models.DateTimeField(null=True)
    result = models.JSONField(default=dict)

    class Meta:
        ordering = ["round", "place", "pk"]
        constraints = [models.UniqueConstraint(fields=["slide", "reader", "round"], name="one_reading_per_round")]
        indexes = [models.Index(fields=["slide", "reader", "over_at"])]

    def __str__(self) -> str:
        return f"reading of {self.slide} by {self.reader}"


class UploadQuerySet(models.QuerySet["Upload"]):
    """An upload belongs to the person who began it."""

    def visible_to(self, user: Viewer) -> Self:
        """The person's own uploads."""
        return self.filter(user_id=user.pk) if user.is_authenticated and user.is_active else self.none()

    def unfinished(self) -> Self:
        """Those of which bytes are still awaited."""
        return self.filter(slide=None, touched_at__gt=timezone.now() - settings.UPLOAD_KEPT)

    def expired(self) -> Self:
        """Unfinished and expired."""
        return self.filter(slide=None, touched_at__lte=timezone.now() - settings.UPLOAD_KEPT)


class Upload(models.Model):
    """An unfinished upload; `offset`: bytes received."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+")
    case_identifier = NameField(max_length=100, blank=True)
    name = NameField(max_length=255)
    size = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    mpp = models.FloatField(null=True, blank=True)
    detect = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(default=timezone.now, help_text="When bytes last arrived.")
    holder = models.CharField(max_length=16, blank=True, help_text="The connection that may add bytes: the newest.")
    slide = models.ForeignKey(Slide, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    objects = UploadQuerySet.as_manager()

    def __str__(self) -> str:
        return f"upload {self.pk} ({self.offset} of {self.size} bytes)"  # not its name, which may name a patient

    @property
    def expires_at(self) -> datetime:
        """When its bytes are dropped, unless more arrive."""
        kept: timedelta = settings.UPLOAD_KEPT
        return self.touched_at + kept

    @property
    def expired(self) -> bool:
        """Whether it has expired: no bytes for UPLOAD_DAYS."""
        return self.slide_id is None and self.expires_at <= timezone.now()

    @property
    def file(self) -> Path:
        """Where the bytes that have arrived lie."""
        return Path(settings.UPLOAD_DIR) / str(self.id)
