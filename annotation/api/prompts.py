"""Prompts, candidates and pairs of a project, for its leads: here candidates carry what is known of their origin."""

from __future__ import annotations

import math
from typing import Any

from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import pair_for, project_for, prompt_for
from annotation.api.errors import ErrorOutput
from annotation.api.paging import LARGEST_KEY, PAGE_PARAMETERS, asked, paged
from annotation.generating import STRATEGIES
from annotation.models import Candidate, Pair, Prompt, Role


class MessageOutput(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField(allow_blank=True)


class PromptOutput(serializers.ModelSerializer[Prompt]):
    messages = MessageOutput(many=True)
    meta = serializers.DictField()

    class Meta:
        model = Prompt
        fields = ["id", "messages", "system", "language", "tags", "source", "external_id", "meta", "created_at"]


class PromptPage(serializers.Serializer[Any]):
    results = PromptOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class Nats(serializers.FloatField):
    """A number that JSON may not be able to say: an endpoint can give a token the log-probability of minus infinity."""

    def to_representation(self, value: float) -> float | None:  # type: ignore[override]
        return value if math.isfinite(value) else None


class CandidateOutput(serializers.ModelSerializer[Candidate]):
    messages = MessageOutput(many=True)
    polarity = serializers.ChoiceField(
        choices=Candidate.Polarity.choices,
        allow_blank=True,
        help_text="The label that the strategy built in: a pseudo-label, never a judgement.",
    )
    sampling = serializers.DictField(allow_null=True, help_text="Temperature, top p and so on, as the model was asked.")
    log_probability = Nats(allow_null=True, help_text="Summed over the tokens, in nats.")
    log_probability_quantiles = serializers.ListField(
        child=Nats(allow_null=True),
        allow_null=True,
        help_text="Of the tokens' log-probabilities, in nats: the quantiles 0, 0.1 … 1; null: not finite.",
    )
    mean_entropy = Nats(allow_null=True, help_text="In nats per token.")
    branching_share = Nats(
        allow_null=True, help_text="The log of the sequence's Branching Factor: its share of the factor of its prompt."
    )
    provenance = serializers.DictField(
        allow_null=True,
        help_text="What else its strategy knows: the thought, the system message and its values, score, rank and n.",
    )

    class Meta:
        model = Candidate
        fields = [
            "id",
            "prompt",
            "messages",
            "run",
            "index",
            "model",
            "revision",
            "strategy",
            "polarity",
            "template_version",
            "seed",
            "sampling",
            "token_count",
            "log_probability",
            "log_probability_quantiles",
            "mean_entropy",
            "branching_share",
            "provenance",
            "language",
            "characters",
            "created_at",
        ]


class CandidatePage(serializers.Serializer[Any]):
    results = CandidateOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class CandidateFilter(serializers.Serializer[Any]):
    run = serializers.IntegerField(
        min_value=1, max_value=LARGEST_KEY, required=False, help_text="Those that this run generated."
    )
    prompt = serializers.IntegerField(
        min_value=1, max_value=LARGEST_KEY, required=False, help_text="Those of this prompt."
    )
    model = serializers.CharField(max_length=300, required=False, help_text="Those of this model.")
    strategy = serializers.ChoiceField(choices=list(STRATEGIES), required=False)
    polarity = serializers.ChoiceField(
        choices=[Candidate.Polarity.BETTER.value, Candidate.Polarity.WORSE.value], required=False
    )


class PairOutput(serializers.ModelSerializer[Pair]):
    first = CandidateOutput()
    second = CandidateOutput()
    meta = serializers.DictField()

    class Meta:
        model = Pair
        fields = [
            "id",
            "prompt",
            "first",
            "second",
            "source",
            "external_id",
            "tags",
            "marks",
            "label",
            "label_kind",
            "label_strength",
            "meta",
            "excluded_at",
            "created_at",
        ]


class PairPage(serializers.Serializer[Any]):
    results = PairOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class Prompts(APIView):
    @extend_schema(
        operation_id="prompts_list",
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("source", str, description="Prompts of this source only.")],
        responses={200: PromptPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's prompts."""
        project = project_for(request.user, slug, role=Role.LEAD)
        rows = Prompt.objects.filter(_equal(request, "source"), project=project).defer("html")
        return paged(request, rows, PromptOutput, filters=["source"])


class OnePrompt(APIView):
    @extend_schema(operation_id="prompts_read", responses={200: PromptOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str, prompt_id: int) -> Response:
        """One prompt."""
        return Response(PromptOutput(prompt_for(request.user, slug, prompt_id)).data)


class Candidates(APIView):
    @extend_schema(
        operation_id="candidates_list",
        parameters=[*PAGE_PARAMETERS, CandidateFilter],
        responses={200: CandidatePage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's candidates, paired or not, with everything that is known of their origin."""
        project = project_for(request.user, slug, role=Role.LEAD)
        rows = Candidate.objects.filter(prompt__project=project, **asked(request, CandidateFilter)).defer("html")
        return paged(request, rows, CandidateOutput, filters=CandidateFilter().fields)


class Pairs(APIView):
    @extend_schema(
        operation_id="pairs_list",
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("source", str, description="Pairs of this source only."),
            OpenApiParameter("external_id", str, description="The pair with this identifier in its source."),
        ],
        responses={200: PairPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's pairs, with both candidates and their origin."""
        project = project_for(request.user, slug, role=Role.LEAD)
        wanted = _equal(request, "source") & _equal(request, "external_id")
        rows = (
            Pair.objects.filter(wanted, project=project)
            .select_related("first", "second")
            .defer("first__html", "second__html")
        )
        return paged(request, rows, PairOutput, filters=["source", "external_id"])


class OnePair(APIView):
    @extend_schema(operation_id="pairs_read", responses={200: PairOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str, pair_id: int) -> Response:
        """One pair."""
        return Response(PairOutput(pair_for(request.user, slug, pair_id)).data)


def _equal(request: Request, field: str) -> Q:
    """An allow-listed filter: the parameter of that name, for equality. NUL cannot be stored, so nothing has it."""
    if field not in request.query_params:
        return Q()
    value = request.query_params[field]
    return Q(pk=None) if "\0" in value else Q(**{field: value})
