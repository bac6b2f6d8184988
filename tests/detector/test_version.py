"""Two builds of one version are told apart, with git and without."""

from __future__ import annotations

import pytest

from detector import version


@pytest.fixture
def build(tmp_path, monkeypatch):
    """The version that a copy of the code without git says of itself."""

    def build(**files: str) -> str:
        for name, text in {"CHANGELOG": "## 1.2.3 - today\n", **files}.items():
            path = tmp_path / (f"{name}.md" if name.isupper() else f"{name.replace('_', '/')}.py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(version, "_ROOT", tmp_path)
        return version.code_version.__wrapped__()

    return build


def test_without_git_a_build_is_known_by_its_code(build):
    first = build(webapp_a="1", worker_a="2")
    assert first.startswith("1.2.3+code.") and build() == first
    assert build(worker_a="3") != first
    assert build(worker_a="2", tests_a="4") == first  # what neither web nor workers run
    assert build(webapp_b="") != first
