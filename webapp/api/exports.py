"""Export of a slide and of a study; import of verdicts and regions."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import exceptions, parsers, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.annotations.selectors import run_current
from webapp.api.counts import CountQuerySerializer
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import run_or_newest, validated
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import InvalidInput, NotAllowed
from webapp.exchange.dicom_uids import uid_of
from webapp.exchange.exports import FORMATS, bounds_offset, file_name, properties_of, study_zip
from webapp.exchange.imports import Review, read_csv, read_geojson
from webapp.exchange.services import review_import
from webapp.results.findings import Findings, findings
from webapp.results.question import Counting, Question, question
from webapp.slides.models import Slide, Study, may_see_identity
from webapp.slides.roles import Right, demand, demand_on
from webapp.slides.services import slide_identity_seen, slides_identity_seen

MAX_IMPORT_BYTES = 50 << 20


class ExportQuerySerializer(CountQuerySerializer):
    """Format, and how to count."""

    format = serializers.ChoiceField(
        choices=list(FORMATS),
        help_text=" ".join(f"{key}: {form.name}. {form.holds}" for key, form in FORMATS.items()),
    )


class StudyExportQuerySerializer(ExportQuerySerializer):
    """Format and counting; the newest run of each slide."""

    run = None  # type: ignore[assignment]


class ImportedSerializer(serializers.Serializer[Any]):
    """What was imported. left: verdicts that were not, as a person's verdict there differs; cut: regions that were cut
    at the slide's edge; unknown: how many objects of which class were left out; without_place: how many had none."""

    class Left(serializers.Serializer[Any]):
        x = serializers.FloatField()
        y = serializers.FloatField()
        label = serializers.CharField()  # type: ignore[assignment]
        holds = serializers.CharField()

    verdicts = serializers.IntegerField()
    regions = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    left = Left(many=True)
    cut = serializers.IntegerField()
    unknown = serializers.DictField(child=serializers.IntegerField())
    without_place = serializers.IntegerField()


class _ImportQuerySerializer(serializers.Serializer[Any]):
    same_picture = serializers.BooleanField(
        default=False, help_text="The file is of the same picture, though it names another slide."
    )


class SlideExportView(APIView):
    """Export of a slide."""

    @extend_schema(
        parameters=[ExportQuerySerializer],
        responses={
            (200, "application/geo+json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/dicom"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """All candidates of a run and all verdicts, the regions and the hotspots."""
        slides = Slide.objects.visible_to(request.user).select_related("case__study")
        slide: Slide = get_object_or_404(slides, pk=pk)
        demand_on(Right.JUDGE, slide, request.user)
        query = validated(ExportQuerySerializer, request.query_params)
        form = FORMATS[key := query.pop("format")]
        if _names_the_patient(key):
            slide_identity_seen(slide=slide, user=cast(User, request.user), what="patient ID of the file")
        run = run_or_newest(slide, query.pop("run", None))
        asked = question(**query, study=Counting.of(slide.case.study))
        body = form.write(findings(slide=slide, run=run, asked=asked))
        record(Action.EXPORTED, slide, after={"format": form.name, "run": str(run.pk)})
        response = HttpResponse(body, content_type=form.content_type)
        response["Content-Disposition"] = f'attachment; filename="{file_name(slide, form)}"'
        return response


class StudyExportView(APIView):
    """Export of a study, as a zip."""

    @extend_schema(parameters=[StudyExportQuerySerializer], responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        """One file for each slide with a run, and `summary.csv` with the counts of all; streamed."""
        study: Study = get_object_or_404(Study.objects.visible_to(request.user), pk=pk)
        demand(Right.MANAGE, user=request.user, study=study.pk)
        query = validated(StudyExportQuerySerializer, request.query_params)
        form = FORMATS[key := query.pop("format")]
        if _names_the_patient(key) and not may_see_identity(request.user):
            raise NotAllowed("These exports carry the patient ID of the files, which needs a permission of its own.")
        slides = Slide.objects.visible_to(request.user).filter(case__study=study)
        slides = slides.select_related("case__study").order_by("case", "name", "pk")
        asked = question(**query, study=Counting.of(study))
        record(Action.EXPORTED, study, after={"format": form.name})
        if _names_the_patient(key):
            slides_identity_seen(
                slides=slides.exclude(runs=None), user=cast(User, request.user), what="patient ID of the file"
            )
        keys = list(slides.values_list("pk", flat=True))  # no cursor, which would be held while it is sent
        each = (slide for key in keys if (slide := slides.filter(pk=key).first()))
        found = (one for slide in each if (one := _findings(slide, asked)))
        response = StreamingHttpResponse(study_zip(found, form), content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="study-{study.pk}.zip"'
        return response


class RawBodyParser(parsers.BaseParser):
    """The body as bytes, up to MAX_IMPORT_BYTES."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        data: bytes = stream.read(MAX_IMPORT_BYTES + 1)
        if len(data) > MAX_IMPORT_BYTES:
            raise InvalidInput(f"An import has at most {MAX_IMPORT_BYTES >> 20} MB.")
        return data


class SlideImportView(Idempotent):
    """Import of verdicts and regions."""

    parser_classes = [RawBodyParser]

    @extend_schema(
        parameters=[_ImportQuerySerializer],
        request={
            "text/csv": OpenApiTypes.STR,
            "application/geo+json": OpenApiTypes.OBJECT,
            "application/dicom": OpenApiTypes.BINARY,
        },
        responses=ImportedSerializer,
        examples=[
            OpenApiExample(
                "a CSV", value="x,y,label\n1204.5,880.25,mitotic\n", media_type="text/csv", request_only=True
            ),
            OpenApiExample(
                "what was imported",
                value={
                    "verdicts": 41,
                    "regions": 1,
                    "unchanged": 3,
                    "left": [{"x": 1204.5, "y": 880.25, "label": "mitotic", "holds": "non_mitotic"}],
                    "cut": 0,
                    "unknown": {"stroma": 2},
                    "without_place": 0,
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Import the verdicts and regions of an exported CSV, GeoJSON or DICOM object.

        Existing verdicts and regions are kept; no verdict is overwritten. A file that names another slide is refused
        (409), unless that slide is of the same file or `same_picture=true` says so.
        """
        query = _ImportQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        slides = Slide.objects.visible_to(request.user).select_related("case")
        slide: Slide = get_object_or_404(slides, pk=pk)
        demand_on(Right.JUDGE, slide, request.user)
        kind = (request.content_type or "").split(";")[0].strip()
        body = cast(bytes, request.data or b"")  # of nothing no parser is asked
        if kind == "text/csv":
            review = read_csv(body)
        elif kind in {"application/geo+json", "application/json"}:
            review = read_geojson(body, bounds_offset(slide))
        elif kind == "application/dicom":
            review = _read_dicom(body, slide)
        else:
            raise exceptions.UnsupportedMediaType(kind, "Send text/csv, application/geo+json or application/dicom.")
        same = bool(query.validated_data["same_picture"])
        done = review_import(slide=slide, by=cast(User, request.user), review=review, same_picture=same)
        return Response(ImportedSerializer(done).data)


def _names_the_patient(key: str) -> bool:
    return key == "dicom" and settings.DICOM_PATIENT_ID == "file"


def _read_dicom(body: bytes, slide: Slide) -> Review:
    from webapp.exchange.dicom_imports import read_dicom  # here, as highdicom takes a second and few ask for it

    return read_dicom(body, uid_of(slide, properties_of(slide), "SOPInstanceUID"))


def _findings(slide: Slide, asked: Question) -> Findings | None:
    run = run_current(slide=slide)
    return findings(slide=slide, run=run, asked=asked) if run else None
