"""A study with names that nobody else may read, and eight kinds of people."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import F, Value
from django.db.models.functions import Concat

from tests.rows import Rows
from tests.security.rules import NAME, SECRET
from webapp.registry.models import TRAINED_HERE
from webapp.retraining.models import TrainingRun
from webapp.slides.models import Case, Membership, Slide, Study
from webapp.slides.uploads import upload_create

APPS = ("slides", "jobs", "annotations", "reports", "registry", "retraining", "access", "knox")


@pytest.fixture
def people(study, bob, root) -> dict[str, User | None]:
    Study.objects.filter(pk=study.pk).update(name=f"{SECRET} study")
    study.refresh_from_db()
    found: dict[str, User | None] = {"stranger": None, "outsider": bob, "administrator": root}
    for role in Membership.Role:
        found[role.value] = User.objects.create_user(f"{SECRET}-{role.value}", password="pw")
        Membership.objects.create(study=study, user=found[role.value], role=role)
    staff = User.objects.create_user("staff", password="pw", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label__in=APPS))
    return {**found, "staff": staff}


@pytest.fixture
def rows(people, study, make_slide, make_run) -> Rows:
    case = Case.objects.create(study=study, identifier=f"{SECRET}-case")
    slide = make_slide(f"{SECRET} slide", mpp=0.25, case=case, file_name=f"{NAME}.svs")
    original = slide.folder / "original" / "slide.svs"
    original.parent.mkdir(exist_ok=True)
    original.write_bytes(b"as it was uploaded")
    rows = Rows(people["administrator"], people["reader"], slide, make_run(slide, [(1.0, 1.0, 0.9)]))
    rows.make(2)
    rows.upload = upload_create(user=people["reader"], study=study, name=f"{NAME}.svs", size=3)
    User.objects.filter(username__startswith="person").update(username=Concat(Value(f"{SECRET} "), F("username")))
    Case.objects.filter(study=study).update(identifier=Concat(Value(f"{SECRET} "), F("identifier")))
    Slide.objects.filter(case__study=study).update(name=Concat(Value(f"{SECRET} "), F("name")))
    named = {"case_names": [f"{SECRET}-case"], "cases": 1, "source": "here", "mitoses": 1, "frames": 1}
    rows.version.card = {"data": [named], "cases_learnt": [f"{SECRET}-case"], "judgement": {"why": SECRET}}
    rows.version.path = f"{TRAINED_HERE}x/weights.safetensors"
    rows.version.save()
    others = rows.version.judgements.exclude(pk=rows.judgement.pk)
    others.update(result={"cases": 1}, why=f"{SECRET} case", cases=[f"{SECRET}-case"])
    TrainingRun.objects.update(warnings=[SECRET])
    return rows
