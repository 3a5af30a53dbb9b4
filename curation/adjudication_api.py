"""Adjudication over the API: the queue without names, settling, taking back."""

from __future__ import annotations

import uuid
from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.errors import WRITES, ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import refuse_unknown
from annotation.api.prompts import MessageOutput
from annotation.errors import Refused
from annotation.models import Annotator, Cause, Role
from curation import docket, settling
from curation.adjudicating import MOST_AT_ONCE, waiting_for
from curation.models import Adjudication, Ruling


class VoiceOutput(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="A letter, the same for this annotator as long as the pair is.")
    is_judge = serializers.BooleanField(help_text="Whether a model said it.")
    verdict = serializers.CharField(source="judgement.verdict")
    strength = serializers.IntegerField(source="judgement.strength", allow_null=True)
    reasons = serializers.SerializerMethodField()
    cause = serializers.CharField(help_text="Why they think that others differ, where they said so.")

    def get_reasons(self, voice: docket.Voice) -> list[str]:
        return [one.text for one in voice.judgement.rationales.all() if one.text]


class CaseOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="adjudication.pk")
    pair = serializers.IntegerField(source="pair.pk")
    asked_at = serializers.DateTimeField(source="adjudication.asked_at")
    entropy = serializers.FloatField(source="fact.entropy", default=None, allow_null=True, help_text="In nats.")
    prompt = MessageOutput(source="pair.prompt.messages", many=True)
    first = MessageOutput(source="pair.first.messages", many=True)
    second = MessageOutput(source="pair.second.messages", many=True)
    voices = VoiceOutput(many=True)


class CasesOutput(serializers.Serializer[Any]):
    results = CaseOutput(many=True)
    waiting = serializers.IntegerField(help_text="How many you may settle.")


class RulingInput(Input):
    key = serializers.UUIDField(
        required=False, help_text="Made by you for this decision; sending it again stores nothing twice."
    )
    outcome = serializers.ChoiceField(choices=list(settling.OUTCOMES))
    reason = serializers.CharField(required=False, allow_blank=True, max_length=settling.LONGEST_REASON)
    cause = serializers.ChoiceField(
        choices=Cause.choices, required=False, allow_blank=True, help_text="Why the judgements differ."
    )
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=settling.LONGEST_REASON, help_text="With the outcome “unclear”."
    )


class RulingOutput(serializers.ModelSerializer[Ruling]):
    pair = serializers.IntegerField(source="adjudication.pair_id")

    class Meta:
        model = Ruling
        fields = ["adjudication", "pair", "revision", "outcome", "reason", "note", "cause", "created_at"]


class DividedInput(Input):
    n = serializers.IntegerField(min_value=1, max_value=MOST_AT_ONCE, help_text="At most so many pairs.")


class SendInput(DividedInput):
    expected = serializers.IntegerField(
        min_value=1,
        max_value=MOST_AT_ONCE,
        help_text="How many there are, as you were told. With another number nothing is done.",
    )


class DividedOutput(serializers.Serializer[Any]):
    pairs = serializers.ListField(child=serializers.IntegerField(), help_text="Their numbers, most disagreement first.")
    highest = serializers.FloatField(allow_null=True, help_text="Entropy of the verdicts of the first, in nats.")
    lowest = serializers.FloatField(allow_null=True, help_text="Of the last.")


class SentOutput(serializers.Serializer[Any]):
    sent = serializers.IntegerField(help_text="Pairs that wait from now on.")


class MostDivided(APIView):
    @extend_schema(
        operation_id="adjudications_divided",
        parameters=[DividedInput],
        responses={200: DividedOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The pairs on which judgements disagree most and that nobody has sent to adjudication yet."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known={"n"})
        given = DividedInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        return Response(DividedOutput(settling.most_divided(project=project, **given.validated_data)).data)

    @extend_schema(
        operation_id="adjudications_send",
        request=SendInput,
        responses={200: SentOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Let these pairs wait for an adjudicator."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        given = SendInput(data=request.data)
        given.is_valid(raise_exception=True)
        actor = access.account_of(request)
        sent = settling.send_most_divided(project=project, actor=actor, **given.validated_data)
        return Response(SentOutput({"sent": sent}).data)


# The first of the queue, each with its texts: nobody settles more at a time.
LISTED = 20


class Adjudications(APIView):
    @extend_schema(operation_id="adjudications_list", responses={200: CasesOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str) -> Response:
        """The first pairs that you may settle, most disagreement first, with what was said and no names."""
        project = access.project_for(request.user, slug, role=Role.ADJUDICATOR)
        refuse_unknown(request, known=set())
        me = access.seat_of(request.user, project, role=Role.ADJUDICATOR)
        queue = waiting_for(me) if me else Adjudication.objects.none()
        cases = [docket.case_of(one) for one in queue[:LISTED]]
        return Response(CasesOutput({"results": cases, "waiting": queue.count()}).data)


class OneRuling(APIView):
    @extend_schema(
        operation_id="adjudications_settle",
        request=RulingInput,
        responses={200: RulingOutput, **WRITES},
    )
    def put(self, request: Request, slug: str, adjudication_id: int) -> Response:
        """Settle a pair that you have not judged. Judgements stay as they are."""
        me, asked = _asked(request, slug, adjudication_id)
        given = RulingInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = {"key": uuid.uuid4(), **given.validated_data}
        return Response(RulingOutput(settling.settle(adjudication=asked, adjudicator=me, **said)).data)

    @extend_schema(
        operation_id="adjudications_take_back",
        responses={200: RulingOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def delete(self, request: Request, slug: str, adjudication_id: int) -> Response:
        """Take your decision back: a new revision, and the pair waits again."""
        me, asked = _asked(request, slug, adjudication_id)
        return Response(RulingOutput(settling.take_back(adjudication=asked, adjudicator=me)).data)


def _asked(request: Request, slug: str, adjudication_id: int) -> tuple[Annotator, Adjudication]:
    project = access.project_for(request.user, slug, role=Role.ADJUDICATOR)
    me = access.seat_of(request.user, project, role=Role.ADJUDICATOR)
    if me is None:
        raise Refused("Settling needs a seat of your own in this project.")
    return me, get_object_or_404(Adjudication, pk=adjudication_id, project=project)


urlpatterns = [
    path("projects/<slug:slug>/adjudications/most-divided", MostDivided.as_view(), name="api_adjudications_divided"),
    path("projects/<slug:slug>/adjudications", Adjudications.as_view(), name="api_adjudications"),
    path(
        "projects/<slug:slug>/adjudications/<key:adjudication_id>/ruling", OneRuling.as_view(), name="api_adjudication"
    ),
]
