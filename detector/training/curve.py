"""Learning curves, written during the training: `curve.csv`, and `curve.png` plotted from it (Fig. 3b)."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

COLUMNS = ("iteration", "loss", "learning_rate", "bg_hard", "max_f1", "f1_at_0.5", "recall", "precision")


_SHARE = 0.1  # of the time of a training that drawing may take
_FIRST = 10.0  # seconds before the first picture


class Curve:
    """Both files in a training's folder. begin_at: iteration resumed from; later rows are dropped."""

    def __init__(self, folder: Path, *, begin_at: int = 0) -> None:
        self._csv, self._png = folder / "curve.csv", folder / "curve.png"
        rows = self._rows() if begin_at and self._csv.exists() else []
        with self._csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for row in rows if int(row["iteration"]) <= begin_at)
        self._next = time.monotonic() + _FIRST

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row (some of `COLUMNS`); plot again if the last time was long enough ago."""
        with self._csv.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerow(row)
        if time.monotonic() >= self._next:
            self.draw()

    def _rows(self) -> list[dict[str, str]]:
        with self._csv.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def draw(self) -> None:
        """Plot all rows."""
        began = time.monotonic()
        rows = self._rows()
        figure = Figure(figsize=(8, 7))
        figure.subplots_adjust(left=0.1, right=0.97, top=0.97, bottom=0.07, hspace=0.1)
        above, middle, below = figure.subplots(3, 1, sharex=True)
        for axes, names, scale in (
            (above, ("loss",), "log"),
            (middle, ("max_f1", "f1_at_0.5", "recall", "precision"), "linear"),
            (below, ("learning_rate",), "log"),
        ):
            for name in names:
                points = [(int(row["iteration"]), float(row[name])) for row in rows if row[name]]
                axes.plot(*zip(*points, strict=True), marker=".", label=name) if points else None
            axes.set_yscale(scale)
            axes.minorticks_off()  # they take most of the time that drawing takes
            axes.grid(alpha=0.3)
            if axes.has_data():
                axes.legend(loc="best")
        middle.set_ylim(0, 1)
        below.set_xlabel("iteration")
        partial = self._png.with_suffix(".partial")
        figure.savefig(partial, format="png")
        partial.replace(self._png)
        self._next = time.monotonic() + (time.monotonic() - began) / _SHARE
