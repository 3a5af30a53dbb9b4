"""Projects: list, found, read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import account_of, may_found, project_for, projects_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import PAGE_PARAMETERS, paged
from annotation.founding import found_project
from annotation.models import Project, Scale


class ProjectOutput(serializers.ModelSerializer[Project]):
    guideline_version = serializers.IntegerField(
        source="guideline.version", default=None, allow_null=True, read_only=True
    )

    class Meta:
        model = Project
        fields = [
            "id",
            "slug",
            "name",
            "description",
            "question",
            "state",
            "scale",
            "allow_tie",
            "allow_both_bad",
            "overlap",
            "rationale_policy",
            "shortest_reason",
            "tags",
            "lease_minutes",
            "guideline_version",
            "created_at",
        ]


class ProjectPage(serializers.Serializer[Any]):
    results = ProjectOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class ProjectInput(Input):
    name = serializers.CharField(max_length=120)
    slug = serializers.SlugField(max_length=60, required=False)
    description = serializers.CharField(max_length=5000, required=False, allow_blank=True)
    question = serializers.CharField(max_length=200, required=False)
    scale = serializers.ChoiceField(choices=Scale.choices, required=False)
    overlap = serializers.IntegerField(min_value=1, max_value=50, required=False)


class Projects(APIView):
    @extend_schema(
        operation_id="projects_list", parameters=PAGE_PARAMETERS, responses={200: ProjectPage, 400: ErrorOutput}
    )
    def get(self, request: Request) -> Response:
        """The projects in which you have a seat."""
        return paged(request, projects_for(request.user).select_related("guideline"), ProjectOutput)

    @extend_schema(
        operation_id="projects_found",
        request=ProjectInput,
        responses={201: ProjectOutput, 400: ErrorOutput, 403: ErrorOutput},
    )
    def post(self, request: Request) -> Response:
        """Found a project; you become its lead."""
        if not may_found(request.user):
            raise PermissionDenied("Projects are founded by people who lead one and by site admins. Ask one of them.")
        given = ProjectInput(data=request.data)
        given.is_valid(raise_exception=True)
        project = found_project(actor=account_of(request), **given.validated_data)
        return Response(ProjectOutput(project).data, status=status.HTTP_201_CREATED)


class OneProject(APIView):
    @extend_schema(operation_id="projects_read", responses={200: ProjectOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str) -> Response:
        """One project."""
        return Response(ProjectOutput(project_for(request.user, slug)).data)
