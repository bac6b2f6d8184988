"""Which slides of many: by words, case, state, scanner, day of upload and mitotic count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Exists, F, Func, IntegerField, OuterRef, QuerySet, Subquery

from webapp.annotations.models import Candidate, Run
from webapp.annotations.selectors import newest_run
from webapp.core.errors import InvalidInput
from webapp.slides.models import Slide, SlideQuerySet, Viewer


@dataclass(frozen=True)
class Filters:
    """Filters of slides; empty or None: any. Days are whole days of the server's time zone, both included.

    study: its name; case: its identifier; reader: the username of the assigned reader.
    """

    search: str = ""
    study: str = ""
    case: str = ""
    state: str = ""
    scanner: str = ""
    reader: str = ""
    since: date | datetime | None = None
    until: date | None = None
    min_count: int | None = None
    max_count: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """From the parameters of an address; InvalidInput names the one that cannot be used."""
        state = query.get("state", "")
        if state and state not in Slide.State.values:
            raise InvalidInput(f"state={state} is not known; use {', '.join(Slide.State.values)}.")
        return cls(
            search=query.get("search", "").strip(),
            study=query.get("study", "").strip(),
            case=query.get("case", "").strip(),
            state=state,
            scanner=query.get("scanner", ""),
            reader=query.get("reader", ""),
            since=_day(query, "since"),
            until=_day(query, "until"),
            min_count=_whole(query, "min_count"),
            max_count=_whole(query, "max_count"),
        )


def slides_filtered(*, slides: SlideQuerySet, user: Viewer, filters: Filters, min_score: float) -> SlideQuerySet:
    """The slides that fit. min_score: the threshold of the count, that of the newest run, verdicts ignored."""
    if filters.search:
        slides = slides.search(filters.search, user)
    if filters.study:
        slides = slides.filter(case__study__name=filters.study)
    if filters.case:
        slides = slides.filter(case__identifier=filters.case)
    if filters.state:
        slides = slides.filter(state=filters.state)
    if filters.scanner:
        slides = slides.filter(scanner=filters.scanner)
    if filters.reader:
        slides = slides.filter(reader__username=filters.reader)
    if isinstance(filters.since, datetime):
        slides = slides.filter(uploaded_at__gte=filters.since)
    elif filters.since:
        slides = slides.filter(uploaded_at__date__gte=filters.since)
    if filters.until:
        slides = slides.filter(uploaded_at__date__lte=filters.until)
    if filters.min_count is not None or filters.max_count is not None:
        most = 2**31 if filters.max_count is None else filters.max_count
        slides = slides.filter(Exists(Run.objects.filter(slide=OuterRef("pk"))))
        slides = slides.annotate(counted=_counted(min_score)).filter(counted__range=(filters.min_count or 0, most))
    return slides


def scanners_of(slides: QuerySet[Slide]) -> list[str]:
    """What the slides were scanned with."""
    return list(slides.exclude(scanner="").order_by("scanner").values_list("scanner", flat=True).distinct())


def _counted(min_score: float) -> Subquery:
    """Candidates of the newest run on the evaluable area at or above the threshold."""
    newest = newest_run(OuterRef(OuterRef("pk")))
    above = Candidate.objects.filter(run=Subquery(newest), score__gte=min_score, evaluable=True).order_by()
    # An aggregate that Django does not see as one: it would group by it, and no candidates would be no row, not zero.
    return Subquery(above.annotate(n=Func(F("pk"), function="COUNT")).values("n"), output_field=IntegerField())


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidInput(f"{name}={text} is not a day; write it as 2026-11-25.") from None


def _whole(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInput(f"{name}={text} is not a whole number.")
    return int(text)
