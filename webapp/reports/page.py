"""The report as a tagged PDF, set by Typst. The same facts and pictures give the same bytes.

Every number and sentence is made here as it is printed; `report.typ` lays them out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typst

from webapp.annotations.models import Label, Region
from webapp.core.units import printed
from webapp.reports.facts import ReportFacts, ReportFigure, ReportPart
from webapp.reports.fonts import all_printable, families, fonts
from webapp.reports.pictures import CROP_UM, Pictures
from webapp.results.types import Count, Value

_SAID = {Label.OPEN: "not reviewed", Label.MITOTIC: "mitotic"}  # of the figures that count
_TEMPLATE = Path(__file__).with_name("report.typ")


def draw_page(facts: ReportFacts, sha256: str, pictures: Sequence[Pictures]) -> bytes:
    """A4, portrait, as many pages as it takes; PDF/UA-1. pictures: of the slide, then of the others of its case."""
    parts: list[ReportPart] = [facts, *facts.others]
    words = {
        "title": f"Mitotic count, case {facts.slide.case}, slide {facts.slide.name}, version {facts.version}",
        "author": _reader(facts),
        "signed": f"Version {facts.version}, signed by {_reader(facts)} at {moment(facts.signed_at)}",
        "hash": sha256,
        "chain": [f"Replaces version {facts.version - 1}, report hash {facts.replaces}."] if facts.replaces else [],
        "left_out": [f"Not in this report: slide {sentence}." for sentence in facts.left_out],
        "comment": [line for line in facts.comment.splitlines() if line.strip()],
        "parts": [_part(part, shots) for part, shots in zip(parts, pictures, strict=True)],
    }
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "report.typ").write_bytes(_TEMPLATE.read_bytes())
        (place / "report.json").write_text(json.dumps({**all_printable(words), "fonts": families()}), "utf-8")
        for name, data in _files(pictures):
            (place / f"{name}.jpeg").write_bytes(data)
        made = typst.compile(
            place / "report.typ",
            root=place,
            font_paths=fonts(),
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=["ua-1"],
            timestamp=datetime.fromisoformat(facts.signed_at),
        )
    assert isinstance(made, bytes)
    return made


def moment(at: str | datetime) -> str:
    """A time with its zone, such as 2026-11-29 10:05:00 UTC+01:00."""
    when = datetime.fromisoformat(at) if isinstance(at, str) else at
    zone = f"{when:%z}"
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" + (f"{zone[:3]}:{zone[3:5]}" if zone.strip("+0") else "")


def _reader(facts: ReportFacts) -> str:
    name, username = facts.reader.name, facts.reader.username
    return f"{name} ({username})" if name else username


def _files(pictures: Sequence[Pictures]) -> list[tuple[str, bytes]]:
    """The names by which the template finds the pictures."""
    files = []
    for i, shots in enumerate(pictures):
        files += [(f"overview-{i}", shots.overview)]
        files += [(f"hotspot-{i}", shots.hotspot)] if shots.hotspot else []
        files += [(f"crop-{i}-{n}", data) for n, data in enumerate(shots.crops)]
        files += [(f"elsewhere-{i}-{n}", data) for n, data in enumerate(shots.elsewhere)]
    return files


def _part(part: ReportPart, shots: Pictures) -> dict[str, Any]:
    slide, count = part.slide, part.count
    entered = " (entered)" if slide.mpp_source == "entered" else ""
    mpp = " x ".join(f"{value:.4g}" for value in count.mpp)
    columns = ["", "on the slide", "per mm² evaluable", "in the hotspot", "mitotic score"]
    return {
        "heading": f"Case {slide.case} Slide {slide.name} Study {slide.study}",
        "file": f"{slide.size[0]} x {slide.size[1]} px, {mpp} µm/px{entered}, SHA-256 {slide.sha256}",
        "numbers": _numbers(count),
        "review": _unreviewed(count),
        "sentences": [*_sentences(count), *_screened(part), *filter(None, [slide.remark])],
        "columns": columns,
        "values": [_row(_reviewed_as(count), count.reviewed), _row("AI alone", count.ai)],
        "area": _area(part),
        "regions": [
            [Region.Kind(one.kind).label, "-" if one.mm2 is None else f"{one.mm2:.3g} mm²", one.by]
            for one in part.regions
        ],
        "hotspot": shots.hotspot is not None,
        "captions": ["The slide, with regions and hotspot", "The hotspot and what counts in it"]
        if shots.hotspot
        else ["The slide, with regions"],
        "crops": _crops("in the hotspot", len(shots.crops), part.figures),
        "elsewhere": _crops("elsewhere on the slide", len(shots.elsewhere), part.elsewhere),
        "provenance": _provenance(count),
    }


def _crops(where: str, shown: int, figures: Sequence[ReportFigure]) -> tuple[str, list[str], str]:
    """A title, what is said under each crop that is shown, and where the others lie, level-0 px."""
    side = f"{CROP_UM:g} x {CROP_UM:g} µm each"
    more = f"; pictures of {shown}, then the places of the others" if shown < len(figures) else ""
    words = [
        " ".join(filter(None, ["" if one.score is None else f"{one.score:.2f}", _SAID[Label(one.label)]]))
        for one in figures
    ]
    places = [f"({one.x:.0f}, {one.y:.0f}) {said}" for one, said in zip(figures[shown:], words[shown:], strict=True)]
    title = f"Figures that count {where}: {len(figures)}, {side}, highest confidence first{more}"
    return title, words[:shown], "; ".join(places)


def _numbers(count: Count) -> list[tuple[str, str]]:
    place, score = count.hotspot, count.score
    scored = (str(score.value) if score else "-", "mitotic score (1 to 3)")
    if place or score:
        return [
            (str(place.count if place else 0), f"mitotic figures in the hotspot, {_shape(count)}"),
            (f"{place.count_per_mm2:.1f}" if place else "0", "per mm² there"),
            scored,
        ]
    density = count.count_per_mm2
    return [
        (str(count.count), "mitotic figures on the slide"),
        ("-" if density is None else f"{density:.1f}", "per mm² evaluable"),
        scored,
    ]


def _unreviewed(count: Count) -> str:
    """What is printed as large as the number, where not every candidate of the hotspot has a verdict."""
    return f"not reviewed: {count.unreviewed} of {count.review.of}" if count.review and count.unreviewed else ""


def _reviewed_as(count: Count) -> str:
    partly = count.review is not None and count.review.state == "partly reviewed"
    return "Partly reviewed" if partly else "Reviewed"


def _row(name: str, value: Value | None) -> list[str]:
    if value is None:
        return [name, "-", "-", "-", "-"]
    density = "-" if value.count_per_mm2 is None else f"{value.count_per_mm2:.2f}"
    hotspot = str(value.hotspot.count) if value.hotspot else "-"
    return [name, str(value.count), density, hotspot, str(value.score.value) if value.score else "-"]


def _shape(count: Count) -> str:
    """The shape of the hotspot and what it holds."""
    place, area = count.hotspot, f"{count.area_mm2:.4g} mm²"
    shape = "ten fields, chosen one after the other," if count.shape == "fields" else f"a {count.shape}"
    if place is None or place.evaluable_mm2 is None:
        return f"{shape} of {area}"
    held = f"{place.evaluable_mm2:.3g} of {area}" if place.evaluable_mm2 < 0.98 * place.area_mm2 else area
    return f"{shape if place.outlines else 'all there is'}, {held} evaluable"


def _sentences(count: Count) -> list[str]:
    place, score = count.hotspot, count.score
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
            f"{rule.area_mm2:.4g} mm²{to_next}. Source: {rule.source}"
        )
    if score and score.small_sample:
        lines.append("Small sample: less was evaluable than the rule asks for.")
    said = [*filter(None, [count.reason]), *count.stale]
    return lines + [printed(sentence) for sentence in said]


def _screened(part: ReportPart) -> list[str]:
    screened, at = part.screening, f"at confidence {part.count.min_score:g}"
    if screened is None:
        return []
    hotspot = "" if screened.hotspot is None else f", {_percent(screened.hotspot)} of that in the hotspot"
    said = f"Screened field by field: the reader has seen {_percent(screened.seen)} of the evaluable area{hotspot}."
    if screened.open:
        return [f"{said} {screened.open} of the candidates there {at} or more have no verdict."]
    if screened.share is None or screened.interval is None:
        return [f"{said} There was no mitotic figure."]
    low, high = screened.interval
    of = screened.found + screened.missed
    return [
        f"{said} Of {of} mitotic figure{'' if of == 1 else 's'} there the detector found {screened.found} {at} "
        f"(sensitivity {_percent(screened.share)}, 95 % interval {low:.0%} to {high:.0%})."
    ]


def _percent(share: float) -> str:
    """Never 100 % before all of it, never 0 % after the first."""
    if round(share, 2) == 1 and share < 1:
        return "more than 99 %"
    return "less than 1 %" if round(share, 2) == 0 and share > 0 else f"{100 * share:.0f} %"


def _area(part: ReportPart) -> str:
    count, judged = part.count, part.count.judged
    evaluable = "-" if count.tissue_mm2 is None else f"{count.tissue_mm2:.2f} mm²"
    share = ""
    place = count.hotspot
    if place and place.evaluable_mm2 is not None and count.tissue_mm2:
        share = (
            f", of which the hotspot holds {place.evaluable_mm2:.3g} mm² ({place.evaluable_mm2 / count.tissue_mm2:.0%})"
        )
    return (
        f"Evaluable area (tissue, in tumour regions if any, outside exclusions) {evaluable}{share}. "
        f"Verdicts there: {judged.mitotic} mitotic ({judged.added} added), {judged.non_mitotic} not, {judged.unsure} "
        f"unsure; {judged.unseen} candidates not looked at."
        + ("" if judged.atypical is None else f" Of the mitotic figures {judged.atypical} are atypical.")
    )


def _provenance(count: Count) -> list[str]:
    parameters = ", ".join(f"{name} {_plain(value)}" for name, value in sorted(count.parameters.items()))
    stamp = f"Run {count.run} of {moment(count.detected_at)}, code {count.code_version}"
    return [
        f"Model {count.model.name}, SHA-256 {count.model.sha256}",
        f"{stamp}, counted from confidence {count.min_score:g}",
        f"Parameters: {parameters}",
    ]


def _plain(value: object) -> object:
    """A number to four digits, also where there are several."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " x ".join(str(_plain(one)) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else value
