"""What was done here, for administrators: searched, and exported as CSV or JSON lines."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render

from webapp.audit.models import Action
from webapp.audit.selectors import AuditFilters, entries_found, written_as_csv, written_as_json_lines
from webapp.audit.services import audit_head, record
from webapp.core.errors import InvalidInput
from webapp.pages.administrators import administrators_only
from webapp.pages.pagination import page_of
from webapp.slides.models import Reading

_FORMS = {"csv": (written_as_csv, "text/csv"), "jsonl": (written_as_json_lines, "application/x-ndjson")}


@administrators_only
def audit(request: HttpRequest) -> HttpResponseBase:
    """The entries that are looked for, the newest first; `?as=csv` and `?as=jsonl` take all of them away."""
    problem = ""
    try:
        filters = AuditFilters.of(request.GET)
    except InvalidInput as error:
        filters, problem = AuditFilters(), str(error)
    mine = Reading.objects.filter(reader=request.user.pk, over_at=None).values("slide")
    others = Reading.objects.filter(slide__in=mine).exclude(reader=request.user.pk).values_list("copy", "result")
    # What others say, or have said in an earlier round, of what the person reads.
    blinded = [str(key) for copy, result in others for key in (copy, result.get("copy")) if key]
    found = entries_found(filters).exclude(object_id__in=blinded)
    if (form := request.GET.get("as", "")) in _FORMS and not problem:
        record(Action.EXPORTED, after={"format": form, "query": request.GET.urlencode()}, named="audit table")
        write, content_type = _FORMS[form]
        headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
        return StreamingHttpResponse(write(found), content_type=f"{content_type}; charset=utf-8", headers=headers)
    number, chain = audit_head()
    context = {
        "page": page_of(request, found),
        "filters": filters,
        "filtered": filters != AuditFilters(),
        "problem": problem,
        "actions": sorted(Action),
        "number": number,
        "chain": chain,
    }
    return render(request, "audit.html", context)
