"""Names of classes of objects, as QuPath and others write them. No torch: the web reads files with it."""

from __future__ import annotations

import re

COUNTED, BELOW, OUTSIDE = "Mitotic figure (AI)", "Candidate below threshold", "Candidate not counted"
# What a detector has found and nobody has judged, in exports from here; the first is of 0.2.0.
UNJUDGED = {"candidate", *(name.casefold() for name in (COUNTED, BELOW, OUTSIDE))}


def class_name(classification: object) -> str:
    """The class of a GeoJSON object, in lower case; "" where it has none.

    classification: QuPath's, with `name`, or `names` (from 0.4 on), or a text. Of a derived class, such as
    "Mitosis: metaphase", the class that it is derived from; "Ignore*" stays with its star.
    """
    if isinstance(classification, dict):
        names = classification.get("names")
        classification = names[0] if isinstance(names, list) and names else classification.get("name")
    text = classification if isinstance(classification, str) else ""
    return " ".join(text.split(":")[0].split()).casefold()


def is_mitotic_class(label: str) -> bool | None:
    """Whether the name of a class means a mitotic figure (True), a look-alike (False) or something else (None).

    What a detector found and nobody has judged is something else.
    """
    text = label.casefold()
    if text in UNJUDGED:
        return None
    if re.search(r"\bnon|\bnot\b|look.?alike|hard.?negative|imposter", text):
        return False
    return True if re.search(r"mitos|mitot", text) else None
