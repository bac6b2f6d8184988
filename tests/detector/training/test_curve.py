from __future__ import annotations

from PIL import Image

from detector.training.curve import COLUMNS, Curve


def row(iteration, **more):
    return {"iteration": iteration, "loss": 0.5 / iteration, "learning_rate": 1e-4, "bg_hard": 0, **more}


def test_rows_are_kept_as_they_come_and_drawn_in_a_tenth_of_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr("detector.training.curve._FIRST", 0.0)
    curve = Curve(tmp_path)
    curve.add(row(5))
    first = Image.open(tmp_path / "curve.png").tobytes()
    curve.add(row(10, max_f1=0.5))
    assert Image.open(tmp_path / "curve.png").tobytes() == first, "it was drawn a moment ago"
    curve.draw()
    assert (tmp_path / "curve.csv").read_text().splitlines() == [
        ",".join(COLUMNS),
        "5,0.1,0.0001,0,,,,",
        "10,0.05,0.0001,0,0.5,,,",
    ]
    assert Image.open(tmp_path / "curve.png").tobytes() != first


def test_a_resumed_training_drops_the_rows_beyond_its_checkpoint(tmp_path):
    curve = Curve(tmp_path)
    for iteration in (5, 10, 15):
        curve.add(row(iteration))
    Curve(tmp_path, begin_at=10)
    assert [line.split(",")[0] for line in (tmp_path / "curve.csv").read_text().splitlines()[1:]] == ["5", "10"]


def test_a_training_from_the_beginning_begins_the_curve_anew(tmp_path):
    Curve(tmp_path).add(row(5))
    Curve(tmp_path)
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 1
