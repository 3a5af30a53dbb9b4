"""Ranking over the API: take a lineup, rank it, take back, revise; my rankings, and those of a project for its leads.

As blind as the page: letters in the drawn order, texts, and no number of a candidate. Leads read candidates by number.
"""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import ranking
from annotation.access import membership_for, project_for, turn_for
from annotation.answering import LONGEST_MS, LONGEST_TEXT
from annotation.api.errors import WRITES, ErrorOutput
from annotation.api.inputs import Input
from annotation.api.judgements import version_in_force, version_said
from annotation.api.paging import LARGEST_KEY, PAGE_PARAMETERS, paged
from annotation.api.prompts import MessageOutput
from annotation.models import Annotator, Candidate, Flag, Ranking, Role, SkipReason, Turn
from annotation.ranking import LETTERS, Ranked, claim_of

HIGHEST_PLACE = 999


class LetterOutput(serializers.Serializer[Any]):
    letter = serializers.CharField()
    messages = MessageOutput(many=True)


class TurnOutput(serializers.Serializer[Any]):
    turn = serializers.IntegerField()
    claim = serializers.CharField(
        help_text="Send it back with the ranking: by another claim the letters mean something else."
    )
    lease_until = serializers.DateTimeField()
    system = serializers.CharField(allow_blank=True)
    prompt = MessageOutput(many=True)
    candidates = LetterOutput(many=True)


class TurnsOutput(serializers.Serializer[Any]):
    turn = TurnOutput(allow_null=True)
    why_empty = serializers.CharField(allow_null=True, help_text="Why there is nothing to rank, when there is nothing.")
    guideline_version = serializers.IntegerField(
        allow_null=True, help_text="The version in force: name it with the rankings that you give under it."
    )


class RankingInput(Input):
    key = serializers.UUIDField(
        required=False, help_text="Made by you for this ranking; sending it again stores nothing twice."
    )
    claim = serializers.CharField(max_length=40, help_text="The claim with which the turn was handed to you.")
    places = serializers.DictField(
        child=serializers.IntegerField(min_value=1, max_value=HIGHEST_PLACE, allow_null=True),
        required=False,
        help_text="By letter: 1 is the best, equal places are a tie, null or absent is not ranked.",
    )
    skip_reason = serializers.ChoiceField(choices=SkipReason.choices, required=False)
    flags = serializers.ListField(child=serializers.ChoiceField(choices=Flag.choices), required=False, max_length=10)
    note = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False, max_length=LONGEST_TEXT)
    guideline_version = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        help_text="The version that you went by; 0: none was written. Without it, the one in force.",
    )
    active_ms = serializers.IntegerField(required=False, min_value=0, max_value=LONGEST_MS)


class SubmitRankingInput(RankingInput):
    turn = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY)


class ReviseRankingInput(RankingInput):
    revision = serializers.IntegerField(min_value=1, max_value=32767, help_text="The revision that you have read.")


class StoredRankingOutput(serializers.Serializer[Any]):
    turn = serializers.IntegerField()
    revision = serializers.IntegerField()
    stored = serializers.CharField(help_text="The stored ranking, in words.")


class MyRankingOutput(serializers.ModelSerializer[Ranking]):
    claim = serializers.SerializerMethodField()
    places = serializers.SerializerMethodField()
    stored = serializers.SerializerMethodField()

    class Meta:
        model = Ranking
        fields = ["id", "turn", "claim", "revision", "places", "skip_reason", "flags", "note", "stored", "created_at"]

    def get_claim(self, one: Ranking) -> str:
        return claim_of(one.turn)

    def get_places(self, one: Ranking) -> dict[str, int | None]:
        return dict(zip(LETTERS, one.ranks, strict=False))

    def get_stored(self, one: Ranking) -> str:
        return ranking.echo(one)


class MyRankingPage(serializers.Serializer[Any]):
    results = MyRankingOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class RankingOutput(serializers.ModelSerializer[Ranking]):
    prompt = serializers.IntegerField(source="turn.lineup.prompt_id")
    annotator_simulated = serializers.BooleanField(source="annotator.is_simulated")
    candidates = serializers.ListField(
        child=serializers.IntegerField(), source="shown", help_text="By number, in the order of the screen."
    )
    ranks = serializers.ListField(
        child=serializers.IntegerField(allow_null=True),
        help_text="Beside candidates: 1 is the best, equal ranks are a tie, null is not ranked.",
    )
    guideline_version = serializers.IntegerField(source="guideline.version", default=None, allow_null=True)

    class Meta:
        model = Ranking
        fields = [
            "id",
            "turn",
            "prompt",
            "annotator",
            "annotator_simulated",
            "revision",
            "is_current",
            "candidates",
            "ranks",
            "skip_reason",
            "flags",
            "note",
            "active_ms",
            "guideline_version",
            "created_at",
        ]


class RankingPage(serializers.Serializer[Any]):
    results = RankingOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class Turns(APIView):
    @extend_schema(operation_id="turns_take", request=None, responses={200: TurnsOutput, 404: ErrorOutput})
    def post(self, request: Request, slug: str) -> Response:
        """Lease a lineup to rank: the one that you hold, or the next. The lease runs out; take again to renew it."""
        me = membership_for(request.user, slug)
        turn = ranking.hand_out(annotator=me)
        why = None if turn else ranking.why_nothing(annotator=me)["text"]
        shown = _shown(turn) if turn else None
        given = {"turn": shown, "why_empty": why, "guideline_version": version_in_force(me)}
        return Response(TurnsOutput(given).data)


class Rankings(APIView):
    @extend_schema(
        operation_id="rankings_list", parameters=PAGE_PARAMETERS, responses={200: RankingPage, 404: ErrorOutput}
    )
    def get(self, request: Request, slug: str) -> Response:
        """Every revision of every ranking, for leads. What each implies of pairs is among the judgements."""
        project = project_for(request.user, slug, role=Role.LEAD)
        rows = Ranking.objects.filter(turn__lineup__project=project)
        return paged(request, rows.select_related("turn__lineup", "annotator", "guideline"), RankingOutput)

    @extend_schema(
        operation_id="rankings_submit", request=SubmitRankingInput, responses={201: StoredRankingOutput, **WRITES}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Rank a lineup that is leased to you, or skip it with a reason."""
        me = membership_for(request.user, slug)
        given = SubmitRankingInput(data=request.data)
        given.is_valid(raise_exception=True)
        outcome = ranking.submit(
            annotator=me, turn_id=given.validated_data["turn"], ranked=_ranked(given.validated_data, me)
        )
        return Response(StoredRankingOutput(_stored(outcome.ranking)).data, status=status.HTTP_201_CREATED)


class MyRankings(APIView):
    @extend_schema(
        operation_id="rankings_mine", parameters=PAGE_PARAMETERS, responses={200: MyRankingPage, 404: ErrorOutput}
    )
    def get(self, request: Request, slug: str) -> Response:
        """Your own rankings as they stand, by the letters on which you saw the candidates."""
        me = membership_for(request.user, slug)
        return paged(
            request, Ranking.objects.filter(annotator=me, is_current=True).select_related("turn"), MyRankingOutput
        )


class LastRanking(APIView):
    @extend_schema(operation_id="rankings_undo", responses={200: TurnOutput, 400: ErrorOutput, 404: ErrorOutput})
    def delete(self, request: Request, slug: str) -> Response:
        """Take back your latest ranking and what it implies; the lineup is leased to you again, in the same order."""
        turn = ranking.undo(annotator=membership_for(request.user, slug))
        return Response(TurnOutput(_shown(turn)).data)


class OneRanking(APIView):
    @extend_schema(
        operation_id="rankings_revise", request=ReviseRankingInput, responses={200: StoredRankingOutput, **WRITES}
    )
    def put(self, request: Request, slug: str, turn_id: int) -> Response:
        """Change a ranking of yours: a new revision, by the same letters."""
        me = membership_for(request.user, slug)
        turn = turn_for(request.user, slug, turn_id)
        given = ReviseRankingInput(data=request.data)
        given.is_valid(raise_exception=True)
        made = ranking.revise(
            annotator=me,
            turn_id=turn.pk,
            ranked=_ranked(given.validated_data, me),
            expected_revision=given.validated_data["revision"],
        )
        return Response(StoredRankingOutput(_stored(made)).data)


def _ranked(given: dict[str, Any], me: Annotator) -> Ranked:
    return Ranked(
        key=given.get("key") or uuid.uuid4(),
        claim=given["claim"],
        places=given.get("places", {}),
        skip_reason=given.get("skip_reason", ""),
        flags=tuple(given.get("flags", ())),
        note=given.get("note", ""),
        guideline=version_said(given, me),
        active_ms=given.get("active_ms"),
        client="api",
    )


def _stored(made: Ranking) -> dict[str, Any]:
    return {"turn": made.turn_id, "revision": made.revision, "stored": ranking.echo(made)}


def _shown(turn: Turn) -> dict[str, Any]:
    """What may be shown of a lineup: texts by letter, in the drawn order."""
    found = Candidate.objects.in_bulk(turn.shown)
    prompt = turn.lineup.prompt
    return {
        "turn": turn.pk,
        "claim": claim_of(turn),
        "lease_until": turn.lease_until,
        "system": prompt.system,
        "prompt": prompt.messages,
        "candidates": [
            {"letter": letter, "messages": found[number].messages}
            for letter, number in zip(LETTERS, turn.shown, strict=False)
        ],
    }
