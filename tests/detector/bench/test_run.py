from __future__ import annotations

import json

import pytest

from detector.__main__ import main


def test_patches_and_windows_score_as_the_map_does(tmp_path):
    out = tmp_path / "figures.json"
    assert main(["benchmark", "exactness", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert {name: figure["reached"] for name, figure in figures.items()} == {
        "patch_differs_by": True,
        "window_differs_by": True,
    }


def test_the_command_prints_the_figures_of_a_part_and_writes_them(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert main(["benchmark", "reading", "--size", "1024", "--rounds", "1", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["reading_differs_by"]["value"] == 0
    assert figures["reading_differs_by"]["reached"] is True
    assert "reading_over_openslide" in capsys.readouterr().out


def test_a_part_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["benchmark", "speed"])
    assert stopped.value.code == 2
    assert "speed" in capsys.readouterr().err
