"""A card as a README for a model hub: the fields of its YAML header, and what a reader must know, in Markdown.

The header is as the Hugging Face Hub reads it (huggingface.co/docs/hub/model-cards): each field a line, its value in
JSON, which is YAML too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from detector import paper
from detector.model.card import Card, Metrics, SourceSummary

_TAGS = ["histopathology", "mitosis-detection", "whole-slide-images", "medical", "safetensors", "onnx"]
_PAPER = "Akram et al. 2018, Leveraging Unlabeled Whole-Slide-Images for Mitosis Detection"


def readme_of(card: Card, *, license: str = "apache-2.0") -> str:
    """README.md of weights with this card. license: of the weights, as the hub names it."""
    name = card.get("name") or "mitoscope"
    measured = _measured(card)
    fields = {
        "license": license,
        "library_name": "mitoscope",
        "pipeline_tag": "object-detection",
        "tags": _TAGS,
        "metrics": ["f1", "precision", "recall"],
        "model-index": [{"name": name, "results": [_result(*one) for one in measured]}],
    }
    header = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
    widths = ", ".join(map(str, card.get("widths") or []))
    parts = [
        f"---\n{header}\n---\n\n# {name}",
        f"Finds mitotic figures on H&E slides: {card.get('network', 'ResNet12')}, widths {widths}, after {_PAPER}. "
        "Research use only. Not a medical device.",
        f"Input: RGB at {paper.WORKING_MPP} um/px, patches of {paper.PATCH_SIZE} px, one cell every "
        f"{paper.OUTPUT_STRIDE} px. SHA-256 of the weights: `{card.get('sha256', 'not known')}`.",
        "## Trained on\n\n" + _table(("source", "cases", "frames", "mitoses"), map(_learnt, card.get("data") or [])),
        "## Measured\n\n" + _measured_in_words(card, measured),
    ]
    return "\n\n".join(parts) + "\n"


def _measured(card: Card) -> list[tuple[str, Metrics, str]]:
    """Source, metrics, and what the source is to the weights."""
    known = [(name, one, "slides that were not learnt from") for name, one in _by_source(card).items()]
    left_out = card["left_out"]["metrics_by_source"] if "left_out" in card else {}
    return known + [(name, one, "a laboratory that it has not seen") for name, one in left_out.items()]


def _by_source(card: Card) -> dict[str, Metrics]:
    if found := card.get("metrics_by_source"):
        return found
    return {"held-out cases": card["metrics"]} if card.get("metrics") else {}


def _result(source: str, metrics: Metrics, what: str) -> dict[str, object]:
    """An entry of the header's model-index."""
    values = [
        {"type": kind, "value": round(value, 4), "name": f"{kind} at confidence {paper.SCORE_THRESHOLD}, {what}"}
        for kind, value in (
            ("f1", metrics.get("f1_at_0.5")),
            ("precision", metrics.get("precision")),
            ("recall", metrics.get("recall")),
        )
        if isinstance(value, int | float)
    ]
    task = {"type": "object-detection", "name": "Mitosis detection"}
    return {"task": task, "dataset": {"type": "histopathology", "name": f"{source} ({what})"}, "metrics": values}


def _measured_in_words(card: Card, measured: list[tuple[str, Metrics, str]]) -> str:
    if not measured:
        return "Not measured on cases that were not learnt from."
    rows = (
        (source, what, one.get("mitoses"), one.get("f1_at_0.5"), one.get("precision"), one.get("recall"))
        for source, one, what in measured
    )
    table = _table(("source", "what it is", "mitoses", "F1 at 0.5", "precision", "recall"), rows)
    course = "measured_by" in card
    note = "\n\nMeasured with the same training without these cases, which the weights have since learnt from."
    return table + (note if course else "")


def _learnt(source: SourceSummary) -> tuple[object, ...]:
    return source["source"], source.get("cases"), source.get("frames"), source.get("mitoses")


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Markdown; what is not known is left empty."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")
