"""The overview of a study, each plot with its table and CSV."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.overview.selectors import Table, overview_of
from webapp.pages.csv_file import csv_file
from webapp.slides.models import Study

_HEIGHT, _WIDTH = 100, 24  # of the tallest bar, and of each with its gap, in units of the picture


@login_required
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    """Counts, scores, turnaround and drift; `?csv=KEY` is one of its tables."""
    study: Study = get_object_or_404(Study.objects.visible_to(request.user), pk=pk)
    found = overview_of(study, request.user)
    if "csv" in request.GET:
        table = next((one for one in found.tables if one.key == request.GET["csv"]), None)
        if table is None:
            raise Http404
        return csv_file(f"study-{study.pk}-{table.key}", [table.columns, *table.rows])
    tables = [{"table": table, "plot": _plot(table)} for table in found.tables]
    return render(request, "overview.html", {"study": study, "tables": tables, "warnings": found.warnings})


def _plot(table: Table) -> dict[str, object] | None:
    """Bars as rectangles; None where there is nothing."""
    if not table.bars:
        return None
    most = max(height for _, height in table.bars) or 1
    bars = [
        {"x": index * _WIDTH + 3, "y": _HEIGHT * (1 - height / most), "height": _HEIGHT * height / most}
        | {"say": f"{label}: {height:g}", "label": label if len(label) <= 4 else ""}
        for index, (label, height) in enumerate(table.bars)
    ]
    ends = (table.bars[0][0], table.bars[-1][0])
    return {"bars": bars, "width": _WIDTH * len(bars), "bar": _WIDTH - 6, "most": f"{most:g}", "ends": ends}
