"""Units as they are printed."""

from __future__ import annotations


def printed(sentence: str) -> str:
    """A sentence that says mm2 and um/px, as every program can, with the signs of print."""
    return sentence.replace("mm2", "mm²").replace("um/px", "µm/px")
