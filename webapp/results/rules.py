"""Rules for the mitotic score: versioned data (`rules.toml`, and a laboratory's own file), each with its source."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

OWN = "The laboratory's"  # family of rules that do not come with the product
BUILT_IN = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Rule:
    """How a count becomes a score of 1, 2 or 3. Either per_mm2 or counts is given; counts hold in area_mm2 alone.

    withhold_small: gives no score where less is evaluable than its area. contiguous: of ten fields, all touch. family:
    under which it is listed.
    """

    id: str
    version: int
    name: str
    source: str
    area_mm2: float | None = None
    per_mm2: tuple[float, float] | None = None
    counts: tuple[int, int] | None = None
    withhold_small: bool = False
    contiguous: bool = False
    family: str = OWN

    def cut_offs(self, area_mm2: float) -> tuple[int, int] | None:
        """The counts in this area from which the score is 2, and 3.

        None where the rule is for another area, or the area so small that one figure would make it 2, or 2 were 3.
        """
        if self.per_mm2 is not None:
            second = math.floor(self.per_mm2[0] * area_mm2 + 1e-9) + 1
            third = math.ceil(self.per_mm2[1] * area_mm2 - 1e-9)
            return (second, third) if 2 <= second < third else None
        assert self.area_mm2 is not None
        return self.counts if math.isclose(area_mm2, self.area_mm2, rel_tol=1e-3) else None


def score(count: int, cut_offs: tuple[int, int]) -> tuple[int, int | None]:
    """The score (1 to 3), and how many figures more would raise it; None at 3."""
    value = 1 + sum(count >= cut_off for cut_off in cut_offs)
    return value, next((cut_off - count for cut_off in cut_offs if cut_off > count), None)


def read_rules(*paths: Path) -> dict[str, Rule]:
    """All rules of some files by their id. Raises ValueError with a sentence."""
    rules: dict[str, Rule] = {}
    for path in paths:
        try:
            entries = tomllib.loads(path.read_text("utf-8")).get("rule", [])
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"The rules in {path} cannot be read: {error}") from error
        for entry in entries:
            for rule in _rules(entry, path):
                if rule.id in rules:
                    raise ValueError(f"The rule {rule.id} in {path} is there already; give it an id of its own.")
                rules[rule.id] = rule
    return rules


def _rules(entry: Any, path: Path) -> list[Rule]:
    try:
        base = Rule(
            id=str(entry["id"]),
            version=int(entry["version"]),
            name=str(entry["name"]),
            source=str(entry["source"]),
            withhold_small=bool(entry.get("withhold_small", False)),
            contiguous=bool(entry.get("contiguous", False)),
            family=str(entry["family"]) if path == BUILT_IN else OWN,
        )
        if "per_mm2" in entry:
            low, high = map(float, entry["per_mm2"])
            return [_checked(replace(base, per_mm2=(low, high)))]
        if "fields" in entry:
            return [_checked(_field_rule(base, *field)) for field in entry["fields"]]
        second, third = map(int, entry["counts"])
        return [_checked(replace(base, area_mm2=float(entry["area_mm2"]), counts=(second, third)))]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"A rule in {path} is not complete: {error!r}. It has id, version, name, source, and one of per_mm2, "
            f"counts with area_mm2, or fields; {BUILT_IN} says what they mean."
        ) from error


def _field_rule(base: Rule, diameter: float, second: int, third: int) -> Rule:
    name, area = f"{base.name}: {diameter:.2f}", 10 * math.pi * (diameter / 2) ** 2
    return replace(base, id=f"{base.id}-{diameter:.2f}", name=name, area_mm2=area, counts=(second, third))


def _checked(rule: Rule) -> Rule:
    low, high = rule.per_mm2 or rule.counts or (0, 0)
    if not 0 < low < high or (rule.area_mm2 is not None and not 0 < rule.area_mm2 <= 100):
        raise ValueError(f"{rule.id}: cut-offs rise from above 0, and an area is above 0 and at most 100 mm2")
    return rule
