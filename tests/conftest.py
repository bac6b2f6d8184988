"""People, slides and models that the tests share."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connection
from PIL import Image
from rest_framework.test import APIClient

from tests.browser import browser  # noqa: F401
from tests.served import server  # noqa: F401
from webapp.annotations.models import Run
from webapp.annotations.services import candidates_write
from webapp.registry.models import ModelVersion
from webapp.slides.models import Case, Membership, Slide, Study
from webapp.slides.storage import local_path

_numbers = itertools.count()

# The same examples each time: what fails was changed. `make properties` looks for new ones.
hypothesis.settings.register_profile("fixed", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=400, print_blob=True)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real slides and labels; tests that need it are skipped, saying so, without it."""
    folder = os.environ.get("MITOSCOPE_DATA", "")
    if not folder:
        pytest.skip("MITOSCOPE_DATA is not set: real slides and labels are not here")
    return Path(folder)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests that commit empty all tables after them, which the audit table refuses."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # it empties them by deleting
            cursor.execute("DROP TRIGGER audit_entry_not_deleted")
        else:
            cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_not_emptied")


@pytest.fixture(autouse=True)
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    """What confines a process would confine that of the tests, and for good."""
    monkeypatch.setattr("webapp.core.confinement.confine_server", lambda **_: True)


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """Every test has its own uploads, slides and models."""
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.SLIDE_DIR = tmp_path / "slides"
    settings.DICOM_DIR = tmp_path / "dicom"
    settings.MODEL_DIR = tmp_path / "models"
    settings.SET_DIR = tmp_path / "sets"
    settings.TRAINING_DIR = tmp_path / "trainings"
    settings.AUDIT_HEAD = tmp_path / "audit_head"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def study(db: None) -> Study:
    """The study of Alice."""
    return Study.objects.create(name="Breast")


@pytest.fixture
def alice(study: Study) -> User:
    """A reader in the study."""
    user = User.objects.create_user("alice", password="pw")
    Membership.objects.create(study=study, user=user)
    return user


@pytest.fixture
def bob(db: None) -> User:
    """A manager, but of another study."""
    user = User.objects.create_user("bob", password="pw")
    other = Study.objects.create(name="Elsewhere")
    Membership.objects.create(study=other, user=user, role=Membership.Role.MANAGER)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    """Staff, but in no study: sees nothing."""
    return User.objects.create_user("charlie", password="pw", is_staff=True)


@pytest.fixture
def root(db: None) -> User:
    """The administrator."""
    return User.objects.create_superuser("root", password="pw")


@pytest.fixture
def client_of() -> Callable[[User | None], APIClient]:
    """An API client signed in as somebody."""

    def make(user: User | None) -> APIClient:
        client = APIClient()
        if user is not None:
            client.force_login(user)
        return client

    return make


@pytest.fixture
def picture() -> np.ndarray:
    """A small H&E-like frame: pink with darker noise."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 12, (420, 560, 1))
    return np.clip(np.array([225, 160, 190]) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def pyramid_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[np.ndarray, float | None], Path]:
    """A folder with the pyramid and the thumbnail of a picture; each is made once, and copied by who wants it."""
    from detector.slide.pyramid import write_pyramid

    made: dict[tuple[bytes, float | None], Path] = {}

    def pyramid_of(image: np.ndarray, mpp: float | None) -> Path:
        key = hashlib.sha256(image.tobytes()).digest(), mpp
        if key not in made:
            folder = tmp_path_factory.mktemp("pyramid")
            height, width = image.shape[:2]
            pair = (mpp, mpp) if mpp else None
            write_pyramid(
                folder / "pyramid.tif",
                lambda top, bottom: image[top:bottom],
                (width, height),
                pair,
                compression="deflate",
            )
            Image.fromarray(image).save(folder / "thumbnail.jpeg")
            made[key] = folder
        return made[key]

    return pyramid_of


@pytest.fixture
def make_slide(study: Study, picture: np.ndarray, pyramid_of: Callable[..., Path]) -> Callable[..., Slide]:
    """Slides that are ready, with a real pyramid on disk."""

    def make(name: str = "s.tif", mpp: float | None = 0.25, image: np.ndarray = picture, **fields: Any) -> Slide:
        case = fields.pop("case", None) or Case.objects.create(study=study, identifier=f"case-{next(_numbers)}")
        height, width = image.shape[:2]
        values: dict[str, Any] = {
            "state": Slide.State.READY if mpp else Slide.State.NEEDS_MPP,
            "path": "pyramid.tif",
            "width": width,
            "height": height,
            "mpp_x": mpp,
            "mpp_y": mpp,
            "mpp_source": "file" if mpp else "",
            "tissue_fraction": 1.0,
            "sha256": f"{next(_numbers):064x}",
            **fields,
        }
        slide = Slide.objects.create(case=case, name=name, **values)
        shutil.copytree(pyramid_of(image, mpp), slide.folder)
        if slide.path != "pyramid.tif":
            (slide.folder / "pyramid.tif").rename(local_path(slide))
        return slide

    return make


@pytest.fixture
def model(db: None) -> ModelVersion:
    """An active model version without a file, for what does not compute."""
    return ModelVersion.objects.create(name="m", state="active", path="m.safetensors", sha256="0" * 64, card={})


@pytest.fixture
def make_run(model: ModelVersion) -> Callable[..., Run]:
    """Runs with given candidates (x, y, score)."""

    def make(slide: Slide, candidates: list[tuple[float, float, float]]) -> Run:
        run = Run.objects.create(
            slide=slide,
            model=model,
            model_sha256=model.sha256,
            parameters={"floor": 0.2},
            mpp_x=slide.mpp_x or 0.25,
            mpp_y=slide.mpp_y or 0.25,
            code_version="test",
            device="cpu",
            precision="fp32",
            windows_total=1,
            windows_skipped=0,
            candidate_count=len(candidates),
        )
        candidates_write(run=run, rows=candidates)
        return run

    return make
