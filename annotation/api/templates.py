"""Templates: what judges are asked, how reasons are asked for, what system messages are drawn from. Read every version,
write the next one.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import phrasing
from annotation.access import account_of, project_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import refuse_unknown
from annotation.models import Role
from annotation.phrasing import KINDS
from annotation.reasoning import LONGEST_TEMPLATE


class TemplateOutput(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=list(KINDS))
    name = serializers.CharField()
    version = serializers.IntegerField(source="number")
    label = serializers.CharField(  # type: ignore[assignment]
        help_text="How runs, judges and rationales name this version."
    )
    parts = serializers.DictField(
        child=serializers.CharField(allow_blank=True), help_text="The texts, with their places in braces."
    )
    is_built_in = serializers.BooleanField()
    is_open = serializers.BooleanField(help_text="Of a rationale: it does not give the verdict away.")
    created_at = serializers.DateTimeField(allow_null=True, help_text="Null: built in.")


class TemplateList(serializers.Serializer[Any]):
    results = TemplateOutput(many=True)


class TemplateFilter(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=list(KINDS), required=False)
    name = serializers.CharField(max_length=40, required=False)


class TemplateInput(Input):
    kind = serializers.ChoiceField(choices=list(KINDS))
    name = serializers.CharField(max_length=40)
    parts = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=LONGEST_TEMPLATE),
        help_text="judge: system, user, system_overall, user_overall. rationale: text. value: text.",
    )


class Templates(APIView):
    @extend_schema(
        operation_id="templates_list",
        parameters=[TemplateFilter],
        responses={200: TemplateList, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Every version of the project's templates, those that are built in among them; the newest of each first."""
        project = project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known={"kind", "name"})
        asked = TemplateFilter(data=request.query_params)
        asked.is_valid(raise_exception=True)
        kinds = [asked.validated_data["kind"]] if "kind" in asked.validated_data else list(KINDS)
        name = asked.validated_data.get("name", "")
        found = [one for kind in kinds for one in phrasing.versions_of(project=project, kind=kind, name=name)]
        return Response({"results": TemplateOutput(found, many=True).data})

    @extend_schema(
        operation_id="templates_publish",
        request=TemplateInput,
        responses={201: TemplateOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Write the next version of a template, or the first one under a new name. New runs use it."""
        project = project_for(request.user, slug, role=Role.LEAD)
        given = TemplateInput(data=request.data)
        given.is_valid(raise_exception=True)
        row = phrasing.publish(project=project, actor=account_of(request), **given.validated_data)
        kind = given.validated_data["kind"]
        made = phrasing.version_of(project=project, kind=kind, reference=str(row))
        return Response(TemplateOutput(made).data, status=status.HTTP_201_CREATED)
