"""Addresses below /api/v1/."""

from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from webapp.api.calibrations import CalibrationViewSet
from webapp.api.cases import CaseDeletionView
from webapp.api.counts import CountView
from webapp.api.dicomweb import (
    DicomwebFramesView,
    DicomwebInstanceSearchView,
    DicomwebInstanceView,
    DicomwebMetadataView,
    DicomwebSeriesSearchView,
    DicomwebSeriesView,
    DicomwebStudiesView,
    DicomwebStudyView,
)
from webapp.api.exports import SlideExportView, SlideImportView, StudyExportView
from webapp.api.files import OriginalFileView
from webapp.api.health import HealthView
from webapp.api.jobs import JobViewSet
from webapp.api.labelled_sets import LabelledSetViewSet
from webapp.api.locked_cases import LockedCaseViewSet
from webapp.api.mining import MiningRunViewSet
from webapp.api.mitosis_free_slides import MitosisFreeSlideViewSet
from webapp.api.openapi import DescriptionView
from webapp.api.readings import (
    DisagreementsView,
    ReadingDoneView,
    ReadingViewSet,
    SlideReadingsView,
    StudyReadingsView,
)
from webapp.api.removals import RemovalViewSet
from webapp.api.reports import ReportFhirView, ReportPdfView, ReportsView
from webapp.api.review import (
    AtypicalView,
    CandidatesView,
    CompareView,
    FiguresView,
    FigureView,
    RegionsView,
    RegionView,
)
from webapp.api.screening import ScreeningView
from webapp.api.slides import SlideViewSet
from webapp.api.studies import StudyViewSet
from webapp.api.tiles import CropView, DziView, IdentityImageView, ThumbnailView, TileView, TissueView
from webapp.api.trainings import TrainingViewSet
from webapp.api.uploads import UploadsView, UploadView
from webapp.api.versions import CardView, ModelVersionViewSet, VersionActionsViewSet

app_name = "api"

_SERIES = "studies/<str:study_uid>/series/<str:series_uid>"
dicomweb = [  # as PS3.18 has them, without a slash at the end
    path("studies", DicomwebStudiesView.as_view(), name="dicomweb-studies"),
    path("series", DicomwebSeriesSearchView.as_view(), name="dicomweb-all-series"),
    path("instances", DicomwebInstanceSearchView.as_view(), name="dicomweb-all-instances"),
    path("studies/<str:study_uid>", DicomwebStudyView.as_view(), name="dicomweb-study"),
    path("studies/<str:study_uid>/metadata", DicomwebMetadataView.as_view(), name="dicomweb-study-metadata"),
    path("studies/<str:study_uid>/series", DicomwebSeriesSearchView.as_view(), name="dicomweb-series-of-study"),
    path("studies/<str:study_uid>/instances", DicomwebInstanceSearchView.as_view(), name="dicomweb-instances-of-study"),
    path(_SERIES, DicomwebSeriesView.as_view(), name="dicomweb-series"),
    path(f"{_SERIES}/metadata", DicomwebMetadataView.as_view(), name="dicomweb-series-metadata"),
    path(f"{_SERIES}/instances", DicomwebInstanceSearchView.as_view(), name="dicomweb-instances-of-series"),
    path(f"{_SERIES}/instances/<str:uid>", DicomwebInstanceView.as_view(), name="dicomweb-instance"),
    path(f"{_SERIES}/instances/<str:uid>/metadata", DicomwebMetadataView.as_view(), name="dicomweb-instance-metadata"),
    path(f"{_SERIES}/instances/<str:uid>/frames/<str:frames>", DicomwebFramesView.as_view(), name="dicomweb-frames"),
]

router = SimpleRouter()
router.register("slides", SlideViewSet, basename="slide")
router.register("studies", StudyViewSet, basename="study")
router.register("jobs", JobViewSet, basename="job")
router.register("models", VersionActionsViewSet, basename="version")
router.register("models", ModelVersionViewSet, basename="model")
router.register("calibrations", CalibrationViewSet, basename="calibration")
router.register("labelled-sets", LabelledSetViewSet, basename="set")
router.register("locked-cases", LockedCaseViewSet, basename="locked-case")
router.register("mitosis-free-slides", MitosisFreeSlideViewSet, basename="free-slide")
router.register("mining-runs", MiningRunViewSet, basename="mining")
router.register("readings", ReadingViewSet, basename="reading")
router.register("removals", RemovalViewSet, basename="removal")
router.register("trainings", TrainingViewSet, basename="training")

urlpatterns = [
    # First, as these are asked for by the thousand.
    path("slides/<uuid:pk>/tiles_files/<int:level>/<int:column>_<int:row>.jpeg", TileView.as_view(), name="tile"),
    path("slides/<uuid:pk>/mitosis-count/", CountView.as_view(), name="mitosis-count"),
    path("", include(router.urls)),
    path("slides/<uuid:pk>/file/", OriginalFileView.as_view(), name="file"),
    path("slides/<uuid:pk>/export/", SlideExportView.as_view(), name="export"),
    path("slides/<uuid:pk>/import/", SlideImportView.as_view(), name="import"),
    path("slides/<uuid:pk>/reports/", ReportsView.as_view(), name="reports"),
    path("reports/<uuid:pk>/report.pdf", ReportPdfView.as_view(), name="report-pdf"),
    path("reports/<uuid:pk>/fhir/", ReportFhirView.as_view(), name="report-fhir"),
    path("cases/<int:pk>/deletion/", CaseDeletionView.as_view(), name="case-deletion"),
    path("studies/<int:pk>/export/", StudyExportView.as_view(), name="study-export"),
    path("slides/<uuid:pk>/tiles.dzi", DziView.as_view(), name="dzi"),
    path("slides/<uuid:pk>/crop.jpeg", CropView.as_view(), name="crop"),
    path("slides/<uuid:pk>/label.jpeg", IdentityImageView.as_view(), {"kind": "label"}, name="label"),
    path("slides/<uuid:pk>/macro.jpeg", IdentityImageView.as_view(), {"kind": "macro"}, name="macro"),
    path("slides/<uuid:pk>/thumbnail.jpeg", ThumbnailView.as_view(), name="thumbnail"),
    path("slides/<uuid:pk>/tissue.png", TissueView.as_view(), name="tissue"),
    path("slides/<uuid:pk>/candidates/", CandidatesView.as_view(), name="candidates"),
    path("slides/<uuid:pk>/atypical/", AtypicalView.as_view(), name="atypical"),
    path("slides/<uuid:pk>/figures/", FiguresView.as_view(), name="figures"),
    path("slides/<uuid:pk>/figures/<uuid:figure>/", FigureView.as_view(), name="figure"),
    path("slides/<uuid:pk>/regions/", RegionsView.as_view(), name="regions"),
    path("slides/<uuid:pk>/regions/<uuid:region>/", RegionView.as_view(), name="region"),
    path("slides/<uuid:pk>/screening/", ScreeningView.as_view(), name="screening"),
    path("slides/<uuid:pk>/readings/", SlideReadingsView.as_view(), name="slide-readings"),
    path("slides/<uuid:pk>/readings/done/", ReadingDoneView.as_view(), name="reading-done"),
    path("studies/<int:pk>/readings/", StudyReadingsView.as_view(), name="study-readings"),
    path("studies/<int:pk>/disagreements/", DisagreementsView.as_view(), name="disagreements"),
    path("slides/<uuid:pk>/compare/", CompareView.as_view(), name="compare"),
    path("dicomweb/<int:pk>/", include(dicomweb)),
    path("models/<uuid:pk>/card/", CardView.as_view(), name="card"),
    path("uploads/", UploadsView.as_view(), name="uploads"),
    path("uploads/<uuid:pk>/", UploadView.as_view(), name="upload"),
    path("health/", HealthView.as_view(), name="health"),
    path("schema/", DescriptionView.as_view(), name="schema"),
    path(
        "docs/", SpectacularSwaggerView.as_view(url_name="api:schema", http_method_names=["get", "head"]), name="docs"
    ),
]
