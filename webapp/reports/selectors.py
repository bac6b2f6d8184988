"""Reading reports, and whether they still say what the slide says."""

from __future__ import annotations

import hashlib
import hmac
import json
import re

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from webapp.annotations.models import Run
from webapp.annotations.selectors import run_current
from webapp.audit.models import Action, Entry
from webapp.core.typed_json import from_json
from webapp.reports.facts import facts_sha256
from webapp.reports.models import Report
from webapp.reports.seal import seal_faults, stone_seal_of
from webapp.results.count import mitosis_count
from webapp.results.question import Question, question
from webapp.results.rules import Rule
from webapp.results.types import Count
from webapp.slides.models import Slide, Viewer

_SIGNED = ("number", "seal", "sha256", "pdf_sha256")


def report_by_hash(*, user: Viewer, sha256: str) -> Report | None:
    """The report with this hash: the one printed on it, or the one of its file. Spaces and case do not matter."""
    wanted = re.sub(r"\s", "", sha256).lower()
    found = Report.objects.visible_to(user).filter(Q(sha256=wanted) | Q(pdf_sha256=wanted))
    report: Report | None = found.select_related("slide__case__study", "signed_by").first()
    return report


def report_by_file(*, user: Viewer, data: bytes) -> Report | None:
    """The report whose file has exactly these bytes."""
    return report_by_hash(user=user, sha256=hashlib.sha256(data).hexdigest())


def report_faults(report: Report) -> list[str]:
    """Why what is stored is not what was signed, one sentence each; empty where it is."""
    elsewhere = _audit_faults(report) + seal_faults(report)
    if report.buried_at is not None:
        same = hmac.compare_digest(report.stone_seal, stone_seal_of(report))
        return ([] if same else ["What is left of it is not what was left."]) + elsewhere
    faults = []
    if facts_sha256(report.facts) != report.sha256:
        faults.append("Its numbers are not the signed ones: their hash differs.")
    if hashlib.sha256(bytes(report.pdf)).hexdigest() != report.pdf_sha256:
        faults.append("Its PDF is not the signed one: its hash differs.")
    return faults + elsewhere


def reports_missing() -> list[str]:
    """Which reports the audit table says were signed, and are not there, one sentence each."""
    there = {str(pk) for pk in Report.objects.values_list("pk", flat=True)}
    signed = (json.loads(entry.after) for entry in Entry.objects.filter(action=Action.SIGNED).order_by("id"))
    return [
        f"Report {one['report']}, number {one.get('number')}, was signed and is not here any more."
        for one in signed
        if one.get("report", "") and one["report"] not in there
    ]


def _audit_faults(report: Report) -> list[str]:
    """Where the audit table says otherwise: who has the database alone cannot change both unseen."""
    entries = Entry.objects.filter(action=Action.SIGNED, object_id=str(report.slide_was or report.slide_id))
    for entry in entries.filter(after__contains=str(report.pk)):
        said = json.loads(entry.after)
        if any(said[name] != getattr(report, name) for name in _SIGNED if name in said):
            return ["Its number, seal or hashes are not those that the audit table has of its signing."]
    return []


class SlideNow:
    """A slide as it is now, to compare its reports with: read once, and counted once for each question."""

    def __init__(self, slide: Slide) -> None:
        self.run = run_current(slide=slide)
        self.version: int = Report.objects.filter(slide=slide).aggregate(newest=Max("version"))["newest"]
        self._counts: dict[Question, Count] = {}

    def count(self, run: Run, asked: Question) -> Count:
        """The count of its run."""
        if asked not in self._counts:
            self._counts[asked] = mitosis_count(run=run, asked=asked)
        return self._counts[asked]


def report_changes(*, report: Report, slide: SlideNow | None = None) -> list[str]:
    """What differs on the slide now, one sentence each; empty where the report still holds."""
    if report.buried_at is not None:
        return [f"The patient was deleted by {report.buried_by} on {timezone.localtime(report.buried_at):%Y-%m-%d}."]
    if slide is None:
        assert report.slide is not None
        slide = SlideNow(report.slide)
    then = from_json(Count, report.facts["count"])
    sentences = []
    if slide.version > report.version:
        sentences.append(f"Version {slide.version} was signed later.")
    run = slide.run
    if run is None:
        return sentences
    signed = then.score.rule if then.score else None
    rule: Rule | None = settings.SCORE_RULES.get(signed.id) if signed else None
    asked = question(min_score=then.min_score, area_mm2=then.area_mm2, shape=then.shape, rule=rule.id if rule else "")
    now = slide.count(run, asked)
    sentences += [sentence for sentence in now.stale if sentence not in run.doubts]
    if signed and rule is None:
        sentences.append(f"The rule {signed.id}, by which it was scored, is not in use here any more.")
    elif signed and rule and (rule.version, rule.cut_offs(then.area_mm2)) != (signed.version, signed.cut_offs):
        sentences.append(
            f"The rule {rule.id} is in version {rule.version} now; it was scored by version {signed.version}."
        )
    if run.pk != then.run:
        sentences.append("A newer run was made after this report.")
    if then.count != now.count:
        sentences.append(f"Figures on the slide: {then.count} when it was signed, {now.count} now.")
    before, after = (one.hotspot.count if one.hotspot else 0 for one in (then, now))
    if before != after:
        sentences.append(f"Figures in the hotspot: {before} when it was signed, {after} now.")
    score, score_now = (one.score.value if one.score else None for one in (then, now))
    if rule is not None and score != score_now:
        sentences.append(f"Mitotic score: {score} when it was signed, {score_now or 'none'} now.")
    return sentences
