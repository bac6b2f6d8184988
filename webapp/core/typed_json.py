"""Frozen dataclasses as JSON, and back: keys are the fields' names, in their order."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

_T = TypeVar("_T")
hints_of = cache(get_type_hints)


class Encoder(DjangoJSONEncoder):
    """For `json.dumps`: dataclasses too."""

    def default(self, value: Any) -> Any:
        if is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in fields(value)}
        return super().default(value)


def read_json(text: str, *, strict: bool = False) -> Any:
    r"""What came from outside. ValueError where it is no JSON, too deep, or holds a text that is none.

    `"\ud800"`, half of a character, is JSON, but can neither be kept nor answered. strict: NaN and Infinity, which are
    none, and numbers too large to be told from them are refused too.
    """
    try:
        numbers: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite} if strict else {}
        value = json.loads(text, **numbers)
        if r"\ud" in text.lower() and _holds_surrogate(value):
            raise ValueError("a text holds half of a character (a lone surrogate)")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is too large a number")
    return value


def _holds_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(map(_holds_surrogate, inner))


def to_json(value: Any) -> str:
    """Compact JSON; a tuple is a list, a UUID a string, a time ISO 8601 in ms."""
    return json.dumps(value, cls=Encoder, ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[_T], data: Any) -> _T:
    """The dataclass that parsed JSON holds; other keys are passed over.

    A field that newer code adds needs a default: what is stored lacks it. TypeError where another field is missing.
    """
    hints = hints_of(kind)  # type: ignore[arg-type]  # mypy takes a class for unhashable
    kept = [field.name for field in fields(kind) if field.name in data]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: _read(hints[name], data[name]) for name in kept})


def optional(hint: Any) -> tuple[Any, bool]:
    """The hint without None, and whether None was in it."""
    if get_origin(hint) not in {Union, UnionType}:
        return hint, False
    (only,) = (one for one in get_args(hint) if one is not NoneType)
    return only, True


def _read(hint: Any, data: Any) -> Any:
    hint, _ = optional(hint)
    if data is None:
        return None
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_read(kinds[0], one) for one in data)
        return tuple(_read(kind, one) for kind, one in zip(kinds, data, strict=True))
    if is_dataclass(hint):
        return from_json(hint, data)  # type: ignore[arg-type]  # a class, no instance
    if hint is datetime:
        return datetime.fromisoformat(data)
    return UUID(data) if hint is UUID else data
