"""Frozen dataclasses as serializers, so that OpenAPI describes the types that answers are made of."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

from rest_framework import serializers

from webapp.core.typed_json import hints_of, optional

_FIELDS: dict[type, type[serializers.Field[Any, Any, Any, Any]]] = {
    bool: serializers.BooleanField,
    int: serializers.IntegerField,
    float: serializers.FloatField,
    str: serializers.CharField,
    UUID: serializers.UUIDField,
    datetime: serializers.DateTimeField,
}


@cache
def serializer_of(kind: type) -> type[serializers.Serializer[Any]]:
    """The serializer of a dataclass, under its name and docstring; `metadata` of a field goes to its DRF field."""
    made = {field.name: _field(hints_of(kind)[field.name], dict(field.metadata)) for field in fields(kind)}
    return type(f"{kind.__name__}Serializer", (serializers.Serializer,), {"__doc__": kind.__doc__, **made})


def _field(hint: Any, options: dict[str, Any]) -> serializers.Field[Any, Any, Any, Any]:
    hint, nullable = optional(hint)
    if nullable:
        options["allow_null"] = True
    if get_origin(hint) is tuple:
        first, *rest = get_args(hint)
        if is_dataclass(first):
            return serializer_of(first)(many=True, **options)  # type: ignore[arg-type]  # a class, no instance
        if rest != [Ellipsis]:
            options |= {"min_length": 1 + len(rest), "max_length": 1 + len(rest)}
        return serializers.ListField(child=_field(first, {}), **options)
    if get_origin(hint) is Literal:
        return serializers.ChoiceField(choices=list(get_args(hint)), **options)
    if is_dataclass(hint):
        return serializer_of(hint)(**options)  # type: ignore[arg-type]  # a class, no instance
    return _FIELDS.get(hint, serializers.JSONField)(**options)
