"""Added to every operation of the OpenAPI description: problem details, Idempotency-Key, examples."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SCHEMA_KWARGS, SpectacularAPIView
from rest_framework.request import Request

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
_TAGS = {
    "calibrations": "Calibrating a version for a scanner, by judged figures.",
    "cases": "Patients: deleting them.",
    "health": "Whether everything runs.",
    "jobs": "Work in the background: its state, cancelling and trying again.",
    "labelled-sets": "Labelled frames to train on.",
    "locked-cases": "Cases that no training uses and versions are compared on.",
    "mining-runs": "Mining of unlabelled slides.",
    "mitosis-free-slides": "Slides without a mitosis, of which everything found is false.",
    "models": "Versions of the detector.",
    "readings": "Blinded readings: what you read, and in which order.",
    "removals": "What no training uses any more.",
    "reports": "Signed reports.",
    "slides": "Slides, their candidates, verdicts, regions and counts.",
    "studies": "Studies: what slides are uploaded into, how they count, and who is in them.",
    "trainings": "Retraining on reviewed and mined samples.",
    "uploads": "Resumable uploads (tus 1.0.0).",
}
_METHODS = {"get", "post", "put", "patch", "delete"}


def describe_what_all_share(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular, called with the whole description."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refused = {"description": "Refused; `detail` says why.", "content": {"application/problem+json": problem}}
    tags = set()
    for path in result["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                _add_examples(operation)
                operation["responses"] |= {"4XX": refused, "5XX": refused}
                operation["summary"], operation["description"] = _first_sentence(operation["description"])
                tags.update(operation["tags"])
            if method == "post":
                operation.setdefault("parameters", []).append(_KEY)
    result["tags"] = [{"name": tag, "description": _TAGS[tag]} for tag in sorted(tags)]
    return result


def _first_sentence(text: str) -> tuple[str, str]:
    """For lists of calls; and the whole text, its lines unfolded."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return re.split(r"(?<=[.:;])\s", paragraphs[0])[0].rstrip(".:;"), "\n\n".join(paragraphs)


def _add_examples(operation: dict[str, Any]) -> None:
    """To every body that has none of its own."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for status, body in bodies.items():
        for content_type, media in body.get("content", {}).items():
            example = example_of(operation["operationId"], status, content_type, media["schema"])
            if example is not None and "examples" not in media:
                media["example"] = example


class DescriptionView(SpectacularAPIView):
    """The description, which is the same for everybody and takes half a second to make: made once, in each form."""

    _made: ClassVar[dict[str, HttpResponse]] = {}

    @extend_schema(**SCHEMA_KWARGS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """OpenAPI 3.1 of this API."""
        form = request.accepted_renderer.media_type
        if form not in self._made:
            made = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
            response = self.finalize_response(request, made)
            headers = {"Content-Disposition": response["Content-Disposition"]}
            content = response.render().content
            self._made[form] = HttpResponse(content, content_type=response["Content-Type"], headers=headers)
        kept = self._made[form]
        return HttpResponse(kept.content, headers=kept.headers)
