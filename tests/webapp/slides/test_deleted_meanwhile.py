"""A slide that somebody deletes while another person works on it: a sentence, not an error."""

from __future__ import annotations

import pytest

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.core.errors import Gone
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.reports.services import report_sign
from webapp.results.question import question
from webapp.slides.services import slide_add_remark, slide_assign, slide_delete, slide_set_mpp

ACTS = {
    "judged": lambda slide, run, by: figure_judge(slide=slide, by=by, label=Label.MITOTIC, x=1, y=1),
    "signed": lambda slide, run, by: report_sign(slide=slide, run=run, asked=question(), by=by),
    "assigned": lambda slide, run, by: slide_assign(slide=slide, reader="alice", by=by),
    "given um/px": lambda slide, run, by: slide_set_mpp(slide=slide, mpp=0.3, user=by),
    "remarked on": lambda slide, run, by: slide_add_remark(slide=slide, remark="x"),
    "detected on": lambda slide, run, by: job_create(kind=Job.Kind.DETECT, slide=slide, by=by),
    "deleted": lambda slide, run, by: slide_delete(slide=slide),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_is_deleted_meanwhile_is_said(make_slide, make_run, root, alice, act):
    slide = make_slide(mpp=0.25)
    run = make_run(slide, [(1.0, 1.0, 0.9)])
    type(slide).objects.get(pk=slide.pk).delete()
    with pytest.raises(Gone, match="This slide was deleted meanwhile"):
        ACTS[act](slide, run, root)
