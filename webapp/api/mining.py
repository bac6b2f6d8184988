"""The loop by REST, for administrators: labelled sets, mining, trainings, judgements, promotion, removal."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, permissions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.annotations.models import Label
from webapp.annotations.services import detection_request
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import checked
from webapp.api.serializers import JobSerializer, ModelVersionSerializer
from webapp.core.errors import DomainError
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_promote, version_roll_back
from webapp.results.filters import Filters, slides_filtered
from webapp.retraining.models import (
    Judgement,
    LabelledSet,
    LockedCase,
    MinedSample,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    TrainingRun,
)
from webapp.retraining.provenance import affected_in_words
from webapp.retraining.selectors import (
    estimate_of,
    labels_made_here,
    model_card,
    precision_of,
    samples_to_judge,
    slides_unlabelled,
)
from webapp.retraining.trainings import (
    case_lock,
    case_unlock,
    free_slide_add,
    judgement_request,
    mined_sample_judge,
    mined_samples_reject,
    mined_samples_restore,
    mining_request,
    removal_end,
    removal_make,
    set_import_upload,
    training_again,
    training_request,
)
from webapp.slides.models import Slide, Study


class IsAdministrator(permissions.BasePermission):
    """Training uses slides of all studies, so it is for those who may see all of them."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user and request.user.is_active and getattr(request.user, "is_superuser", False))


class _ForAdministrators(Idempotent):
    permission_classes = [permissions.IsAuthenticated, IsAdministrator]

    @property
    def person(self) -> User:
        return cast(User, self.request.user)


class SetImportSerializer(serializers.Serializer[Any]):
    """A zip of a labelled set, in a format that the detector reads."""

    name = serializers.CharField(max_length=100)
    file = serializers.FileField()


class LabelledSetSerializer(serializers.ModelSerializer[LabelledSet]):
    """A labelled set; cases and frames are there once its job is done."""

    job = JobSerializer(read_only=True)
    cases = serializers.SerializerMethodField()
    frames = serializers.IntegerField(source="frames.count", read_only=True)

    class Meta:
        model = LabelledSet
        fields = ["id", "name", "sha256", "at", "job", "cases", "frames"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_cases(self, labelled_set: LabelledSet) -> list[str]:
        return list(labelled_set.frames.values_list("case", flat=True).distinct().order_by("case"))


class MadeHereSerializer(serializers.Serializer[Any]):
    """Figures that people have judged on slides, on how many slides, by how many people."""

    mitotic = serializers.IntegerField()
    non_mitotic = serializers.IntegerField()
    slides = serializers.IntegerField()
    people = serializers.IntegerField()


class LabelledSetViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[LabelledSet]
):
    """Labelled frames from files."""

    serializer_class = LabelledSetSerializer
    queryset = LabelledSet.objects.select_related("job")
    parser_classes = [MultiPartParser]

    @extend_schema(request={"multipart/form-data": SetImportSerializer}, responses={202: LabelledSetSerializer})
    def create(self, request: Request) -> Response:
        """Take a zip; a worker reads it."""
        sent = checked(SetImportSerializer, request.data)
        made = set_import_upload(name=sent["name"], file=sent["file"], by=self.person)
        return Response(LabelledSetSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=MadeHereSerializer)
    @action(detail=False, url_path="made-here", pagination_class=None)
    def made_here(self, request: Request) -> Response:
        """What was labelled here: verdicts on slides, which a training learns from unless `verdicts` is false."""
        return Response(MadeHereSerializer(labels_made_here()).data)


class CaseNameSerializer(serializers.Serializer[Any]):
    """Which case."""

    name = serializers.CharField(max_length=200)


class LockedCaseSerializer(serializers.ModelSerializer[LockedCase]):
    """A case that never trains."""

    class Meta:
        model = LockedCase
        fields = ["id", "name", "at", "used_at"]


class LockedCaseViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[LockedCase]
):
    """The locked test split."""

    serializer_class = LockedCaseSerializer
    queryset = LockedCase.objects.all()

    @extend_schema(request=CaseNameSerializer, responses={201: LockedCaseSerializer})
    def create(self, request: Request) -> Response:
        """Lock a case."""
        case = case_lock(name=checked(CaseNameSerializer, request.data)["name"], by=self.person)
        return Response(LockedCaseSerializer(case).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: LockedCase) -> None:
        case_unlock(case=instance)


class FreeSlideSerializer(serializers.ModelSerializer[MitosisFreeSlide]):
    """A slide that a person says is without mitoses."""

    class Meta:
        model = MitosisFreeSlide
        fields = ["id", "slide", "at"]


class SlideIdSerializer(serializers.Serializer[Any]):
    """Which slide."""

    slide = serializers.UUIDField()


class FreeSlideViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[MitosisFreeSlide]
):
    """Slides without mitoses: versions are judged by what they detect on them, too."""

    serializer_class = FreeSlideSerializer
    queryset = MitosisFreeSlide.objects.all()

    @extend_schema(request=SlideIdSerializer, responses={201: FreeSlideSerializer})
    def create(self, request: Request) -> Response:
        """Say that a slide is without mitoses; its case is locked."""
        slide = get_object_or_404(Slide, pk=checked(SlideIdSerializer, request.data)["slide"])
        made = free_slide_add(slide=slide, by=self.person)
        return Response(FreeSlideSerializer(made).data, status=status.HTTP_201_CREATED)


class MiningRequestSerializer(serializers.Serializer[Any]):
    """Slides by id; or those that are unlabelled, of a study, that match, at most so many."""

    slides = serializers.ListField(child=serializers.UUIDField(), required=False)
    study = serializers.IntegerField(required=False)
    matching = serializers.DictField(
        child=serializers.CharField(allow_blank=True),
        required=False,
        help_text="As in the list of slides: search, case, scanner, since, until, min_count, max_count.",
    )
    most = serializers.IntegerField(min_value=1, required=False, help_text="At most so many of them.")
    model = serializers.UUIDField(required=False, help_text="The active version by default.")
    first_look = serializers.FloatField(default=0.5)
    agreement = serializers.FloatField(default=0.8)


class EstimateSerializer(serializers.Serializer[Any]):
    """What a mining will cost. seconds: null where nothing like it was measured here yet."""

    slides = serializers.IntegerField()
    tissue_mm2 = serializers.FloatField()
    seconds = serializers.FloatField(allow_null=True)
    rests_on = serializers.CharField()


class PrecisionSerializer(serializers.Serializer[Any]):
    """Precision among the samples drawn by chance, with its 95 % interval; fit: null where not known."""

    judged = serializers.IntegerField()
    mitotic = serializers.IntegerField()
    of = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    interval = serializers.ListField(child=serializers.FloatField())
    fit = serializers.BooleanField(allow_null=True)
    sentence = serializers.CharField()


class MiningRunSerializer(serializers.ModelSerializer[MiningRun]):
    """A mining run with its precision as it is known now."""

    job = JobSerializer()
    samples = serializers.IntegerField(source="samples.count")
    precision = serializers.SerializerMethodField()

    class Meta:
        model = MiningRun
        fields = ["id", "model", "first_look", "agreement", "at", "job", "samples", "precision"]

    @extend_schema_field(PrecisionSerializer)
    def get_precision(self, run: MiningRun) -> Any:
        return PrecisionSerializer(precision_of(run=run)).data


class MinedSampleSerializer(serializers.ModelSerializer[MinedSample]):
    """x, y: level-0 pixels. scores: under each of the eight transformations."""

    class Meta:
        model = MinedSample
        fields = ["id", "slide", "x", "y", "scores", "least", "verdict", "verdict_at", "rejected"]


class SampleVerdictSerializer(serializers.Serializer[Any]):
    """What a sample is."""

    sample = serializers.IntegerField()
    label = serializers.ChoiceField(Label.choices, allow_blank=True)  # type: ignore[assignment]


class RejectSerializer(serializers.Serializer[Any]):
    """One of the three."""

    sample = serializers.IntegerField(required=False)
    slide = serializers.UUIDField(required=False)
    below = serializers.FloatField(required=False)


class ChangedSerializer(serializers.Serializer[Any]):
    """How many samples were changed."""

    changed = serializers.IntegerField()


class MiningRunViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[MiningRun]
):
    """Mining of unlabelled slides."""

    serializer_class = MiningRunSerializer
    queryset = MiningRun.objects.select_related("job", "model")

    @extend_schema(request=MiningRequestSerializer, responses={202: MiningRunSerializer})
    def create(self, request: Request) -> Response:
        """Mine slides."""
        sent = checked(MiningRequestSerializer, request.data)
        model = get_object_or_404(ModelVersion, pk=sent["model"]) if sent.get("model") else None
        run = mining_request(
            slides=_slides(sent, self.person), by=self.person, model=model, first_look=sent["first_look"],
            agreement=sent["agreement"],
        )  # fmt: skip
        return Response(MiningRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=MiningRequestSerializer, responses=EstimateSerializer)
    @action(detail=False, methods=["post"])
    def estimate(self, request: Request) -> Response:
        """What it would cost; nothing is begun."""
        slides = _slides(checked(MiningRequestSerializer, request.data), self.person)
        return Response(EstimateSerializer(estimate_of(slides=slides)).data)

    @extend_schema(responses=MinedSampleSerializer(many=True))
    @action(detail=True)
    def samples(self, request: Request, pk: str) -> Response:
        """All samples, surest first."""
        return _page(self, self.get_object().samples.all(), MinedSampleSerializer)

    @extend_schema(responses=MinedSampleSerializer(many=True))
    @action(detail=True)
    def drawn(self, request: Request, pk: str) -> Response:
        """The samples drawn by chance, which a person judges for the precision."""
        return _page(self, samples_to_judge(run=self.get_object()), MinedSampleSerializer)

    @extend_schema(request=SampleVerdictSerializer, responses=PrecisionSerializer)
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, pk: str) -> Response:
        """Say what a sample is; the answer is the precision as it is known then."""
        run, sent = self.get_object(), checked(SampleVerdictSerializer, request.data)
        sample = get_object_or_404(MinedSample, run=run, pk=sent["sample"])
        mined_sample_judge(sample=sample, label=sent["label"], by=self.person)
        return Response(PrecisionSerializer(precision_of(run=run)).data)

    @extend_schema(request=RejectSerializer, responses=ChangedSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Leave out one sample, those of a slide, or those below a score."""
        sent = checked(RejectSerializer, request.data)
        return Response({"changed": mined_samples_reject(run=self.get_object(), by=self.person, **sent)})

    @extend_schema(request=None, responses=ChangedSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Take back all rejections."""
        return Response({"changed": mined_samples_restore(run=self.get_object())})


class TrainingRequestSerializer(serializers.Serializer[Any]):
    """What to learn from, and how. plan: see the page; what it leaves out is that of the plan `short`."""

    name = serializers.CharField(max_length=100)
    sets = serializers.ListField(child=serializers.UUIDField(), default=list)
    cases = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Of the sets; all by default."
    )
    verdicts = serializers.BooleanField(default=True, help_text="What people said of figures on slides, too.")
    mining = serializers.ListField(child=serializers.UUIDField(), default=list, help_text="Mining runs.")
    samples = serializers.ListField(child=serializers.IntegerField(), default=list, help_text="Single mined samples.")
    parent = serializers.UUIDField(  # type: ignore[assignment]  # a field called parent, as in the model
        required=False, help_text="Begin with its weights; from scratch by default."
    )
    plan = serializers.DictField(default=dict)


class AgainSerializer(serializers.Serializer[Any]):
    """What the new training is called."""

    name = serializers.CharField(max_length=100)


class TrainingSerializer(serializers.ModelSerializer[TrainingRun]):
    """A training with curve and log; its inputs are in the manifest."""

    job = JobSerializer()
    inputs = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRun
        fields = ["id", "name", "at", "job", "parent", "plan", "inputs", "manifest_sha256", "warnings", "curve", "log",
                  "version"]  # fmt: skip

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_inputs(self, training: TrainingRun) -> dict[str, Any]:
        manifest = training.manifest
        counts = {part: len(manifest[part]) for part in ("figures", "mined")}
        return {**counts, **{part: manifest[part] for part in ("sets", "train", "validation", "test")}}


class TrainingViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[TrainingRun]
):
    """Retraining. Stop and go on with the job's cancel and retry."""

    serializer_class = TrainingSerializer
    queryset = TrainingRun.objects.select_related("job")

    @extend_schema(request=TrainingRequestSerializer, responses={202: TrainingSerializer})
    def create(self, request: Request) -> Response:
        """Freeze what is to be learnt from, and train."""
        sent = checked(TrainingRequestSerializer, request.data)
        sets = [get_object_or_404(LabelledSet, pk=pk) for pk in sent["sets"]]
        mining = [get_object_or_404(MiningRun, pk=pk) for pk in sent["mining"]]
        parent = get_object_or_404(ModelVersion, pk=sent["parent"]) if sent.get("parent") else None
        training = training_request(
            by=self.person, name=sent["name"], sets=sets, cases=sent.get("cases"), verdicts=sent["verdicts"],
            mining=mining, samples=MinedSample.objects.filter(pk__in=sent["samples"]), plan=sent["plan"], parent=parent,
        )  # fmt: skip
        return Response(TrainingSerializer(training).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=AgainSerializer, responses={202: TrainingSerializer})
    @action(detail=True, methods=["post"])
    def again(self, request: Request, pk: str) -> Response:
        """The same training on the same inputs, without what has been removed since."""
        name = checked(AgainSerializer, request.data)["name"]
        made = training_again(training=self.get_object(), by=self.person, name=name)
        return Response(TrainingSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def manifest(self, request: Request, pk: str) -> Response:
        """Everything that it learns from, as it was frozen."""
        return Response(self.get_object().manifest)


class JudgementSerializer(serializers.ModelSerializer[Judgement]):
    """A version against the one that was active."""

    job = JobSerializer()

    class Meta:
        model = Judgement
        fields = ["id", "version", "active", "cases", "verdict", "why", "result", "at", "job"]


class ReasonSerializer(serializers.Serializer[Any]):
    """Why; kept with your name."""

    reason = serializers.CharField()


class RerunSerializer(serializers.Serializer[Any]):
    """Which slides to detect on again with this version."""

    slides = serializers.ListField(child=serializers.UUIDField())


class RerunAnswerSerializer(serializers.Serializer[Any]):
    """Jobs that were made, and slides that have none, with the reason."""

    jobs = serializers.ListField(child=serializers.UUIDField())
    refused = serializers.DictField(child=serializers.CharField())


class VersionActionsViewSet(_ForAdministrators, viewsets.GenericViewSet[ModelVersion]):
    """What administrators do with model versions."""

    serializer_class = ModelVersionSerializer
    queryset = ModelVersion.objects.all()

    @extend_schema(request=None, responses={202: JudgementSerializer})
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, pk: str) -> Response:
        """Judge against the active version on the locked cases."""
        judgement = judgement_request(version=self.get_object(), by=self.person)
        return Response(JudgementSerializer(judgement).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=JudgementSerializer(many=True))
    @action(detail=True)
    def judgements(self, request: Request, pk: str) -> Response:
        """How it was judged, the last one first."""
        return _page(self, self.get_object().judgements.select_related("job"), JudgementSerializer)

    @extend_schema(request=ReasonSerializer, responses=ModelVersionSerializer)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str) -> Response:
        """Make it the active version."""
        reason = checked(ReasonSerializer, request.data)["reason"]
        promotion = version_promote(version=self.get_object(), by=self.person, reason=reason)
        promotion.version.refresh_from_db()
        return Response(ModelVersionSerializer(promotion.version).data)

    @extend_schema(request=None, responses=ModelVersionSerializer)
    @action(detail=False, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request) -> Response:
        """The version that the last promotion replaced is the active one again."""
        version = version_roll_back(by=self.person).version
        version.refresh_from_db()
        return Response(ModelVersionSerializer(version).data)

    @extend_schema(request=RerunSerializer, responses={202: RerunAnswerSerializer})
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, pk: str) -> Response:
        """Detect on slides again with this version; earlier runs stay."""
        version, jobs, refused = self.get_object(), [], {}
        for slide in _slides(checked(RerunSerializer, request.data), self.person):
            try:
                jobs.append(detection_request(slide=slide, by=self.person, model=version).pk)
            except DomainError as error:
                refused[str(slide.pk)] = str(error)
        return Response({"jobs": jobs, "refused": refused}, status=status.HTTP_202_ACCEPTED)


class CardView(APIView):
    """Model cards; every signed-in person may read them, as results name the version."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: UUID) -> Response:
        """Everything that is on record about a version."""
        return Response(model_card(version=get_object_or_404(ModelVersion, pk=pk)))


class RemovalRequestSerializer(serializers.Serializer[Any]):
    """One slide, one person (by name) or one labelled set, and why."""

    slide = serializers.UUIDField(required=False)
    person = serializers.CharField(required=False)
    labelled_set = serializers.UUIDField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, default="")


class AffectedSerializer(serializers.Serializer[Any]):
    """What a removal affects."""

    what = serializers.CharField()
    verdicts = serializers.IntegerField()
    mined_samples = serializers.IntegerField()
    sets = serializers.ListField(child=serializers.CharField())
    trainings = serializers.ListField(child=serializers.CharField())
    versions = serializers.ListField(child=serializers.CharField())
    active = serializers.CharField(allow_null=True)
    mining_runs = serializers.ListField(child=serializers.CharField())
    runs = serializers.IntegerField()


class RemovedSerializer(AffectedSerializer):
    """What was removed, and what that affects."""

    id = serializers.IntegerField()


class RemovalSerializer(serializers.ModelSerializer[Removal]):
    """One slide, person or labelled set that no training uses; ended_at: when that was taken back."""

    person = serializers.CharField(source="person.username", default=None, allow_null=True)
    by = serializers.CharField(source="by.username", default=None, allow_null=True)

    class Meta:
        model = Removal
        fields = ["id", "slide", "person", "labelled_set", "reason", "by", "at", "ended_at"]


class RemovalViewSet(
    _ForAdministrators, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Removal]
):
    """Removing a slide, a person's work or a set, and everything made from it, from what is learnt from."""

    serializer_class = RemovalSerializer
    queryset = Removal.objects.select_related("person", "by")

    @extend_schema(request=RemovalRequestSerializer, responses={201: RemovedSerializer})
    def create(self, request: Request) -> Response:
        """Remove it; the answer is what is affected."""
        subject, reason = _subject(checked(RemovalRequestSerializer, request.data))
        removal = removal_make(by=self.person, reason=reason, **subject)
        answer = {"id": removal.pk, **affected_in_words(removal=removal)}
        return Response(RemovedSerializer(answer).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: Removal) -> None:
        """Take it back: the next training may use it again. The record of it stays."""
        removal_end(removal=instance)

    @extend_schema(parameters=[RemovalRequestSerializer], responses=AffectedSerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def affected(self, request: Request) -> Response:
        """What a removal would affect; nothing is changed."""
        subject, _ = _subject(checked(RemovalRequestSerializer, request.query_params))
        return Response(AffectedSerializer(affected_in_words(removal=Removal(**subject))).data)


def _subject(sent: dict[str, Any]) -> tuple[dict[str, Any], str]:
    subject = {
        "slide": get_object_or_404(Slide, pk=sent["slide"]) if sent.get("slide") else None,
        "person": get_object_or_404(User, username=sent["person"]) if sent.get("person") else None,
        "labelled_set": get_object_or_404(LabelledSet, pk=sent["labelled_set"]) if sent.get("labelled_set") else None,
    }
    return subject, sent["reason"]


def _page(view: viewsets.GenericViewSet[Any], rows: QuerySet[Any], serializer: type[Any]) -> Response:
    page = view.paginate_queryset(rows)
    return view.get_paginated_response(serializer(page, many=True).data)


def _slides(sent: dict[str, Any], by: User) -> list[Slide]:
    """Those that are named, else the unlabelled ones that are asked for."""
    if "slides" in sent or not ("study" in sent or "matching" in sent):
        return list(Slide.objects.filter(pk__in=sent.get("slides", [])).select_related("case").order_by("name", "pk"))
    study = get_object_or_404(Study, pk=sent["study"]) if "study" in sent else None
    filters = Filters.of(sent.get("matching", {}))
    rows = slides_filtered(
        slides=slides_unlabelled(study=study), user=by, filters=filters, min_score=settings.DEFAULT_MIN_SCORE
    )
    return list(rows[: sent["most"]] if "most" in sent else rows)
