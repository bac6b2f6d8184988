"""Addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from webapp.pages import reports, retraining, slides

urlpatterns = [
    path("", slides.worklist, name="worklist"),
    path("worklist/rows/", slides.worklist_rows, name="worklist-rows"),
    path("slides/", slides.slides, name="slides"),
    path("slides/<uuid:pk>/", slides.slide, name="slide"),
    path("slides/<uuid:pk>/report/", reports.slide_report, name="slide-report"),
    path("reports/check/", reports.check_report, name="report-check"),
    path("cases/", slides.cases, name="cases"),
    path("cases/<int:pk>/", slides.case, name="case"),
    path("jobs/", slides.jobs, name="jobs"),
    path("jobs/rows/", slides.job_rows, name="job-rows"),
    path("health/", slides.health, name="health"),
    path("models/", slides.models, name="models"),
    path("models/retraining/", retraining.loop, name="loop"),
    path("models/mining/", retraining.choose, name="choose"),
    path("models/mining/<uuid:pk>/", retraining.mining, name="mining"),
    path("models/training/<uuid:pk>/", retraining.training, name="training"),
    path("models/judgement/<uuid:pk>/", retraining.judgement, name="judgement"),
    path("models/judgement/<uuid:pk>/<int:number>.jpeg", retraining.difference, name="difference"),
    path("models/removal/", retraining.removal, name="removal"),
    path("models/<uuid:pk>/", slides.model, name="model"),
    path("models/<uuid:pk>/samples/", retraining.samples, name="samples"),
    path("login/", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
