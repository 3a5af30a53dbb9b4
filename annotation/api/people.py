"""Who judges in a project, for its leads: list, close and open a place, see and withdraw invitations.

A role is changed on the page only, which asks for the password again.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import inviting
from annotation.access import account_of, annotator_for, invitation_for, project_for
from annotation.api.errors import ErrorOutput
from annotation.api.paging import PAGE_PARAMETERS, paged
from annotation.models import Annotator, Role

REFUSED = {400: ErrorOutput, 404: ErrorOutput}


class PersonOutput(serializers.ModelSerializer[Annotator]):
    email = serializers.EmailField(
        source="user.email", default=None, allow_null=True, help_text="Of those who have an account."
    )

    class Meta:
        model = Annotator
        fields = [
            "id",
            "name",
            "email",
            "kind",
            "role",
            "is_active",
            "is_simulated",
            "external_id",
            "model",
            "revision",
            "prompt_version",
            "created_at",
        ]


class PeoplePage(serializers.Serializer[Any]):
    results = PersonOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class People(APIView):
    @extend_schema(
        operation_id="people_list",
        parameters=PAGE_PARAMETERS,
        responses={200: PeoplePage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Members, annotators that came with a file, and judges; also those whose place is closed."""
        project = project_for(request.user, slug, role=Role.LEAD)
        return paged(request, Annotator.objects.filter(project=project).select_related("user"), PersonOutput)


class ClosePlace(APIView):
    @extend_schema(operation_id="people_close", request=None, responses={200: PersonOutput, **REFUSED})
    def post(self, request: Request, slug: str, annotator_id: int) -> Response:
        """Close a place: its open pairs go back to the queue, its judgements stay."""
        annotator = annotator_for(request.user, slug, annotator_id)
        closed = inviting.deactivate(annotator=annotator, actor=account_of(request))
        return Response(PersonOutput(closed).data)


class OpenPlace(APIView):
    @extend_schema(operation_id="people_open", request=None, responses={200: PersonOutput, **REFUSED})
    def post(self, request: Request, slug: str, annotator_id: int) -> Response:
        """Open a place that was closed."""
        annotator = annotator_for(request.user, slug, annotator_id)
        opened = inviting.reactivate(annotator=annotator, actor=account_of(request))
        return Response(PersonOutput(opened).data)


class OneInvitation(APIView):
    @extend_schema(operation_id="invitations_withdraw", responses={204: None, **REFUSED})
    def delete(self, request: Request, slug: str, invitation_id: int) -> Response:
        """Withdraw an invitation: its link lets nobody in any more."""
        inviting.withdraw(invitation=invitation_for(request.user, slug, invitation_id), actor=account_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
