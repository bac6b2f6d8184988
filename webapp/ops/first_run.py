"""What a new installation begins with: an administrator, a token, two studies, a drawn slide, the shipped weights."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

from webapp.access.services import token_make
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.slides.models import Study
from webapp.slides.services import slide_create
from webapp.slides.studies import study_create

DEMO_NAME = "Drawn demonstration slide.tif"


@dataclass(frozen=True)
class Credentials:
    """What is printed once, at the first start."""

    name: str
    password: str
    token: str


def first_run() -> Credentials | None:
    """Make what is missing. The credentials of the first administrator; None where there is an administrator."""
    call_command("register_weights", verbosity=0, stdout=_Silent())
    if User.objects.filter(is_superuser=True).exists():
        return None
    path = Path(settings.DATA_DIR) / "credentials.txt"
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        admin, _ = User.objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
        admin.set_password(password)
        admin.save()
        token = token_make(user=admin, name="made at the first start")
        if not Study.objects.exists():
            study_create(name="Laboratory", manager=admin)
            if settings.DEMO_SLIDE_PIXELS:
                demo = study_create(name="Demonstration", manager=admin)
                slide = slide_create(study=demo, case_identifier="drawn", name=DEMO_NAME, file=None, user=admin)
                job_create(kind=Job.Kind.INGEST, slide=slide, by=admin)
        path.touch(mode=0o600)
        path.write_text(
            "Made at the first start, and of no use after the password is changed; delete this file when it is noted.\n"
            f"name: admin\npassword: {password}\ntoken: {token}\n",
            "utf-8",
        )
    return Credentials("admin", password, token)


class _Silent:
    def write(self, text: str) -> None: ...
