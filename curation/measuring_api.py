"""Measurements over the API: asking for any measure, with the settings that the command takes."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import account_of, project_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.runs import RunOutput
from annotation.models import Role
from annotation.running import MOST_SEED
from curation import measuring
from curation.criteria import parse_all
from curation.voices import Voices

KINDS = ("person", "judge", "all")


class MeasureInput(Input):
    measure = serializers.ChoiceField(choices=[*measuring.MEASURES])
    settings = serializers.DictField(
        child=serializers.CharField(max_length=300, allow_blank=True),
        required=False,
        help_text="Of the measure, by name, as `--set` takes them. Left out: the usual ones.",
    )
    kind = serializers.ChoiceField(
        choices=KINDS, required=False, help_text="Whose judgements. By default the measure's."
    )
    annotators = serializers.ListField(
        child=serializers.CharField(max_length=200),
        required=False,
        max_length=100,
        help_text="Only annotators whose name begins with one of these.",
    )
    where = serializers.ListField(
        child=serializers.CharField(max_length=400),
        required=False,
        max_length=100,
        help_text="Only pairs that meet all criteria: agreement>=0.66, tag=code.",
    )
    seed = serializers.IntegerField(min_value=0, max_value=MOST_SEED, default=0)


class Measuring(APIView):
    @extend_schema(
        operation_id="measurements_ask",
        request=MeasureInput,
        responses={202: RunOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask a worker for a measurement. Read the run to learn when it is done, and its measurements."""
        project = project_for(request.user, slug, role=Role.LEAD)
        given = MeasureInput(data=request.data)
        given.is_valid(raise_exception=True)
        sent = given.validated_data
        kind_of = measuring.MEASURES[sent["measure"]].request
        asked = kind_of(
            voices=Voices(kind=sent.get("kind") or kind_of().voices.kind, prefixes=tuple(sent.get("annotators", ()))),
            where=tuple(parse_all(sent.get("where", []))),
            **measuring.parse_settings(kind_of, [f"{key}={value}" for key, value in sent.get("settings", {}).items()]),
        )
        run = measuring.request_measurement(project=project, asked=asked, actor=account_of(request), seed=sent["seed"])
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


urlpatterns = [path("projects/<slug:slug>/measurements", Measuring.as_view(), name="api_measure")]
