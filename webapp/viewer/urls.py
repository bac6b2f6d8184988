"""Addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from webapp.viewer import model_pages, report_pages, views

urlpatterns = [
    path("", views.worklist, name="worklist"),
    path("worklist/rows/", views.worklist_rows, name="worklist-rows"),
    path("slides/", views.slides, name="slides"),
    path("slides/<uuid:pk>/", views.slide, name="slide"),
    path("slides/<uuid:pk>/report/", report_pages.slide_report, name="slide-report"),
    path("reports/check/", report_pages.check_report, name="report-check"),
    path("cases/", views.cases, name="cases"),
    path("cases/<int:pk>/", views.case, name="case"),
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/rows/", views.job_rows, name="job-rows"),
    path("health/", views.health, name="health"),
    path("models/", views.models, name="models"),
    path("models/retraining/", model_pages.loop, name="loop"),
    path("models/mining/", model_pages.choose, name="choose"),
    path("models/mining/<uuid:pk>/", model_pages.mining, name="mining"),
    path("models/training/<uuid:pk>/", model_pages.training, name="training"),
    path("models/judgement/<uuid:pk>/", model_pages.judgement, name="judgement"),
    path("models/judgement/<uuid:pk>/<int:number>.jpeg", model_pages.difference, name="difference"),
    path("models/removal/", model_pages.removal, name="removal"),
    path("models/<uuid:pk>/", views.model, name="model"),
    path("models/<uuid:pk>/samples/", model_pages.samples, name="samples"),
    path("login/", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
