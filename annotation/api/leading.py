"""What a lead does to a project: its settings, its state, its guideline, invitations. The verbs of the pages."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import founding, guiding, inviting
from annotation.access import account_of, project_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import PAGE_PARAMETERS, paged
from annotation.api.projects import ProjectOutput
from annotation.models import Guideline, GuidelinePrinciple, Invitation, Project, Role, Scale

REFUSED = {400: ErrorOutput, 404: ErrorOutput}


class SettingsInput(Input):
    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=5000, required=False, allow_blank=True)
    question = serializers.CharField(max_length=200, required=False)
    scale = serializers.ChoiceField(choices=Scale.choices, required=False, help_text="Only before pairs are judged.")
    allow_tie = serializers.BooleanField(required=False)
    allow_both_bad = serializers.BooleanField(required=False)
    allow_edits = serializers.BooleanField(required=False)
    overlap = serializers.IntegerField(min_value=1, max_value=50, required=False)
    rationale_policy = serializers.ChoiceField(choices=Project.RationalePolicy.choices, required=False)
    shortest_reason = serializers.IntegerField(min_value=0, max_value=1_000, required=False)
    lease_minutes = serializers.IntegerField(min_value=1, max_value=1_440, required=False)
    task = serializers.ChoiceField(choices=Project.Task.choices, required=False)
    votes_policy = serializers.ChoiceField(
        choices=Project.VotesPolicy.choices, required=False, help_text="Votes principle by principle."
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=40),
        required=False,
        max_length=24,
        help_text="All of them, by label, in their order. A label that was there keeps its key.",
    )
    machine_reasons = serializers.ChoiceField(choices=Project.MachineReasons.choices, required=False)
    control_share = serializers.FloatField(
        min_value=0, max_value=0.9, required=False, help_text="Of the answers for which no machine's reason is shown."
    )
    gold_round = serializers.IntegerField(min_value=0, max_value=200, required=False)
    gold_pass = serializers.IntegerField(min_value=0, max_value=200, required=False)
    gold_rate = serializers.FloatField(min_value=0, max_value=0.5, required=False)
    shows_results = serializers.BooleanField(
        required=False, help_text="Whether annotators see how their own gold rounds went."
    )


class TagOutput(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]


class SettingsOutput(serializers.ModelSerializer[Project]):
    tags = TagOutput(many=True)

    class Meta:
        model = Project
        fields = ["slug", "state", *founding.SETTINGS]


class StateInput(Input):
    act = serializers.ChoiceField(choices=sorted({act for acts in founding.MOVES.values() for act in acts}))


class PrincipleInput(Input):
    short = serializers.CharField(max_length=100)
    text = serializers.CharField(max_length=2_000)


class GuidelineInput(Input):
    text = serializers.CharField(max_length=guiding.LONGEST_TEXT, help_text="In Markdown.")
    principles = PrincipleInput(many=True, required=False, default=[])
    priority_rules = serializers.ListField(
        child=serializers.CharField(max_length=500), required=False, default=[], max_length=guiding.MOST_PRINCIPLES
    )
    change_note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class PrincipleOutput(serializers.ModelSerializer[GuidelinePrinciple]):
    id = serializers.IntegerField(source="principle_id", help_text="Names the principle in votes and highlights.")
    short = serializers.CharField(source="principle.short")
    text = serializers.CharField(source="principle.text")

    class Meta:
        model = GuidelinePrinciple
        fields = ["id", "short", "text"]


class GuidelineOutput(serializers.ModelSerializer[Guideline]):
    principles = PrincipleOutput(source="places", many=True, help_text="In their order.")
    priority_rules = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Guideline
        fields = ["id", "version", "text", "principles", "priority_rules", "change_note", "created_at"]


class GuidelinePage(serializers.Serializer[Any]):
    results = GuidelineOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class InvitationInput(Input):
    role = serializers.ChoiceField(
        choices=[choice for choice in Role.choices if choice[0] != Role.LEAD],
        default=Role.ANNOTATOR,
        help_text="A lead is invited on the page, which asks for the password again.",
    )
    email = serializers.EmailField(required=False, allow_blank=True, default="")
    places = serializers.IntegerField(min_value=1, max_value=inviting.MOST_PLACES, default=1)
    days = serializers.IntegerField(min_value=1, max_value=inviting.MOST_DAYS, default=14)


class InvitationOutput(serializers.ModelSerializer[Invitation]):
    link = serializers.CharField(help_text="Shown this once: it is stored nowhere.")

    class Meta:
        model = Invitation
        fields = ["id", "role", "email", "places", "expires_at", "link"]


class InvitationSeen(serializers.ModelSerializer[Invitation]):
    class Meta:
        model = Invitation
        fields = ["id", "role", "email", "places", "taken", "created_at", "expires_at", "withdrawn_at"]


class InvitationPage(serializers.Serializer[Any]):
    results = InvitationSeen(many=True)
    next = serializers.IntegerField(allow_null=True)


def _given(request: Request, form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    given = form(data=request.data)
    given.is_valid(raise_exception=True)
    found: dict[str, Any] = given.validated_data
    return found


class Settings(APIView):
    @extend_schema(operation_id="projects_settings", responses={200: SettingsOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str) -> Response:
        """All settings of a project, for its leads."""
        return Response(SettingsOutput(project_for(request.user, slug, role=Role.LEAD)).data)

    @extend_schema(operation_id="projects_change", request=SettingsInput, responses={200: SettingsOutput, **REFUSED})
    def post(self, request: Request, slug: str) -> Response:
        """Change the settings that are named, and no others. Judgements that were given stay as they are."""
        project = project_for(request.user, slug, role=Role.LEAD)
        changes = _given(request, SettingsInput)
        if "tags" in changes:
            changes["tags"] = founding.read_tags("\n".join(changes["tags"]), existing=project.tags)
        changed = founding.change_settings(project=project, actor=account_of(request), **changes)
        return Response(SettingsOutput(changed).data)


class State(APIView):
    @extend_schema(operation_id="projects_move", request=StateInput, responses={200: ProjectOutput, **REFUSED})
    def post(self, request: Request, slug: str) -> Response:
        """Start, pause, resume, close or reopen judging."""
        project = project_for(request.user, slug, role=Role.LEAD)
        act = _given(request, StateInput)["act"]
        return Response(ProjectOutput(founding.move(project=project, act=act, actor=account_of(request))).data)


class Guidelines(APIView):
    @extend_schema(
        operation_id="guidelines_list",
        parameters=PAGE_PARAMETERS,
        responses={200: GuidelinePage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Every version of the guideline, with the numbers of its principles. The project names the one in force."""
        versions = Guideline.objects.filter(project=project_for(request.user, slug))
        return paged(request, versions.prefetch_related("places__principle"), GuidelineOutput)

    @extend_schema(
        operation_id="guidelines_publish", request=GuidelineInput, responses={201: GuidelineOutput, **REFUSED}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Publish the next version of the guideline and put it in force."""
        project = project_for(request.user, slug, role=Role.LEAD)
        given = _given(request, GuidelineInput)
        given["principles"] = [guiding.Entry(**one) for one in given["principles"]]
        guideline = guiding.publish_guideline(project=project, actor=account_of(request), **given)
        return Response(GuidelineOutput(guideline).data, status=status.HTTP_201_CREATED)


class Invitations(APIView):
    @extend_schema(
        operation_id="invitations_list",
        parameters=PAGE_PARAMETERS,
        responses={200: InvitationPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Every invitation that was made, without its link."""
        project = project_for(request.user, slug, role=Role.LEAD)
        return paged(request, Invitation.objects.filter(project=project), InvitationSeen)

    @extend_schema(
        operation_id="invitations_make", request=InvitationInput, responses={201: InvitationOutput, **REFUSED}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Make an invitation; its link is in the answer and nowhere else."""
        project = project_for(request.user, slug, role=Role.LEAD)
        given = _given(request, InvitationInput)
        invitation, token = inviting.invite(project=project, actor=account_of(request), **given)
        invitation.link = request.build_absolute_uri(reverse("join", args=[token]))  # type: ignore[attr-defined]
        return Response(InvitationOutput(invitation).data, status=status.HTTP_201_CREATED)
