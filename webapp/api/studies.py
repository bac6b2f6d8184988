"""Studies: what slides are uploaded into and exported by, and who is in them."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.idempotency import Idempotent
from webapp.api.lookup import validated
from webapp.core.errors import InvalidInput, NotAllowed
from webapp.results.question import SHAPES
from webapp.slides.models import Membership, Study
from webapp.slides.roles import Right, demand
from webapp.slides.studies import member_put, member_remove, study_change, study_create


class StudySerializer(serializers.ModelSerializer[Study]):
    """A study. rule, area_mm2, shape: how it counts where nothing else is asked for; empty: as the laboratory does."""

    class Meta:
        model = Study
        fields = [
            "id", "name", "created_at", "rule", "area_mm2", "shape", "deleted_reports", "reading", "candidates_hidden",
            "atypical",
        ]  # fmt: skip


class StudyChangeSerializer(serializers.Serializer[Any]):
    """What may be changed of a study."""

    name = serializers.CharField(required=False, max_length=200)
    rule = serializers.CharField(required=False, allow_blank=True, help_text="Id of a rule; empty: the laboratory's.")
    area_mm2 = serializers.FloatField(
        required=False, allow_null=True, min_value=0.0001, max_value=100, help_text="Null: the rule's, or 2."
    )
    shape = serializers.ChoiceField(choices=SHAPES, required=False, allow_blank=True)

    deleted_reports = serializers.ChoiceField(
        choices=Study.DeletedReports.choices, required=False, help_text="What becomes of reports of deleted patients."
    )

    reading = serializers.ChoiceField(
        choices=Study.ReadingMode.choices, required=False, help_text="Who judges a slide."
    )
    candidates_hidden = serializers.BooleanField(
        required=False, help_text="Whether blinded readers see nothing of the detector's."
    )

    atypical = serializers.BooleanField(
        required=False, help_text="Whether atypical mitotic figures are told and counted."
    )

    def validate_rule(self, rule: str) -> str:
        """Refuse a rule that is not there."""
        if rule and rule not in settings.SCORE_RULES:
            raise serializers.ValidationError(f"There is no such rule; there are {', '.join(settings.SCORE_RULES)}.")
        return rule


class StudyMakeSerializer(StudyChangeSerializer):
    """A new study; you are its first manager."""

    name = serializers.CharField(max_length=200)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A person in a study."""

    username = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Membership
        fields = ["username", "role"]


class StudyViewSet(Idempotent, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Study]):
    """Studies that you are a member of."""

    serializer_class = StudySerializer
    queryset = Study.objects.none()

    def get_queryset(self) -> QuerySet[Study]:
        studies: QuerySet[Study] = Study.objects.visible_to(self.request.user)
        return studies

    @property
    def _person(self) -> User:
        return cast(User, self.request.user)

    @extend_schema(request=StudyMakeSerializer, responses={201: StudySerializer})
    def create(self, request: Request) -> Response:
        """Make a study, for who may add studies; you are its first manager."""
        if not self._person.has_perm("slides.add_study"):
            raise NotAllowed("You may not make studies; ask an administrator.")
        study = study_create(manager=self._person, **validated(StudyMakeSerializer, request.data))
        return Response(StudySerializer(study).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=StudyChangeSerializer, responses=StudySerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change its name or how it counts, for its managers."""
        changes = validated(StudyChangeSerializer, request.data)
        return Response(StudySerializer(study_change(study=self.get_object(), by=self._person, **changes)).data)

    @extend_schema(responses=MemberSerializer(many=True), filters=False, parameters=[])
    @action(detail=True, pagination_class=None)
    def members(self, request: Request, pk: str) -> Response:
        """Who is in the study, by name."""
        rows = Membership.objects.filter(study=self.get_object()).select_related("user").order_by("user__username")
        return Response(MemberSerializer(rows, many=True).data)

    @extend_schema(methods=["PUT"], request=MemberSerializer, responses=MemberSerializer)
    @extend_schema(methods=["DELETE"], responses={204: None})
    @action(detail=True, methods=["put", "delete"], url_path="members/(?P<username>[^/]+)")
    def member(self, request: Request, pk: str, username: str) -> Response:
        """Add a person or change the role (PUT), or take a person out of the study (DELETE), for its managers."""
        study = self.get_object()
        demand(Right.MANAGE, user=self._person, study=study.pk)  # before it is told who there is
        if request.method == "DELETE":
            user = get_object_or_404(User, username=username, memberships__study=study)
            member_remove(study=study, user=user, by=self._person)
            return Response(status=status.HTTP_204_NO_CONTENT)
        role = validated(MemberSerializer, request.data).get("role")
        if not (found := User.objects.filter(username=username, is_active=True).first()):
            raise InvalidInput(f"No person is called {username}.")
        return Response(MemberSerializer(member_put(study=study, user=found, role=role, by=self._person)).data)
