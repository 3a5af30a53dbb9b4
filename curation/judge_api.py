"""The REST API of judges: how far each can be trusted, and how well strategies' labels hold."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import project_for
from annotation.api.errors import ErrorOutput
from annotation.models import Role
from curation.judges import contrast_reports, judge_reports
from curation.scenarios import WAYS


class FigureOutput(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(required=False, help_text="Why there is no value.")
    low = serializers.FloatField(required=False, allow_null=True, help_text="The 95 % interval.")
    high = serializers.FloatField(required=False, allow_null=True)
    n = serializers.IntegerField(help_text="What it rests on.")


class ScenarioOutput(serializers.Serializer[Any]):
    way = serializers.ChoiceField(choices=list(WAYS), help_text="By what the pairs were parted.")
    name = serializers.CharField()
    pairs = serializers.IntegerField(help_text="Judged overall.")
    figures = serializers.DictField(child=FigureOutput(), help_text="pairwise, best_of_n, order_consistency.")


class JudgeOutput(serializers.Serializer[Any]):
    judge = serializers.IntegerField()
    model = serializers.CharField()
    revision = serializers.CharField(allow_blank=True)
    template = serializers.CharField(allow_blank=True, help_text="With its version.")
    answers = serializers.IntegerField(help_text="Questions in both orders, principles among them.")
    pairs = serializers.IntegerField(help_text="Judged overall.")
    declined = serializers.IntegerField()
    figures = serializers.DictField(child=FigureOutput(), help_text="By name; docs/metrics.md says what each is.")
    scenarios = ScenarioOutput(many=True, help_text="The same of the pairs of one tag, source or language.")


class StrategyOutput(serializers.Serializer[Any]):
    strategy = serializers.CharField()
    pairs = serializers.IntegerField()
    contrast_accuracy = FigureOutput()


class JudgesOutput(serializers.Serializer[Any]):
    judges = JudgeOutput(many=True)
    strategies = StrategyOutput(many=True)


class Judges(APIView):
    @extend_schema(operation_id="judges_report", responses={200: JudgesOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str) -> Response:
        """The report per judge, and the contrast accuracy of each strategy: what the page of judges shows."""
        project = project_for(request.user, slug, role=Role.LEAD)
        return Response(
            {
                "judges": [one.as_json() for one in judge_reports(project=project, by_scenario=True)],
                "strategies": [one.as_json() for one in contrast_reports(project=project)],
            }
        )


urlpatterns = [path("projects/<slug:slug>/judges", Judges.as_view(), name="api_judges")]
