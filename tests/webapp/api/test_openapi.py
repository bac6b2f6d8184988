"""The API keeps what its OpenAPI description says, whatever is sent: no server error, answers of the promised form."""

from __future__ import annotations

import json
import os

import jsonschema
import pytest
import schemathesis
from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from webapp.access.services import token_make
from webapp.slides.models import Membership
from webapp.wsgi import application

PEOPLE = ["administrator", *Membership.Role.values, "outsider", "staff", "stranger"]
EXAMPLES = 4  # of each operation
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/offset+octet-stream")
def as_bytes(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture
def person(request, study, root, bob, charlie):
    if request.param in Membership.Role.values:
        user = User.objects.create_user(f"a {request.param}")
        Membership.objects.create(study=study, user=user, role=request.param)
        return user
    return {"administrator": root, "outsider": bob, "staff": charlie, "stranger": None}[request.param]


# `make security` comes as each of them.
@pytest.mark.parametrize("person", PEOPLE if "EVERY" in os.environ else PEOPLE[:1], indirect=True)
def test_nothing_that_is_sent_breaks_the_server_and_answers_are_as_described(one_connection, ids, person):
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)
    headers = {"Authorization": f"Token {token_make(user=person)}"} if person else {}
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    faults = {}
    for operation in operations:
        if fault := _fault(operation, headers, ids):
            faults[operation.label] = fault
    assert not faults, "\n\n".join(f"{label}: {fault}" for label, fault in faults.items())


def _fault(operation, headers, ids):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), real=st.booleans())
    def send(case, real):
        if real:
            kind = operation.path.split("/")[1]
            case.path_parameters = {
                name: str(ids.get(kind if name in {"pk", "id"} else name, value))
                for name, value in (case.path_parameters or {}).items()
            }
            for name in ("run", "other"):
                if name in (case.query or {}):
                    case.query[name] = str(ids[name])
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    try:
        send()
    except BaseException as error:  # an ExceptionGroup, too
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{error}"[:1500]
    return None


def test_every_call_has_an_example_of_what_is_sent_and_answered_and_it_fits(client_of):
    described = client_of(None).get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    missing = []
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for status, body in bodies.items():
                for kind, media in body.get("content", {}).items():
                    if media["schema"].get("format") == "binary" or "XX" in status:  # pictures; problem details
                        continue
                    examples = [one["value"] for one in media.get("examples", {}).values()]
                    examples += [media["example"]] if "example" in media else []
                    if not examples:
                        missing.append(f"{method.upper()} {path}: {status} {kind}")
                    schema = {**media["schema"], "components": described["components"]}
                    for example in examples:
                        jsonschema.validate(example, schema, format_checker=jsonschema.FormatChecker())
    assert not missing, "\n".join(missing)


def test_the_description_is_as_linters_want_it(client_of):
    """Spectral and Redocly say the same and more (`.spectral.yaml`, `redocly.yaml`)."""
    described = client_of(None).get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert described["openapi"].startswith("3.1") and described["servers"]
    assert "nullable" not in json.dumps(described)
    tags = {tag["name"] for tag in described["tags"] if tag["description"]}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and set(operation["tags"]) <= tags, (path, method)
            assert "4XX" in operation["responses"], (path, method)


def test_errors_outside_of_the_views_have_the_same_form(client_of, alice, settings):
    settings.DEBUG = False
    answer = client_of(alice).get("/api/v1/nothing/here/")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "No such address."
    assert "html" in client_of(alice).get("/nothing/")["Content-Type"]


@pytest.mark.parametrize("query", ["state=none", "slide=7", "kind=x", "since=yesterday"])
def test_wrong_filters_are_refused_and_right_ones_filter(client_of, alice, ids, query):
    assert client_of(alice).get(f"/api/v1/jobs/?{query}").status_code == 400


def test_lists_are_filtered(client_of, alice, ids):
    def count(path):
        return client_of(alice).get(f"/api/v1/{path}").json()["count"]

    assert count("slides/?state=ready&study=Breast&since=2020-01-01T00:00:00Z") == 1
    assert count("slides/?study=Elsewhere") == count("slides/?since=2999-01-01T00:00:00Z") == 0
    assert count("slides/?search=S.TIF") == 1
    assert count(f"jobs/?slide={ids['slides']}&state=failed") == 0
