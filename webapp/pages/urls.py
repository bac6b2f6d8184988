"""Addresses of the pages."""

from django.urls import path

from webapp.pages import (
    audit,
    calibrations,
    health,
    jobs,
    judgements,
    mining,
    models,
    provider,
    removals,
    reports,
    retraining,
    slide,
    slides,
    trainings,
)

urlpatterns = [
    path("", slides.worklist, name="worklist"),
    path("worklist/rows/", slides.worklist_rows, name="worklist-rows"),
    path("slides/", slides.slides, name="slides"),
    path("slides/<uuid:pk>/", slide.slide, name="slide"),
    path("slides/<uuid:pk>/report/", reports.slide_report, name="slide-report"),
    path("reports/check/", reports.check_report, name="report-check"),
    path("cases/", slides.cases, name="cases"),
    path("cases/<int:pk>/", slides.case, name="case"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/rows/", jobs.job_rows, name="job-rows"),
    path("health/", health.health, name="health"),
    path("audit/", audit.audit, name="audit"),
    path("provider/", provider.provider_begin, name="provider"),
    path("provider/callback/", provider.provider_callback, name="provider-callback"),
    path("models/", models.models, name="models"),
    path("models/retraining/", retraining.retraining, name="retraining"),
    path("models/mining/", mining.choose, name="choose"),
    path("models/mining/<uuid:pk>/", mining.mining, name="mining"),
    path("models/training/<uuid:pk>/", trainings.training, name="training"),
    path("models/calibration/<uuid:pk>/", calibrations.calibration, name="calibration"),
    path("models/judgement/<uuid:pk>/", judgements.judgement, name="judgement"),
    path("models/judgement/<uuid:pk>/<int:number>.jpeg", judgements.difference, name="difference"),
    path("models/removal/", removals.removal, name="removal"),
    path("models/<uuid:pk>/", models.model, name="model"),
    path("models/<uuid:pk>/samples/", mining.samples, name="samples"),
]
