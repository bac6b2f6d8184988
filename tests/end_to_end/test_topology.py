"""The server set-up as docker-compose.yml, the Dockerfile and docs/nginx.conf say it, with processes for containers."""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest

from detector.slide.drawn import draw_slide
from tests.resilience.topology import NGINX, ROOT, Refused, Topology, interpolated, stages
from tests.waiting import wait_for

HOST = "mitoscope.example.org"
PASSWORD = "p@ss#1/x?y %z"
ENV = {"POSTGRES_PASSWORD": PASSWORD, "ALLOWED_HOSTS": HOST, "HTTPS": "True", "PROXIES": "2", "PRECISION": "fp32"}
# What a proxy with certificates in front adds.
TLS = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


def names_of_settings():
    return re.findall(r"^# ([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)


@pytest.mark.parametrize("service", ["web", "worker", "trainer", "ingest", "reaper", "backup"])
def test_every_setting_reaches_the_containers(tmp_path, service):
    env = {name: f"my {name}" for name in names_of_settings()} | {"POSTGRES_PASSWORD": "pw"}
    found = Topology(tmp_path, env).environment(service)
    kept = {"DATA_DIR"}  # the volume
    assert {name for name in env if name not in kept and found.get(name) != env[name]} == set()


def test_what_must_be_set_is_asked_for(tmp_path):
    with pytest.raises(Refused, match="set POSTGRES_PASSWORD"):
        Topology(tmp_path, {}).environment("web")
    assert interpolated("${A:-b}${A-c}${D:-${E:-f}}", {"A": ""}) == "bf"


def test_containers_of_ours_have_few_rights(tmp_path):
    stack = Topology(tmp_path, ENV)
    for name, raw in stack.compose["services"].items():
        service = stack.service(name)
        if "build" in raw:
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert service["build"]["target"] in stages(), name
    assert ".env" in (ROOT / ".dockerignore").read_text().split()


@pytest.fixture(scope="module")
def stack():
    if NGINX is None:
        pytest.skip("nginx is not installed (Debian: apt install nginx-light)")
    # Not in pytest's folder, which other runs of pytest close to everybody: PostgreSQL has an account of its own.
    with tempfile.TemporaryDirectory(prefix="topology-") as folder:
        stack = Topology(Path(folder), ENV)
        try:
            stack.up()
            yield stack
        finally:
            stack.down()


def ask(stack, method, path, body=b"", **headers):
    """Through nginx, as a proxy with certificates asks it."""
    link = http.client.HTTPConnection("127.0.0.1", stack.ports["proxy"], timeout=60)
    link.request(method, path, body, {**TLS, **headers})
    answer = link.getresponse()
    answer.data = answer.read()
    link.close()
    return answer


def credentials(stack):
    said = dict(re.findall(r"^  (name|password|API token)\s+(\S+)$", stack.log("web"), re.MULTILINE))
    return said["name"], said["password"], {"Authorization": f"Token {said['API token']}"}


def rows(stack, query):
    given = {"host": "127.0.0.1", "port": stack.ports["postgres"], "user": "mitoscope", "dbname": "mitoscope"}
    with psycopg.connect(**given, password=PASSWORD) as link:
        return link.execute(query).fetchall()


def signed_report(stack, folder):
    """A slide is uploaded, detected and signed."""
    _, _, token = credentials(stack)
    file = folder / "a.tif"
    draw_slide(file, size=700, figures=4, seed=2)
    named = ",".join(
        f"{key} {base64.b64encode(value).decode()}" for key, value in {"filename": b"a.tif", "mpp": b"0.25"}.items()
    )
    tus = {**token, "Tus-Resumable": "1.0.0"}
    data = file.read_bytes()
    made = ask(stack, "POST", "/api/v1/uploads/", **tus, **{"Upload-Length": str(len(data)), "Upload-Metadata": named})
    assert made.status == 201, made.data
    sent = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    slide = ask(stack, "PATCH", made.headers["Location"], data, **sent).headers["Mitoscope-Slide"]
    count = f"/api/v1/slides/{slide}/mitosis-count/"
    wait_for(lambda: ask(stack, "GET", count, **token).status == 200, seconds=180, what="the count", every=1)
    report = ask(
        stack, "POST", f"/api/v1/slides/{slide}/reports/", b"{}", **token, **{"Content-Type": "application/json"}
    )
    assert report.status == 201, report.data
    return slide, json.loads(report.data)


def test_from_nothing_to_a_signed_report_and_back_from_a_backup(stack, tmp_path):
    name, password, token = credentials(stack)
    assert ask(stack, "GET", "/login/", **{"X-Forwarded-Proto": "http"}).headers["Location"] == f"https://{HOST}/login/"
    assert ask(stack, "GET", "/login/", Host="elsewhere.example.org").status == 400
    form = ask(stack, "GET", "/login/")
    assert form.status == 200 and "max-age=31536000" in form.headers["Strict-Transport-Security"]
    cookie = re.search(r"csrftoken=(\w+)", form.headers["Set-Cookie"])[1]
    sent = {"username": name, "password": password, "csrfmiddlewaretoken": cookie}
    headers = {"Cookie": f"csrftoken={cookie}", "Content-Type": "application/x-www-form-urlencoded"}
    entered = ask(stack, "POST", "/login/", urlencode(sent).encode(), **headers, Origin=f"https://{HOST}")
    assert (entered.status, entered.headers["Location"]) == (302, "/")
    assert "Secure" in entered.headers.get_all("Set-Cookie")[-1]
    assert rows(stack, "SELECT origin FROM audit_entry WHERE action = 'signed in'") == [("203.0.113.7",)]
    slide, report = signed_report(stack, tmp_path)
    assert ask(stack, "GET", "/api/v1/health/").status == 200

    stack.run("backup")
    (made,) = [path for path in (stack.folder / "backups").iterdir() if path.name[0].isdigit()]
    entries = rows(stack, "SELECT count(*) FROM audit_entry")
    stack.down()
    shutil.rmtree(stack.folder / "data")
    (stack.folder / "data").mkdir()
    (stack.folder / "logs" / "web.log").unlink()
    stack.start("postgres")
    stack.empty_database()
    with pytest.raises(RuntimeError, match="hardly the one in use"):
        stack.run("backup")
    stack.run("backup", "restore", f"/backups/{made.name}")
    stack.up()
    again = json.loads(ask(stack, "GET", f"/api/v1/slides/{slide}/reports/", **token).data)
    assert [one["seal"] for one in again] == [report["seal"]]
    assert ask(stack, "GET", report["pdf"], **token).status == 200
    assert "All 1 reports are as they were signed" in stack.run("backup", "check_reports")
    assert "entries" in stack.run("backup", "audit_verify")
    assert rows(stack, "SELECT count(*) FROM audit_entry") >= entries
    assert "first administrator" not in stack.log("web")
    tile = ask(stack, "GET", f"/api/v1/slides/{slide}/tiles_files/9/0_0.jpeg", **token)
    assert (tile.status, tile.headers["Content-Type"]) == (200, "image/jpeg")
