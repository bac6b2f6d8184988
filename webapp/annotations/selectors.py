"""Reading runs and candidates."""

from __future__ import annotations

from django.db.models import QuerySet

from webapp.annotations.models import Candidate, Run
from webapp.slides.models import Slide

Box = tuple[float, float, float, float]


def run_current(*, slide: Slide) -> Run | None:
    """The newest run over a slide."""
    return Run.objects.filter(slide=slide).select_related("model").order_by("-created_at").first()


def candidates_in(*, run: Run, min_score: float, box: Box | None = None) -> QuerySet[Candidate]:
    """Candidates of a run with at least this score, best first. box: (x0, y0, x1, y1) level-0 px, edges included."""
    rows = Candidate.objects.filter(run=run, score__gte=min_score)
    if box is not None:
        rows = rows.filter(x__range=(box[0], box[2]), y__range=(box[1], box[3]))
    return rows.order_by("-score", "y", "x")
