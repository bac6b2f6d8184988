"""A person promotes a version with a reason, and goes back with one call."""

from __future__ import annotations

import pytest

from webapp.core.errors import InvalidInput
from webapp.registry.models import ModelVersion, Promotion
from webapp.registry.services import version_promote, version_roll_back


def test_a_person_promotes_with_a_reason_and_goes_back_with_one_call(root, model, candidate, make_run, make_slide):
    run = make_run(make_slide(), [])
    with pytest.raises(InvalidInput, match="Give a reason"):
        version_promote(version=candidate, by=root, reason=" ")
    version_promote(version=candidate, by=root, reason="better on five cases")
    assert {v.name: v.state for v in ModelVersion.objects.all()} == {"m": "retired", "c": "active"}
    version_roll_back(by=root)
    assert {v.name: v.state for v in ModelVersion.objects.all()} == {"m": "active", "c": "retired"}
    assert [p.reason for p in Promotion.objects.all()] == ["Rolled back from c.", "better on five cases"]
    run.refresh_from_db()
    assert run.model == model
