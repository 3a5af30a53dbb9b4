"""Judging over the API: take pairs, answer, take back, revise; and the judgements of a project for its leads.

What an annotator is handed here is as blind as the page: the texts, the sides, nothing else.
"""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import assigning, calibrating, guiding, judging, ordering, recalling, revising
from annotation.access import account_of, assignment_for, membership_for, project_for
from annotation.answering import CONTROLS, LONGEST_MS, MOST_SPANS, Marked, Shown, control_of, sides
from annotation.api.errors import WRITES, ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import LARGEST_KEY, PAGE_PARAMETERS, asked, paged
from annotation.api.prompts import MessageOutput
from annotation.editing import LONGEST_EDIT
from annotation.models import Annotator, Assignment, Flag, Judgement, PrincipleVote, Rationale, Role, SkipReason, Span


class AssignmentOutput(serializers.Serializer[Any]):
    assignment = serializers.IntegerField()
    lease_until = serializers.DateTimeField()
    system = serializers.CharField(allow_blank=True)
    prompt = MessageOutput(many=True)
    a = MessageOutput(many=True)
    b = MessageOutput(many=True)


class AssignmentsOutput(serializers.Serializer[Any]):
    assignments = AssignmentOutput(many=True)
    why_empty = serializers.CharField(
        allow_null=True, help_text="Why there is nothing to judge, when there is nothing."
    )
    guideline_version = serializers.IntegerField(
        allow_null=True, help_text="The version in force: name it with the answers that you give under it."
    )


class SpanInput(Input):
    place = serializers.ChoiceField(choices=["prompt", "a", "b"])
    message = serializers.IntegerField(min_value=0, max_value=32767, default=0)
    start = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="In Unicode code points.")
    end = serializers.IntegerField(min_value=1, max_value=2**31 - 1, help_text="The first code point after it.")
    polarity = serializers.ChoiceField(choices=Span.Polarity.choices, default=Span.Polarity.SUPPORTS)
    tag = serializers.CharField(max_length=60, default="", allow_blank=True)
    principle = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY, default=None, allow_null=True)


class VoteInput(Input):
    principle = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY)
    vote = serializers.ChoiceField(choices=list(ordering.VOTES))


class AnswerInput(Input):
    key = serializers.UUIDField(
        required=False, help_text="Made by you for this answer; sending it again stores nothing twice."
    )
    verdict = serializers.ChoiceField(
        choices=list(CONTROLS), help_text="a3 is “A much better”, b1 is “B slightly better”."
    )
    skip_reason = serializers.ChoiceField(choices=SkipReason.choices, required=False)
    flags = serializers.ListField(child=serializers.ChoiceField(choices=Flag.choices), required=False, max_length=10)
    tags = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=50)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False, max_length=20_000)
    spans = SpanInput(many=True, required=False, help_text=f"Highlights in the raw texts, {MOST_SPANS} at most.")
    votes = VoteInput(many=True, required=False, help_text="By principle of the guideline in force.")
    deciding = serializers.IntegerField(
        required=False, min_value=0, max_value=LARGEST_KEY, help_text="The principle that decided; 0: none of them."
    )
    guideline_version = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        help_text="The version that you went by; 0: none was written. Without it, the one in force.",
    )
    active_ms = serializers.IntegerField(required=False, min_value=0, max_value=LONGEST_MS)
    edit = serializers.CharField(
        required=False,
        trim_whitespace=False,
        max_length=LONGEST_EDIT,
        help_text="The last message of the better answer, edited. The project must take edits.",
    )


class SubmitInput(AnswerInput):
    assignment = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY)


class ReviseInput(AnswerInput):
    revision = serializers.IntegerField(min_value=1, max_value=32767, help_text="The revision that you have read.")


class StoredOutput(serializers.Serializer[Any]):
    assignment = serializers.IntegerField()
    stored = serializers.CharField(help_text="The stored answer, in words.")


class RationaleOutput(serializers.ModelSerializer[Rationale]):
    class Meta:
        model = Rationale
        fields = ["text", "tags", "source"]


class VoteOutput(serializers.ModelSerializer[PrincipleVote]):
    principle = serializers.CharField(source="principle.key")

    class Meta:
        model = PrincipleVote
        fields = ["principle", "vote"]


class JudgementOutput(serializers.ModelSerializer[Judgement]):
    pair = serializers.IntegerField(source="assignment.pair_id")
    annotator_kind = serializers.ChoiceField(source="annotator.kind", choices=Annotator.Kind.choices)
    annotator_simulated = serializers.BooleanField(source="annotator.is_simulated")
    guideline_version = serializers.IntegerField(source="guideline.version", default=None, allow_null=True)
    rationales = RationaleOutput(many=True)
    votes = VoteOutput(many=True)
    edit = serializers.CharField(source="edit.text", default=None, allow_null=True)
    ranking = serializers.IntegerField(
        source="ranking_id", allow_null=True, read_only=True, help_text="The ranking that implies it, if one does."
    )

    class Meta:
        model = Judgement
        fields = [
            "id",
            "pair",
            "annotator",
            "annotator_kind",
            "annotator_simulated",
            "revision",
            "is_current",
            "verdict",
            "strength",
            "strength_known",
            "skip_reason",
            "flags",
            "swapped",
            "active_ms",
            "guideline_version",
            "rationales",
            "votes",
            "edit",
            "ranking",
            "created_at",
        ]


class JudgementFilter(serializers.Serializer[Any]):
    pair = serializers.IntegerField(
        source="assignment__pair", min_value=1, max_value=LARGEST_KEY, required=False, help_text="Those of this pair."
    )
    annotator = serializers.IntegerField(
        min_value=1, max_value=LARGEST_KEY, required=False, help_text="Those of this annotator."
    )
    is_current = serializers.BooleanField(required=False, help_text="true: those that count; false: the others.")


class JudgementPage(serializers.Serializer[Any]):
    results = JudgementOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class MineOutput(serializers.ModelSerializer[Judgement]):
    """An answer by the sides on which its author saw the pair."""

    verdict = serializers.SerializerMethodField(help_text="As it was sent: a3 to a1, same, b1 to b3, both_bad, skip.")
    text = serializers.SerializerMethodField(help_text="The reason in your own words.")
    taken_back = serializers.SerializerMethodField(help_text="It counts nowhere; it is kept for you.")

    class Meta:
        model = Judgement
        fields = [
            "id",
            "assignment",
            "verdict",
            "skip_reason",
            "flags",
            "text",
            "revision",
            "taken_back",
            "created_at",
        ]

    def get_verdict(self, judgement: Judgement) -> str:
        return control_of(verdict=judgement.verdict, strength=judgement.strength, swapped=judgement.swapped)

    def get_text(self, judgement: Judgement) -> str:
        own = (why.text for why in judgement.rationales.all() if why.source == Rationale.Source.HUMAN)
        return next(own, "")

    def get_taken_back(self, judgement: Judgement) -> bool:
        return not judgement.is_current


class MinePage(serializers.Serializer[Any]):
    results = MineOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class MyJudgements(APIView):
    @extend_schema(
        operation_id="judgements_mine",
        parameters=PAGE_PARAMETERS,
        responses={200: MinePage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Your own answers as they stand, and those that you took back and did not give again."""
        me = membership_for(request.user, slug)
        return paged(request, recalling.history(me).prefetch_related("rationales"), MineOutput)


class Assignments(APIView):
    @extend_schema(operation_id="assignments_take", request=None, responses={200: AssignmentsOutput, 404: ErrorOutput})
    def post(self, request: Request, slug: str) -> Response:
        """Lease pairs to judge: those you hold, topped up to three. Leases run out; take again to renew them."""
        me = membership_for(request.user, slug)
        held = [one.assignment_id for one in judging.hand_out(user_id=account_of(request).pk, slug=slug)]
        rows = (
            Assignment.objects.leased()
            .filter(pk__in=held)
            .select_related("pair__prompt", "pair__first", "pair__second")
        )
        by_id = {row.pk: row for row in rows}
        items = [_shown(by_id[pk]) for pk in held if pk in by_id]
        nothing = (
            None if items else calibrating.why_nothing(me) or assigning.why_empty(project=me.project, annotator=me)
        )
        why = nothing and nothing["text"]
        given = {"assignments": items, "why_empty": why, "guideline_version": version_in_force(me)}
        return Response(AssignmentsOutput(given).data)


class Judgements(APIView):
    @extend_schema(
        operation_id="judgements_list",
        parameters=[*PAGE_PARAMETERS, JudgementFilter],
        responses={200: JudgementPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Every revision of every judgement, for leads; strengths are positive for the pair's first candidate."""
        project = project_for(request.user, slug, role=Role.LEAD)
        rows = (
            Judgement.objects.filter(assignment__project=project, **asked(request, JudgementFilter))
            .select_related("assignment", "annotator", "guideline", "edit")
            .prefetch_related("rationales", "votes__principle")
        )
        return paged(request, rows, JudgementOutput, filters=JudgementFilter().fields)

    @extend_schema(
        operation_id="judgements_submit",
        request=SubmitInput,
        responses={201: StoredOutput, **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Answer a pair that is leased to you. Sides are those on which it was handed out."""
        me = membership_for(request.user, slug)
        given = SubmitInput(data=request.data)
        given.is_valid(raise_exception=True)
        shown = _answer(given.validated_data, me=me, assignment_id=given.validated_data["assignment"])
        outcome = judging.submit_shown(user_id=account_of(request).pk, slug=slug, shown=shown)
        stored = {"assignment": outcome.assignment_id, "stored": outcome.echo}
        return Response(StoredOutput(stored).data, status=status.HTTP_201_CREATED)


class LastJudgement(APIView):
    @extend_schema(
        operation_id="judgements_undo", responses={200: AssignmentOutput, 400: ErrorOutput, 404: ErrorOutput}
    )
    def delete(self, request: Request, slug: str) -> Response:
        """Take back your latest answer: it stays stored, but is not current, and the pair is leased to you again."""
        reopened = revising.undo(annotator=membership_for(request.user, slug))
        return Response(AssignmentOutput(_shown(assignment_for(request.user, slug, reopened.pk))).data)


class OneAnswer(APIView):
    @extend_schema(
        operation_id="judgements_revise",
        request=ReviseInput,
        responses={200: StoredOutput, **WRITES},
    )
    def put(self, request: Request, slug: str, assignment_id: int) -> Response:
        """Change an answer of yours: a new revision, on the sides on which you saw the pair."""
        assignment = assignment_for(request.user, slug, assignment_id)
        given = ReviseInput(data=request.data)
        given.is_valid(raise_exception=True)
        me = membership_for(request.user, slug)
        answer = _answer(given.validated_data, me=me, assignment_id=assignment.pk).stored(swapped=assignment.swapped)
        revised = revising.revise(
            annotator=me,
            assignment=assignment,
            answer=answer,
            expected_revision=given.validated_data["revision"],
        )
        return Response(StoredOutput({"assignment": assignment.pk, "stored": recalling.echo(revised)}).data)


def version_in_force(me: Annotator) -> int | None:
    return me.project.guideline.version if me.project.guideline else None


def version_said(given: dict[str, Any], me: Annotator) -> int | None:
    """The guideline (its id) that an answer was given under, where it says so; raises Refused."""
    version = given.get("guideline_version")
    return None if version is None else guiding.version_of(project=me.project, version=version)


def _answer(given: dict[str, Any], *, me: Annotator, assignment_id: int) -> Shown:
    edited = _edited(given)
    return Shown(
        assignment_id=assignment_id,
        key=given.get("key") or uuid.uuid4(),
        control=given["verdict"],
        skip_reason=given.get("skip_reason", ""),
        flags=tuple(given.get("flags", ())),
        tags=tuple(given.get("tags", ())),
        text=given.get("text", ""),
        spans=tuple(Marked(**span) for span in given.get("spans", ())),
        votes={vote["principle"]: vote["vote"] for vote in given.get("votes", ())},
        deciding=given.get("deciding"),
        guideline=version_said(given, me),
        active_ms=given.get("active_ms"),
        client="api",
        edit_a=edited.get("a"),
        edit_b=edited.get("b"),
    )


def _edited(given: dict[str, Any]) -> dict[str, str]:
    """The edit on the side of the better answer. Without a better one it is on any, and refused as what it is."""
    return {"b" if given["verdict"] in ("b1", "b2", "b3") else "a": given["edit"]} if "edit" in given else {}


def _shown(assignment: Assignment) -> dict[str, Any]:
    """What may be shown of a pair: the texts, and which side each stands on."""
    pair = assignment.pair
    a, b = sides(pair.first, pair.second, swapped=assignment.swapped)
    return {
        "assignment": assignment.pk,
        "lease_until": assignment.lease_until,
        "system": pair.prompt.system,
        "prompt": pair.prompt.messages,
        "a": a.messages,
        "b": b.messages,
    }
