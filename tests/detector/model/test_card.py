"""The schema of the card: what may be missing, what is refused, and that cards of 0.2.0 are read."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from detector.errors import WeightsError
from detector.model.card import SCHEMA, parse_card, read_card, training_cases
from detector.model.checkpoint import SHIPPED_WEIGHTS, save_weights
from detector.training.plan import plan_of_card

V0_2_0 = Path(__file__).parents[2] / "fixtures" / "v0_2_0" / "answers.json.xz"


def cards_in(value):
    """Every card in some JSON."""
    if isinstance(value, dict):
        if {"sha256", "network", "widths"} <= set(value):
            yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from cards_in(part)


def test_cards_of_0_2_0_and_the_plans_on_them_are_read():
    cards = list(cards_in(json.loads(lzma.decompress(V0_2_0.read_bytes()))))
    for values in cards:
        card = parse_card(values, "the card")
        assert card == values
        assert plan_of_card(card["plan"]).as_0_2_0()["average"] == values["plan"]["average"]
    assert {name for card in cards for name in training_cases(card)} == {"A00", "A01", "B02", "P-17"}


def test_the_shipped_card_is_read():
    card = read_card(SHIPPED_WEIGHTS)
    assert card["metrics"]["mitoses"] == 141 and plan_of_card(card["plan"]).iterations == card["iterations"]
    assert card["coarse"]["kept"]["calibrated_on"]["lost_at_half"] == 0


@pytest.mark.parametrize(
    ("card", "wrong"),
    [
        ([], "it must be an object"),
        ({"iterations": "many"}, "iterations must be a whole number"),
        ({"iterations": True}, "iterations must be a whole number"),
        ({"precision": None}, "precision must be a text"),
        ({"widths": [8, 8.5]}, r"widths\[1\] must be a whole number"),
        ({"data": [{"source": "s"}, {"mitoses": "3"}]}, r"data\[1\]\.mitoses must be a whole number"),
        ({"metrics": {"f1_by_case": {"A00": "good"}}}, r"metrics\.f1_by_case\.A00 must be a number"),
        ({"parent": {"metrics": []}}, r"parent\.metrics must be an object"),
        ({"coarse": {"of_parent": 1}}, r"coarse\.of_parent must be true or false"),
        ({"schema": SCHEMA + 1}, "later version"),
    ],
)
def test_a_field_of_another_type_is_named(card, wrong):
    with pytest.raises(WeightsError, match=f"^the card .*{wrong}"):
        parse_card(card, "the card")


def test_fields_may_be_missing_and_unknown_ones_stay(network, tmp_path):
    save_weights(network, tmp_path / "own.safetensors", {"name": "own", "since": {"then": [1]}, "parent": None})
    card = read_card(tmp_path / "own.safetensors")
    assert (card["schema"], card["since"], card["parent"]) == (SCHEMA, {"then": [1]}, None)
    assert training_cases(card) == set()
