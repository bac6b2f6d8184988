"""Blinded readings: what you read, who reads a slide, what readers disagree on, and how well they agree."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.annotations.models import Figure, Label
from webapp.api.described import serializer_of
from webapp.api.idempotency import Idempotent
from webapp.api.lookup import validated
from webapp.api.review import ReviewView
from webapp.core.errors import InvalidInput
from webapp.readings.selectors import Agreement, Together, agreements, disputes_of, read_slides, readings_of
from webapp.readings.services import MOST_WASH_OUT, reading_finish, reading_open, readings_begin, readings_end
from webapp.slides.models import Reading, Slide, Study, Viewer
from webapp.slides.roles import Right, demand, demand_on

_AGREEMENT, _TOGETHER = serializer_of(Agreement), serializer_of(Together)


class ReadingSerializer(serializers.ModelSerializer[Reading]):
    """A reading. copy: the slide that you judge on; null before you open it, for other people, and when it is over.

    opens_at: null until the round before it is done. over_at: when all readings of the slide were.
    """

    reader = serializers.CharField(source="reader.username")
    copy = serializers.SerializerMethodField()

    class Meta:
        model = Reading
        fields = [
            "id",
            "slide",
            "reader",
            "round",
            "place",
            "shows_candidates",
            "opens_at",
            "done_at",
            "over_at",
            "copy",
        ]

    def get_copy(self, reading: Reading) -> UUID | None:
        """Of the reader's own alone."""
        user = self.context["request"].user
        return reading.copy_id if reading.reader_id == user.pk else None


class ReadersSerializer(serializers.Serializer[Any]):
    """Who reads, and whether the detector's candidates are shown; as the study says by default."""

    readers = serializers.ListField(child=serializers.CharField(), help_text="Names to sign in, two or more.")
    shows_candidates = serializers.BooleanField(required=False)


class ReaderStudySerializer(serializers.Serializer[Any]):
    """Slides and readers. rounds: how often each reads each slide, and whether the candidates are shown then."""

    slides = serializers.ListField(child=serializers.UUIDField(), min_length=1)
    readers = serializers.ListField(child=serializers.CharField())
    rounds = serializers.ListField(
        child=serializers.BooleanField(), min_length=1, max_length=4, required=False, help_text="[false, true] is two."
    )
    wash_out_days = serializers.IntegerField(min_value=0, max_value=MOST_WASH_OUT, default=0)
    shuffled = serializers.BooleanField(default=False, help_text="Each reader has the slides in a random order.")


class DisputeSerializer(serializers.Serializer[Any]):
    """A figure that blinded readers disagree on. said: their verdicts; who is not in it has marked nothing there."""

    class SaidSerializer(serializers.Serializer[Any]):
        """One reader's verdict."""

        by = serializers.CharField(source="by.username")
        label = serializers.ChoiceField(Label.choices)  # type: ignore[assignment]  # a field called label, as in the model

    id = serializers.UUIDField()
    slide = serializers.UUIDField(source="slide_id")
    x = serializers.FloatField()
    y = serializers.FloatField()
    version = serializers.IntegerField(help_text="To be sent as `expected` with the verdict that settles it.")
    said = SaidSerializer(many=True)


class AgreementsSerializer(serializers.Serializer[Any]):
    """Of every two readers, the AI as one of them, and of all people together (Fleiss)."""

    pairs = _AGREEMENT(many=True)
    together = _TOGETHER()


class ReadingViewSet(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[Reading]):
    """What you read blinded, in the order to read it."""

    serializer_class = ReadingSerializer
    queryset = Reading.objects.none()

    def get_queryset(self) -> QuerySet[Reading]:
        return readings_of(self.request.user).select_related("reader")

    @extend_schema(request=None, responses=ReadingSerializer)
    @action(detail=True, methods=["post"])
    def open(self, request: Request, pk: str) -> Response:
        """Make your copy of the slide, where it is its turn; `copy` is then the slide that you judge on."""
        reading_open(reading=self.get_object())
        return Response(self.get_serializer(self.get_object()).data)


class SlideReadingsView(ReviewView):
    """The blinded readings of a slide."""

    @extend_schema(responses=ReadingSerializer(many=True), operation_id="slides_readings_list")
    def get(self, request: Request, pk: UUID) -> Response:
        """Who reads it and who is done. Verdicts and counts come when all are."""
        return self._readings(self.slide(request, pk))

    @extend_schema(request=ReadersSerializer, responses={201: ReadingSerializer(many=True)})
    def post(self, request: Request, pk: UUID) -> Response:
        """Have it read blinded by two people or more, for managers; each sees it as a slide of their own."""
        slide = self.slide(request, pk)
        demand_on(Right.MANAGE, slide, request.user)
        sent = validated(ReadersSerializer, request.data)
        shows = sent.get("shows_candidates", not Study.objects.get(pk=slide.case.study_id).candidates_hidden)
        readings_begin(slides=[slide], readers=people(sent["readers"]), by=cast(User, request.user), rounds=[shows])
        return self._readings(slide, status.HTTP_201_CREATED)

    @extend_schema(responses={204: None}, operation_id="slides_readings_end")
    def delete(self, request: Request, pk: UUID) -> Response:
        """End its readings now, for managers: what was judged comes together on the slide."""
        studies = Study.objects.visible_to(request.user)
        slide: Slide = get_object_or_404(Slide.objects.filter(case__study__in=studies).select_related("case"), pk=pk)
        readings_end(slide=slide, by=cast(User, request.user))  # one that the manager reads, too
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _readings(self, slide: Slide, answer: int = status.HTTP_200_OK) -> Response:
        found = Reading.objects.filter(slide=slide.original_id or slide.pk).select_related("reader")
        return Response(ReadingSerializer(found, many=True, context={"request": self.request}).data, status=answer)


class ReadingDoneView(ReviewView):
    """The end of your reading of a slide."""

    @extend_schema(request=None, responses=ReadingSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """You are done with your copy of a slide: your verdicts stand. When all readers are done they come together."""
        reading = reading_finish(copy=self.slide(request, pk), by=cast(User, request.user))
        return Response(ReadingSerializer(reading, context={"request": request}).data)


class StudyReadingsView(Idempotent):
    """The blinded readings of a study."""

    @extend_schema(responses=AgreementsSerializer, operation_id="studies_readings_agreement")
    def get(self, request: Request, pk: int) -> Response:
        """How well readers agree on the slides whose readings are over."""
        pairs, together = agreements(read_slides(slides=slides_seen(request.user, self._study(request, pk))))
        return Response(AgreementsSerializer({"pairs": pairs, "together": together}).data)

    @extend_schema(request=ReaderStudySerializer, responses={201: ReadingSerializer(many=True)})
    def post(self, request: Request, pk: int) -> Response:
        """Have slides read blinded, for managers: a reader study, with rounds, wash-out and random order."""
        study = self._study(request, pk)
        demand(Right.MANAGE, user=request.user, study=study.pk)
        sent = validated(ReaderStudySerializer, request.data)
        made = reader_study(study, by=cast(User, request.user), **sent)
        data = ReadingSerializer(made, many=True, context={"request": request}).data
        return Response(data, status=status.HTTP_201_CREATED)

    def _study(self, request: Request, pk: int) -> Study:
        study: Study = get_object_or_404(Study.objects.visible_to(request.user), pk=pk)
        return study


class DisagreementsView(StudyReadingsView):
    """What blinded readers disagree on."""

    http_method_names = ["get", "head", "options"]

    @extend_schema(responses=DisputeSerializer(many=True), operation_id="studies_disagreements")
    def get(self, request: Request, pk: int) -> Response:
        """The figures that wait for somebody else's verdict, or one of the readers together (`together=true`)."""
        found: QuerySet[Figure] = disputes_of(slides=slides_seen(request.user, self._study(request, pk)))
        return Response(DisputeSerializer(found, many=True).data)


def slides_seen(user: Viewer, study: Study) -> QuerySet[Slide]:
    """The slides of a study that a person sees, without copies."""
    return Slide.objects.visible_to(user).filter(case__study=study, original=None)


def people(names: list[str]) -> list[User]:
    """The people of these names. Raises InvalidInput where there is none."""
    found = {user.get_username(): user for user in User.objects.filter(username__in=names, is_active=True)}
    if missing := sorted(set(names) - found.keys()):
        raise InvalidInput(f"Nobody here is called {', '.join(missing)}.")
    return [found[name] for name in names]


def reader_study(
    study: Study, *, by: User, slides: list[UUID], readers: list[str], rounds: list[bool] | None = None, **more: Any
) -> list[Reading]:
    """Begin the readings that a form or a call asks for. Raises InvalidInput for a slide that is not in the study."""
    chosen = list(slides_seen(by, study).filter(pk__in=slides).select_related("case__study"))
    if len(chosen) != len(set(slides)):
        raise InvalidInput("Some of these slides are not in this study, or you read them yourself.")
    shown = rounds if rounds is not None else [not study.candidates_hidden]
    return readings_begin(slides=chosen, readers=people(readers), by=by, rounds=shown, **more)
