"""Runs: list, estimate, start, read, cancel, retry, pair."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import running, starting
from annotation.access import account_of, project_for, run_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import PAGE_PARAMETERS, paged
from annotation.api.plans import ANY_PLAN
from annotation.asking import JudgingPlan
from annotation.generating import GenerationPlan
from annotation.models import Role, Run
from annotation.starting import Plan


class RunOutput(serializers.ModelSerializer[Run]):
    parameters = serializers.DictField()
    result = serializers.DictField()
    estimate = serializers.DictField()
    is_partial = serializers.BooleanField(help_text="Done, but for what a model could not answer: it can be retried.")

    class Meta:
        model = Run
        fields = [
            "id",
            "kind",
            "state",
            "is_partial",
            "parameters",
            "seed",
            "code_version",
            "progress",
            "total",
            "attempt",
            "retries",
            "error",
            "estimate",
            "busy_seconds",
            "result",
            "created_at",
            "finished_at",
        ]


class RunPage(serializers.Serializer[Any]):
    results = RunOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class RunInput(Input):
    kind = serializers.ChoiceField(choices=["generation", "judging"])
    parameters = serializers.DictField(help_text="The plan, as the run will keep it; what is missing has its default.")
    seed = serializers.IntegerField(min_value=0, max_value=2**62, default=0)


class EstimateOutput(serializers.Serializer[Any]):
    items = serializers.IntegerField(help_text="Prompts, or pairs.")
    units = serializers.IntegerField(help_text="Candidates, or calls of the judge.")
    tokens = serializers.IntegerField(allow_null=True, help_text="About; at most, where seconds is null.")
    seconds = serializers.FloatField(allow_null=True, help_text="Null: nothing like it has been measured.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    measured_by = serializers.ListField(child=serializers.IntegerField(), help_text="Runs that the speed is from.")


def _plan(request: Request) -> tuple[Plan, int]:
    given = RunInput(data=request.data)
    given.is_valid(raise_exception=True)
    kind = GenerationPlan if given.validated_data["kind"] == Run.Kind.GENERATION else JudgingPlan
    return kind.from_parameters(given.validated_data["parameters"]), given.validated_data["seed"]


class Runs(APIView):
    @extend_schema(
        operation_id="runs_list",
        parameters=PAGE_PARAMETERS,
        responses={200: RunPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's runs, of every kind."""
        project = project_for(request.user, slug, role=Role.LEAD)
        return paged(request, Run.objects.filter(project=project).defer("log"), RunOutput)

    @extend_schema(
        operation_id="runs_start",
        request=ANY_PLAN,
        responses={202: RunOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask a worker to generate or to judge. Read the run to learn when it is done."""
        project = project_for(request.user, slug, role=Role.LEAD)
        plan, seed = _plan(request)
        run = starting.start(project=project, plan=plan, actor=account_of(request), seed=seed)
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


class EstimateRun(APIView):
    @extend_schema(
        operation_id="runs_estimate",
        request=ANY_PLAN,
        responses={200: EstimateOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """What a run would make and take, from measured speeds. Starts nothing."""
        project = project_for(request.user, slug, role=Role.LEAD)
        plan, _ = _plan(request)
        found = starting.offer(project=project, plan=plan)
        nothing = {"seconds": None, "low": None, "high": None}
        return Response(EstimateOutput({"items": found.items, **nothing, **found.expected.as_json()}).data)


class OneRun(APIView):
    @extend_schema(operation_id="runs_read", responses={200: RunOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str, run_id: int) -> Response:
        """One run: its state, how far it is, and how it ended."""
        return Response(RunOutput(run_for(request.user, slug, run_id)).data)


class CancelRun(APIView):
    @extend_schema(
        operation_id="runs_cancel", request=None, responses={200: RunOutput, 400: ErrorOutput, 404: ErrorOutput}
    )
    def post(self, request: Request, slug: str, run_id: int) -> Response:
        """Stop a run: a waiting one at once, a running one within five seconds. What is finished is kept."""
        run = running.cancel_run(run=run_for(request.user, slug, run_id), actor=account_of(request))
        return Response(RunOutput(run).data)


class RetryRun(APIView):
    @extend_schema(
        operation_id="runs_retry", request=None, responses={202: RunOutput, 400: ErrorOutput, 404: ErrorOutput}
    )
    def post(self, request: Request, slug: str, run_id: int) -> Response:
        """Let a run that failed, was cancelled or left something out go on with what is missing."""
        run = running.retry_run(run=run_for(request.user, slug, run_id), actor=account_of(request))
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


class PairRun(APIView):
    @extend_schema(
        operation_id="runs_pair", request=None, responses={202: RunOutput, 400: ErrorOutput, 404: ErrorOutput}
    )
    def post(self, request: Request, slug: str, run_id: int) -> Response:
        """Pair what a generation made before it failed or was cancelled, and generate no more."""
        found = run_for(request.user, slug, run_id)
        run = running.retry_run(run=found, actor=account_of(request), only_pair=True)
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)
