"""Serializers of the API. Rules are in the services."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from webapp.annotations.models import Candidate, Figure, Label, Region, Run
from webapp.annotations.roi import polygon_of
from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from webapp.registry.privacy import card_for
from webapp.slides.models import Slide, Upload

_MPP = serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2, allow_null=True)


class SlideSerializer(serializers.ModelSerializer[Slide]):
    """A slide. mpp: um per level-0 pixel, (x, y), null where unknown; size in level-0 pixels."""

    name = serializers.SerializerMethodField(
        help_text="The file's name for who uploaded it or may see identities, else the case's pseudonym and a number."
    )
    case = serializers.CharField(source="case.identifier")
    study = serializers.CharField(source="case.study.name")
    mpp = serializers.SerializerMethodField()
    tissue_mm2 = serializers.FloatField(allow_null=True)
    run = serializers.UUIDField(
        source="newest_run", allow_null=True, help_text="The newest run, null before the first detection."
    )

    reader = serializers.CharField(
        source="reader.username", default=None, allow_null=True, help_text="Assigned reader, or null."
    )

    class Meta:
        model = Slide
        fields = [
            "id", "name", "study", "case", "state", "remark", "width", "height", "mpp", "mpp_source", "tissue_mm2",
            "format", "scanner", "bytes", "sha256", "drawn", "uploaded_at", "run", "reader",
        ]  # fmt: skip

    def get_name(self, slide: Slide) -> str:
        return slide.name_for(self.context["request"].user)

    @extend_schema_field(_MPP)
    def get_mpp(self, slide: Slide) -> list[float] | None:
        return list(slide.mpp) if slide.mpp else None


class ReaderSerializer(serializers.Serializer[Any]):
    """The assigned reader of a slide."""

    reader = serializers.CharField(allow_null=True, max_length=150, help_text="Name of a person, or null for nobody.")


class MppSerializer(serializers.Serializer[Any]):
    """um per pixel, entered by a person."""

    mpp = serializers.FloatField(min_value=0.05, max_value=5)


class DetectionRequestSerializer(serializers.Serializer[Any]):
    """What to detect with; the active model version by default."""

    model = serializers.UUIDField(required=False)


class DetectionQuerySerializer(serializers.Serializer[Any]):
    """Which candidates: least confidence, box in level-0 pixels, run (the newest by default)."""

    min_score = serializers.FloatField(min_value=0, max_value=1, default=settings.DEFAULT_MIN_SCORE)
    bbox = serializers.CharField(required=False, help_text="x0,y0,x1,y1 in level-0 pixels")
    run = serializers.UUIDField(required=False)
    limit = serializers.IntegerField(min_value=1, max_value=100_000, default=1000)
    offset = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)

    def validate_bbox(self, value: str) -> tuple[float, ...]:
        try:
            box = tuple(float(part) for part in value.split(","))
        except ValueError:
            box = ()
        # The comparisons are false for NaN.
        if len(box) != 4 or not (box[0] <= box[2] and box[1] <= box[3]):
            raise serializers.ValidationError("Give four numbers x0,y0,x1,y1 with x0 <= x1 and y0 <= y1.")
        return box


class CandidateSerializer(serializers.ModelSerializer[Candidate]):
    """A candidate. x, y: level-0 pixels. score: the detector's confidence, 0 to 1."""

    class Meta:
        model = Candidate
        fields = ["x", "y", "score"]


class DetectionsSerializer(serializers.Serializer[Any]):
    """total: how many there are; results: those of this page, best first."""

    run = serializers.UUIDField()
    min_score = serializers.FloatField()
    total = serializers.IntegerField()
    results = CandidateSerializer(many=True)


class FigureSerializer(serializers.ModelSerializer[Figure]):
    """A judged figure with its current verdict. x, y: level-0 pixels."""

    by = serializers.CharField(allow_null=True, help_text="Who gave the current verdict.")
    at = serializers.DateTimeField(help_text="When it was given.")
    candidate = serializers.IntegerField(allow_null=True, help_text="Key of the candidate there in this run.")

    class Meta:
        model = Figure
        fields = [
            "id",
            "x",
            "y",
            "added",
            "screened",
            "disputed",
            "label",
            "atypical",
            "version",
            "by",
            "at",
            "candidate",
        ]


class FiguresSerializer(serializers.Serializer[Any]):
    """All judged figures of a slide. version: how many verdicts there are; it changes with every one."""

    run = serializers.UUIDField(allow_null=True)
    version = serializers.IntegerField()
    results = FigureSerializer(many=True)


class AtypicalSerializer(serializers.Serializer[Any]):
    """How likely candidates of a run are atypical mitotic figures, 0 to 1. candidates: their keys, best first."""

    run = serializers.UUIDField()
    candidates = serializers.ListField(child=serializers.IntegerField())
    probabilities = serializers.ListField(child=serializers.FloatField())


class RunQuerySerializer(serializers.Serializer[Any]):
    """Which run (the newest by default)."""

    run = serializers.UUIDField(required=False)


class VerdictSerializer(serializers.Serializer[Any]):
    """A verdict on the place (x, y), level-0 pixels."""

    label = serializers.ChoiceField(  # type: ignore[assignment]  # a field called label, as in the model
        Label.choices, allow_blank=True, help_text="Empty takes the last verdict back."
    )
    x = serializers.FloatField()
    y = serializers.FloatField()
    expected = serializers.IntegerField(
        min_value=0, default=0, help_text="The version of the figure that you saw; 0 where there was none."
    )
    verdict = serializers.UUIDField(required=False, help_text="Client id: the same one sent again changes nothing.")
    screened = serializers.BooleanField(
        default=False, help_text="You screen the slide field by field; said of a figure that is added."
    )
    atypical = serializers.BooleanField(
        required=False, allow_null=True, help_text="Of a mitotic figure, in a study that tells atypical ones."
    )
    together = serializers.BooleanField(
        default=False, help_text="Of a figure that blinded readers disagree on: they have settled it together."
    )


class HistorySerializer(serializers.Serializer[Any]):
    """One verdict of a history."""

    version = serializers.IntegerField()
    label = serializers.ChoiceField(Label.choices, allow_blank=True)  # type: ignore[assignment]
    by = serializers.CharField(source="by.username", allow_null=True, default=None)
    at = serializers.DateTimeField()
    together = serializers.BooleanField(help_text="Settled by blinded readers who disagreed, together.")
    atypical = serializers.BooleanField(allow_null=True)


class RegionSerializer(serializers.ModelSerializer[Region]):
    """A polygon of [x, y] in level-0 pixels, not closed; `replaces` is the region that it is an edit of."""

    by = serializers.CharField(source="by.username", read_only=True, allow_null=True)
    polygon = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)
    )
    mm2 = serializers.SerializerMethodField()
    replaces = serializers.PrimaryKeyRelatedField(
        queryset=Region.objects.none(), required=False, allow_null=True, pk_field=serializers.UUIDField()
    )

    class Meta:
        model = Region
        fields = ["id", "kind", "polygon", "mm2", "by", "at", "replaces"]

    def get_mm2(self, region: Region) -> float | None:
        """Its area, as it counts; null without um/px."""
        mpp = region.slide.mpp
        return None if mpp is None else float(polygon_of(region).area) * mpp[0] * mpp[1] / 1e6

    def __init__(self, *args: Any, slide: Slide | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if slide is not None:
            self.fields["replaces"].queryset = Region.objects.filter(slide=slide)  # type: ignore[attr-defined]


class CompareQuerySerializer(serializers.Serializer[Any]):
    """Which two runs, at which threshold."""

    run = serializers.UUIDField()
    other = serializers.UUIDField()
    min_score = serializers.FloatField(min_value=0, max_value=1, default=settings.DEFAULT_MIN_SCORE)


class CompareSerializer(serializers.Serializer[Any]):
    """both: how many candidates the runs agree on (within 7.5 um); the others are listed, best first."""

    both = serializers.IntegerField()
    only_run = CandidateSerializer(many=True)
    only_other = CandidateSerializer(many=True)


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run: model, parameters, um/px, device, code version."""

    doubts = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        help_text="Where stain or scanner lie outside the training range: why counts are less certain.",
    )

    class Meta:
        model = Run
        exclude = ["job"]


class JobSerializer(serializers.ModelSerializer[Job]):
    """A background job. progress: shards and windows done (skipped glass included), of how many."""

    progress = serializers.SerializerMethodField()
    queue_position = serializers.IntegerField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)
    slide_name = serializers.CharField(source="slide.name", default="", help_text="Empty where it is of no one slide.")
    workers = serializers.ListField(child=serializers.CharField(), help_text="Each with its device and precision.")

    class Meta:
        model = Job
        fields = [
            "id", "kind", "slide", "slide_name", "state", "priority", "progress", "queue_position", "seconds_left",
            "workers", "error", "created_at", "started_at", "ended_at",
        ]  # fmt: skip

    @extend_schema_field(
        {
            "type": "object",
            "properties": {
                name: {"type": "integer"} for name in ("done", "total", "skipped", "shards_done", "shards_total")
            },
        }
    )
    def get_progress(self, job: Job) -> dict[str, int]:
        return job.progress


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A model version with its card: recipe, data, metrics. Of one that was trained here only administrators read names
    of cases and people; all others read how many."""

    card = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = ["id", "name", "state", "sha256", "parent", "created_at", "card"]

    def get_card(self, version: ModelVersion) -> dict[str, Any]:
        request = self.context.get("request")
        user = request.user if request else AnonymousUser()
        return card_for(version=version, user=user)


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """An upload; slide is set when it is complete. Its bytes are dropped at expires_at unless more arrive."""

    expires_at = serializers.DateTimeField()

    class Meta:
        model = Upload
        fields = ["id", "name", "size", "offset", "created_at", "expires_at", "slide"]
