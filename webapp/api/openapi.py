"""Added to every operation of the OpenAPI description: problem details, Idempotency-Key, examples."""

from __future__ import annotations

from typing import Any

from webapp.api.examples import example_of

_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence: what was wrong and what to do."},
        "errors": {"type": "object", "description": "What was wrong with each field, where that is known."},
    },
    "required": ["type", "title", "status", "detail"],
    "example": {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "No detection has been made on this slide yet; ask for one with POST .../detections/.",
    },
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "A key of your choice. A call repeated with the same key within a day is not done again: "
    "it gets the same answer.",
}
_METHODS = {"get", "post", "put", "patch", "delete"}


def describe_what_all_share(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular, called with the whole description."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refused = {"description": "Refused; `detail` says why.", "content": {"application/problem+json": problem}}
    for path in result["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                _add_examples(operation)
                operation["responses"].setdefault("default", refused)
            if method == "post":
                operation.setdefault("parameters", []).append(_KEY)
    return result


def _add_examples(operation: dict[str, Any]) -> None:
    """To every body that has none of its own."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for status, body in bodies.items():
        for content_type, media in body.get("content", {}).items():
            example = example_of(operation["operationId"], status, content_type, media["schema"])
            if example is not None and "examples" not in media:
                media["example"] = example
