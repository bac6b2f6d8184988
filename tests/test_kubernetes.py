"""The manifests for Kubernetes: valid by its schemas, and the same services as in the compose file, confined alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.db import connection

from webapp.jobs.models import Job
from webapp.jobs.services import job_create

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
OBJECTS: list[dict[str, Any]] = [
    found for name in KUSTOMIZATION["resources"] for found in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
]
OF_KEDA = [found for found in OBJECTS if found["apiVersion"].startswith("keda.sh/")]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]


def _named(kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in OBJECTS if found["kind"] == kind}


def _pods() -> dict[str, dict[str, Any]]:
    jobs = {name: found["spec"]["jobTemplate"] for name, found in _named("CronJob").items()}
    return {name: found["spec"]["template"]["spec"] for name, found in (_named("Deployment") | jobs).items()}


def test_every_file_is_in_the_kustomization():
    assert {path.name for path in FOLDER.glob("*.yaml")} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}


@pytest.mark.parametrize("found", [found for found in OBJECTS if found not in OF_KEDA], ids=str)
def test_it_is_valid_by_the_schemas(found):
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_each_service_of_ours_runs_what_the_compose_file_runs():
    pods = _pods()
    other_name = {"worker": "detect", "gpu-worker": "gpu-detect", "proxy": "proxy"}
    outside = {"postgres", "redis", "s3", "bucket", "import"}  # import: of a share of one machine
    for name, service in COMPOSE.items():
        if name in outside:
            continue
        (container,) = pods[other_name.get(name, name)]["containers"]
        if "command" in service:
            assert container["command"] == service["command"], name
        if "build" in service:
            gpu = "-gpu" if name.startswith("gpu-") else ""
            assert container["image"] == f"mitoscope-{service['build']['target']}{gpu}", name
        else:
            assert container["image"] == service["image"]


def test_each_container_is_confined_as_in_the_compose_file():
    for name, pod in _pods().items():
        assert pod["automountServiceAccountToken"] is False, name
        (container,) = pod["containers"]
        limits = container["securityContext"]
        assert limits["readOnlyRootFilesystem"] and limits["allowPrivilegeEscalation"] is False, name
        assert limits["capabilities"]["drop"] == ["ALL"], name
        assert container["resources"]["limits"]["memory"], name
        if name != "proxy":
            assert pod["securityContext"]["runAsNonRoot"] and "add" not in limits["capabilities"], name
        mounted = {volume["name"] for volume in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]} and "tmp" in mounted, name


def test_settings_are_known_ones_and_no_secret_is_among_them():
    known = {line[2:].split("=")[0] for line in (ROOT / ".env.example").read_text("utf-8").splitlines() if "=" in line}
    (settings,) = _named("ConfigMap").values()
    assert set(settings["data"]) <= known
    assert not [name for name in settings["data"] if name.endswith(("PASSWORD", "KEY", "SECRET"))]


def test_names_lead_to_what_is_there():
    pods, claims, services = _pods(), _named("PersistentVolumeClaim"), _named("Service")
    for pod in pods.values():
        for volume in pod["volumes"]:
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "data") in claims
    for service in services.values():
        assert service["spec"]["selector"]["app"] in pods
    (ingress,) = _named("Ingress").values()
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] in services
    assert {image["name"] for image in KUSTOMIZATION["images"]} == {
        container["image"] for pod in pods.values() for container in pod["containers"] if ":" not in container["image"]
    }
    for found in OF_KEDA:
        if found["kind"] == "ScaledObject":
            assert found["spec"]["scaleTargetRef"]["name"] in pods


def test_workers_are_scaled_by_the_parts_that_wait_or_are_under_way(make_slide, alice):
    job_create(kind=Job.Kind.DETECT, slide=make_slide(), by=alice, shards=3)
    job_create(kind=Job.Kind.INGEST, slide=make_slide("other"), by=alice)
    queries = [
        trigger["metadata"]["query"]
        for found in OF_KEDA
        if found["kind"] == "ScaledObject"
        for trigger in found["spec"]["triggers"]
    ]
    assert len(queries) == 2
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute(query)
            assert cursor.fetchone() == (3,)
