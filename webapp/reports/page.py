"""The report as a one-page PDF. The same facts and pictures give the same bytes."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from django.conf import settings
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from webapp.reports.facts import ReportFacts
from webapp.reports.pictures import MAX_CROPS, Pictures

# Reportlab's own fonts lack the letters of most of Europe.
_FONTS = settings.BASE_DIR / "node_modules" / "dejavu-fonts-ttf" / "ttf"
for _name in ("DejaVuSans", "DejaVuSans-Bold"):
    pdfmetrics.registerFont(TTFont(_name, _FONTS / f"{_name}.ttf"))

_WIDTH, _HEIGHT = A4  # points, origin bottom left
_MARGIN = 42
_INK, _MUTED, _LINE = HexColor("#1b1b24"), HexColor("#5c5c6b"), HexColor("#d5d5de")
_WARN, _WARN_GROUND = HexColor("#7a4b00"), HexColor("#fbeccc")
_FOOT = 132  # where it begins
_CROPS_A_ROW = 12


def draw_page(facts: ReportFacts, sha256: str, pictures: Pictures) -> bytes:
    """A4, portrait."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=True)
    canvas.setTitle(f"Mitotic count, {facts.slide.case}, version {facts.version}")
    canvas.setSubject("Research use only")
    page = _Page(canvas, facts, sha256)
    page.head()
    page.numbers()
    page.pictures(pictures)
    page.crops(pictures.crops)
    page.foot()
    canvas.showPage()
    canvas.save()
    return out.getvalue()


class _Page:
    """Draws from the top down; `y` is where the next line goes."""

    def __init__(self, canvas: Canvas, facts: ReportFacts, sha256: str) -> None:
        self.canvas, self.facts, self.sha256 = canvas, facts, sha256
        self.count = facts.count
        self.y = _HEIGHT - _MARGIN

    def head(self) -> None:
        slide = self.facts.slide
        self._text(_MARGIN, self.y - 14, "Mitotic count", 18, bold=True)
        self.canvas.setFillColor(_WARN_GROUND)
        self.canvas.roundRect(_WIDTH - _MARGIN - 170, self.y - 18, 170, 20, 4, stroke=0, fill=1)
        self._text(_WIDTH - _MARGIN - 162, self.y - 12, "Research use only. Not for diagnosis.", 8, colour=_WARN)
        self.y -= 36
        mpp = " x ".join(f"{value:.4g}" for value in self.count.mpp)
        entered = " (entered)" if slide.mpp_source == "entered" else ""
        self._line(f"Case {slide.case}   Slide {slide.name}   Study {slide.study}", 9)
        self._line(f"{slide.size[0]} x {slide.size[1]} px, {mpp} µm/px{entered}, SHA-256 {slide.sha256}", 6.5)
        self._rule()

    def numbers(self) -> None:
        place, score = self.count.hotspot, self.count.score
        top = self.y - 8
        if place or score:
            words = f"mitotic figures in the hotspot, {self._shape()}"
            self._figure(_MARGIN, top, str(place.count if place else 0), words)
            self._figure(_MARGIN + 190, top, f"{place.count_per_mm2:.1f}" if place else "0", "per mm² there")
        else:
            density = self.count.count_per_mm2
            self._figure(_MARGIN, top, str(self.count.count), "mitotic figures on the slide")
            self._figure(_MARGIN + 190, top, "-" if density is None else f"{density:.1f}", "per mm² evaluable")
        self._figure(_MARGIN + 340, top, str(score.value) if score else "-", "mitotic score (1 to 3)")
        self.y = top - 58
        for line in self._sentences():
            self._line(line, 8)
        self.y -= 4
        self._values()
        self._rule()

    def pictures(self, pictures: Pictures) -> None:
        room, top = _WIDTH - 2 * _MARGIN, self.y - 8
        height = min(290.0, top - _FOOT - 140)  # below it a caption and two rows of crops
        if pictures.hotspot is None:
            self.y = self._picture(pictures.overview, _MARGIN, top, room, height, "The slide")
            return
        half = (room - 12) / 2
        words = "The hotspot and what counts in it"
        self.y = min(
            self._picture(pictures.overview, _MARGIN, top, half, height, "The slide, the hotspot outlined"),
            self._picture(pictures.hotspot, _MARGIN + half + 12, top, half, height, words),
        )

    def crops(self, crops: list[bytes]) -> None:
        if not crops:
            return
        total = len(self.facts.figures)
        more = f"; showing {len(crops)} of {total}" if total > MAX_CROPS else ""
        self._line(f"The figures that count in the hotspot, 16 x 16 µm each, highest confidence first{more}", 7.5)
        side = (_WIDTH - 2 * _MARGIN) / _CROPS_A_ROW
        for index, crop in enumerate(crops):
            row, column = divmod(index, _CROPS_A_ROW)
            x, y = _MARGIN + column * side, self.y - (row + 1) * side
            self.canvas.drawImage(ImageReader(io.BytesIO(crop)), x + 1, y - 3, side - 2, side - 2)
        self.y -= side * (1 + (len(crops) - 1) // _CROPS_A_ROW) + 4

    def foot(self) -> None:
        count, reader = self.count, self.facts.reader
        parameters = ", ".join(f"{name} {value}" for name, value in sorted(count.parameters.items()))
        name = f"{reader.name} ({reader.username})" if reader.name else reader.username
        self.y = _FOOT
        self._rule()
        self._line(f"Model {count.model.name}, SHA-256 {count.model.sha256}", 6.5)
        stamp = f"Run {count.run} of {count.detected_at:%Y-%m-%d %H:%M} UTC, code {count.code_version}"
        self._line(f"{stamp}, counted from confidence {count.min_score:g}", 6.5)
        for line in textwrap.wrap(f"Parameters: {parameters}", 150)[:2]:
            self._line(line, 6.5)
        self.y -= 6
        signed = self.facts.signed_at.replace("T", " ")
        self._line(f"Version {self.facts.version}, signed by {name} at {signed}", 9, bold=True)
        self._line(f"Report hash {self.sha256}", 7.5)
        self._line(
            "Research use only. The hash can be checked at /reports/check/ of the server that made this page.", 6.5
        )

    def _shape(self) -> str:
        """The shape of the hotspot and what it holds."""
        place, area = self.count.hotspot, f"{self.count.area_mm2:.4g} mm²"
        shape = "ten fields" if self.count.shape == "fields" else f"a {self.count.shape}"
        if place is None or place.evaluable_mm2 is None:
            return f"{shape} of {area}"
        held = f"{place.evaluable_mm2:.3g} of {area}" if place.evaluable_mm2 < 0.98 * place.area_mm2 else area
        return f"{shape if place.outlines else 'all there is'}, {held} evaluable"

    def _sentences(self) -> list[str]:
        place, score = self.count.hotspot, self.count.score
        lines = []
        if counted := place or score:
            low, high = counted.interval
            unseen = ""
            if place and place.unseen:
                unseen = f"; {place.unseen} of {place.count} were not looked at by a person"
            lines.append(f"95 % Poisson interval of the count: {low:.1f} to {high:.1f}{unseen}.")
        if score:
            rule = score.rule
            second, third = rule.cut_offs
            to_next = f"; {score.to_next} more would be the next mitotic score" if score.to_next is not None else ""
            lines.append(
                f"Rule {rule.id} version {rule.version}: 2 from {second}, 3 from {third} figures in "
                f"{rule.area_mm2:.4g} mm²{to_next}."
            )
            lines += textwrap.wrap(f"Source: {rule.source}", 118)
        if score and score.small_sample:
            lines.append("Small sample: less was evaluable than the rule asks for.")
        if self.count.reason:
            lines += textwrap.wrap(self.count.reason, 118)
        return lines + [part for sentence in self.count.stale for part in textwrap.wrap(sentence, 118)]

    def _values(self) -> None:
        judged = self.count.judged
        columns = [_MARGIN, _MARGIN + 120, _MARGIN + 200, _MARGIN + 290, _MARGIN + 380]
        header = ["", "on the slide", "per mm² evaluable", "in the hotspot", "mitotic score"]
        rows = [header]
        for name, value in (("Reviewed", self.count.reviewed), ("AI alone", self.count.ai)):
            rows.append([
                name, str(value.count), "-" if value.count_per_mm2 is None else f"{value.count_per_mm2:.2f}",
                str(value.hotspot.count) if value.hotspot else "-", str(value.score.value) if value.score else "-",
            ])  # fmt: skip
        for row in rows:
            self.y -= 11
            for x, text in zip(columns, row, strict=True):
                self._text(x, self.y, text, 8, colour=_MUTED if row is header else _INK)
        evaluable = "-" if self.count.tissue_mm2 is None else f"{self.count.tissue_mm2:.2f} mm²"
        self.y -= 4
        self._line(
            f"Evaluable area {evaluable}. Verdicts: {judged.mitotic} mitotic ({judged.added} added), "
            f"{judged.non_mitotic} not, {judged.unsure} unsure; {judged.unseen} candidates not looked at.",
            8,
        )

    def _figure(self, x: float, y: float, number: str, words: str) -> None:
        self._text(x, y - 26, number, 30, bold=True)
        for index, line in enumerate(textwrap.wrap(words, 32)):
            self._text(x, y - 38 - 9 * index, line, 7.5, colour=_MUTED)

    def _picture(
        self, picture: tuple[bytes, tuple[int, int]], x: float, top: float, width: float, height: float, words: str
    ) -> float:
        """Draw it as large as fits, with words below; returns where the next line may go."""
        data, (pixels_x, pixels_y) = picture
        scale = min(width / pixels_x, height / pixels_y)
        drawn = (pixels_x * scale, pixels_y * scale)
        self.canvas.drawImage(ImageReader(io.BytesIO(data)), x, top - drawn[1], *drawn)
        self.canvas.setStrokeColor(_LINE)
        self.canvas.rect(x, top - drawn[1], *drawn, stroke=1, fill=0)
        self._text(x, top - drawn[1] - 10, words, 7.5, colour=_MUTED)
        return top - drawn[1] - 16

    def _line(self, text: str, size: float, bold: bool = False) -> None:
        self.y -= size + 3
        self._text(_MARGIN, self.y, text, size, bold=bold)

    def _rule(self) -> None:
        self.y -= 8
        self.canvas.setStrokeColor(_LINE)
        self.canvas.line(_MARGIN, self.y, _WIDTH - _MARGIN, self.y)

    def _text(self, x: float, y: float, text: str, size: float, bold: bool = False, colour: Any = _INK) -> None:
        """One line, made smaller where it would leave the page."""
        font = "DejaVuSans-Bold" if bold else "DejaVuSans"
        room = _WIDTH - _MARGIN - x
        size = min(size, size * room / max(pdfmetrics.stringWidth(text, font, size), 1))
        self.canvas.setFillColor(colour)
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, y, text)
