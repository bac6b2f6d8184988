"""The count has one form: the server's types, the OpenAPI description and the Python client agree, field by field."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from django.conf import settings

from webapp.core.typed_json import from_json, to_json
from webapp.results.count import mitosis_count
from webapp.results.question import question
from webapp.results.types import Count, CountModel, Field, Hotspot, Judged, Review, Score, Value, Values

NAMES = {int: "integer", float: "number", str: "string", UUID: "string", datetime: "string", bool: "boolean"}
DESCRIBED = [Count, CountModel, Field, Hotspot, Judged, Review, Score, Score.Rule, Value]


def by_hint(hint):
    """A type in words: "number", "number?" where it may be null, "[number, ...]", "[number, number]", "Hotspot"."""
    kinds = get_args(hint)
    if get_origin(hint) in {Union, UnionType}:
        (only,) = (kind for kind in kinds if kind is not NoneType)
        return f"{by_hint(only)}?"
    if get_origin(hint) is tuple:
        return f"[{', '.join('...' if kind is Ellipsis else by_hint(kind) for kind in kinds)}]"
    if get_origin(hint) is Mapping:
        return "object"
    if is_dataclass(hint):
        return hint.__name__
    return "string" if get_origin(hint) is Literal else NAMES[hint]


def by_schema(schema, enums=()):
    """The same of a property as OpenAPI describes it."""
    choices = schema.get("oneOf") or schema.get("allOf") or [schema]
    (one,) = (choice for choice in choices if choice.get("type") != "null")
    kinds = [one["type"]] if isinstance(one.get("type", "object"), str) and "type" in one else one.get("type", [])
    null = "?" if len(choices) > 1 or "null" in kinds else ""
    if "$ref" in one:
        name = one["$ref"].rsplit("/", 1)[-1]
        return ("string" if name in enums else name) + null
    (kind,) = {*kinds, *([] if kinds else ["object"])} - {"null"}
    if kind == "array":
        assert one.get("minItems") == one.get("maxItems")
        item = by_schema(one["items"], enums)
        return f"[{', '.join([item] * one['maxItems'] if 'maxItems' in one else [item, '...'])}]{null}"
    return kind + null


def told(kind):
    return {name: by_hint(hint) for name, hint in get_type_hints(kind).items()}


def test_the_description_has_the_fields_of_the_types(client_of):
    described = client_of(None).get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    components = described["components"]["schemas"]
    enums = {name for name, schema in components.items() if "enum" in schema}
    for kind in DESCRIBED:
        component = components[kind.__name__]
        assert {name: by_schema(schema, enums) for name, schema in component["properties"].items()} == told(kind), kind
        assert set(component["required"]) == set(told(kind)), kind
        assert component["description"].split() == kind.__doc__.split()


def test_the_client_has_the_fields_of_the_types(monkeypatch):
    monkeypatch.syspath_prepend(settings.BASE_DIR / "static")
    client = importlib.import_module("mitoscope")
    assert told(client.Hotspot) == told(Hotspot) and told(client.Field) == told(Field)
    assert told(client.Review) == told(Review)
    assert told(client.Score) == {**told(Score), "rule": "object"}  # as the server sends it
    count = told(client.Count)
    assert count.pop("raw") == "object"
    assert count == {name: told(Count)[name] for name in count} and len(count) > 5


@pytest.mark.parametrize(
    ("asked", "both"),
    [
        ({"area_mm2": 0.5}, True),
        ({"area_mm2": 0.5, "shape": "fields"}, True),
        ({"area_mm2": 90}, True),  # all that is evaluable
        ({"area_mm2": 0.1, "min_score": 0.99}, False),
    ],
)
def test_its_json_is_read_back_as_it_was(client_of, alice, make_slide, make_run, asked, both):
    slide = make_slide(mpp=2.0)
    run = make_run(slide, [(100.0, 100.0, 0.95), (300.0, 200.0, 0.6), (400.0, 300.0, 0.9)])
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/", asked).content.decode()
    count = from_json(Count, json.loads(body))
    assert to_json(count) == body
    assert bool(count.ai.hotspots) == bool(count.score) == both
    made = mitosis_count(run=run, asked=question(**asked))
    assert (count.ai, count.score, count.judged, count.mpp) == (made.ai, made.score, made.judged, made.mpp)
    assert list(json.loads(body)) == list(get_type_hints(Count))
    newer = {**json.loads(to_json(made.judged)), "a field of later code": 1}
    assert from_json(Judged, newer) == made.judged
    with pytest.raises(TypeError):
        from_json(Values, {"tissue_mm2": None})
