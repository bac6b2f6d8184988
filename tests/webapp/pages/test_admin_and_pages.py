"""Admin pages open, actions call services; pages say what to do; errors have one form."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import reverse
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from webapp.annotations.services import detection_request
from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.slides.models import Slide

ADMIN = [
    "slides_study", "slides_case", "slides_slide", "slides_upload", "registry_modelversion", "jobs_job",
    "annotations_run", "auth_user", "reports_report",
]  # fmt: skip


@pytest.fixture
def run(make_slide, make_run):
    return make_run(make_slide(), [(1, 2, 0.9)])


@pytest.mark.parametrize("name", ADMIN)
def test_lists_of_the_admin_open(name, run, client_of, root, alice):
    detection_request(slide=run.slide, by=alice)
    assert client_of(root).get(reverse(f"admin:{name}_changelist")).status_code == 200


def test_objects_of_the_admin_open(run, client_of, root, alice):
    job = detection_request(slide=run.slide, by=alice)
    client = client_of(root)
    for name, pk in [
        ("slides_slide", run.slide_id), ("jobs_job", job.pk), ("annotations_run", run.pk),
        ("registry_modelversion", run.model_id), ("slides_study", run.slide.case.study_id),
    ]:  # fmt: skip
        assert client.get(reverse(f"admin:{name}_change", args=[pk])).status_code == 200, name


@pytest.mark.django_db(transaction=True)
def test_a_slide_deleted_in_the_admin_takes_its_files_with_it(make_slide, client_of, root):
    slide, client = make_slide(), client_of(root)
    client.post(reverse("admin:slides_slide_delete", args=[slide.pk]), {"post": "yes"})
    assert not Slide.objects.filter(pk=slide.pk).exists()
    assert not slide.folder.exists()


def test_readers_do_not_get_into_the_admin(client_of, alice):
    assert client_of(alice).get("/admin/").status_code == 302


def act(client, name, action, *keys, **fields):
    sent = {"action": action, "_selected_action": keys, **fields}
    return client.post(reverse(f"admin:{name}_changelist"), sent, follow=True).content.decode()


def test_jobs_are_cancelled_and_tried_again_from_the_admin(run, client_of, root, alice):
    job = detection_request(slide=run.slide, by=alice)
    client = client_of(root)
    assert "1 cancelled" in act(client, "jobs_job", "cancel", job.pk)
    assert "0 cancelled" in act(client, "jobs_job", "cancel", job.pk)
    assert "1 sent again" in act(client, "jobs_job", "retry", job.pk)
    assert Job.objects.get().state == State.PENDING


def test_slides_are_detected_on_again_from_the_admin(run, client_of, root):
    assert "1 requested" in act(client_of(root), "annotations_run", "again", run.pk)
    assert "under way already" in act(client_of(root), "annotations_run", "again", run.pk)
    assert (Job.objects.get().slide, Job.objects.get().requested_by) == (run.slide, root)


def test_one_model_version_is_active_and_somebody_says_why(run, client_of, root, settings):
    other = ModelVersion.objects.create(name="other", path="o.safetensors", sha256="1" * 64, card={})
    settings.MODEL_DIR.mkdir(parents=True)
    other.file.touch()
    client = client_of(root)
    assert "Give a reason" in act(client, "registry_modelversion", "activate", other.pk)
    assert "exactly one" in act(client, "registry_modelversion", "activate", other.pk, run.model_id)
    act(client, "registry_modelversion", "activate", other.pk, reason="a trial")
    assert {m.name: m.state for m in ModelVersion.objects.all()} == {"m": "retired", "other": "active"}


def test_pages_open_and_load_nothing_from_elsewhere(run, client_of, alice):
    client = client_of(alice)
    for address in ("/", "/jobs/", "/models/", f"/slides/{run.slide_id}/", "/worklist/rows/", "/jobs/rows/"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert not re.findall(r"""(?:src|href)=["']https?://""", answer.content.decode())
        assert "default-src 'self'" in answer["Content-Security-Policy"]


def test_the_api_documentation_is_served_from_here(client_of, alice):
    page = client_of(alice).get("/api/v1/docs/").content.decode()
    assert "swagger-ui" in page
    assert "cdn" not in page


def test_the_schema_describes_every_call_without_a_warning():
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache
    for path in ("/slides/{id}/mitosis-count/", "/slides/{id}/detections/", "/uploads/", "/jobs/{id}/cancel/"):
        assert f"/api/v1{path}" in schema["paths"]


def test_a_page_of_somebody_elses_slide_is_not_found(run, client_of, bob):
    assert client_of(bob).get(f"/slides/{run.slide_id}/").status_code == 404


def test_names_of_files_are_shown_as_text_not_as_markup(make_slide, client_of, alice):
    slide = make_slide(name="<script>alert(1)</script>.svs")
    client = client_of(alice)
    for address in ("/", f"/slides/{slide.pk}/"):
        assert "<script>alert" not in client.get(address).content.decode()


def test_errors_are_problem_details(client_of, alice):
    client = client_of(alice)
    for answer, status in [
        (client.get("/api/v1/slides/00000000-0000-0000-0000-000000000000/"), 404),
        (client.delete("/api/v1/slides/"), 405),
        (client_of(None).get("/api/v1/slides/"), 401),
        (client.post("/api/v1/uploads/"), 412),
    ]:
        body = answer.json()
        assert answer.status_code == body["status"] == status
        assert answer["Content-Type"].startswith("application/problem+json")
        assert body["detail"]


def test_tokens_open_the_api(alice, make_slide):
    from knox.models import AuthToken
    from rest_framework.test import APIClient

    make_slide()
    _, token = AuthToken.objects.create(alice)
    client = APIClient()
    assert client.get("/api/v1/slides/", headers={"Authorization": f"Token {token}"}).json()["count"] == 1
    assert client.get("/api/v1/slides/", headers={"Authorization": "Token wrong"}).status_code == 401


def test_health_says_what_each_part_says(client, db, settings):
    body = client.get("/api/v1/health/").json()
    assert body["database"]["ok"]
    assert body["broker"]["ok"]
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/api/v1/health/")
    assert answer.status_code == 503
    assert "Redis" in answer.json()["broker"]["say"]


def test_migrations_are_complete(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_who_is_alone_here_is_told_how_to_go_on(client_of, root, study):
    assert "First steps" in client_of(root).get("/").content.decode()
    User.objects.create_user("second")
    assert "First steps" not in client_of(root).get("/").content.decode()
    study.delete()
    assert "Make one" in client_of(root).get("/").content.decode()


def test_the_admin_has_our_looks_and_numbers_that_mean_something(client, root, make_slide):
    slide = make_slide(mpp=0.24561234567890123)
    client.force_login(root)
    for page in ("", f"{slide.pk}/change/"):
        said = client.get(f"/admin/slides/slide/{page}").content.decode()
        assert "favicon.svg" in said and "css/admin.css" in said and "Mitoscope admin" in said
        assert "0.2456<" in said and "0.24561" not in said
