"""The board over the API: how many pairs a filter finds and which, and the acts on them, by the page's own verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, excluding
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import LARGEST_KEY, refuse_unknown
from annotation.api.runs import RunOutput
from annotation.errors import Refused
from annotation.models import Project, Role
from curation import adjudicating, browsing, gathering, grouping, keeping
from curation.dimensions import Dimension
from curation.filters import LONGEST, Filter, parse_order
from curation.models import FactsState
from curation.selection_api import FILTER

MOST_PAIRS = 1000
ANSWERS = {400: ErrorOutput, 404: ErrorOutput}


class FilterInput(Input):
    filter = serializers.CharField(required=False, allow_blank=True, default="", max_length=LONGEST, help_text=FILTER)


class RowsInput(FilterInput):
    sort = serializers.CharField(
        required=False, default="-difficulty", max_length=40, help_text="agreement, or -agreement for highest first."
    )
    after = serializers.CharField(
        required=False, default="", max_length=200, help_text="next of the page before; absent: from the start."
    )


class GatherInput(Input):
    model = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=300,
        help_text="Whose difficulty the board shows from then on. By default the one that was measured last.",
    )


class ActInput(FilterInput):
    expected = serializers.IntegerField(
        min_value=1,
        max_value=LARGEST_KEY,
        help_text="How many pairs the filter finds, as you were told. Where it finds another number, nothing is done.",
    )


class AskAgainInput(ActInput):
    more = serializers.IntegerField(
        min_value=1, max_value=adjudicating.MOST_OPINIONS, default=2, help_text="More judgements of each pair."
    )


class ExcludeInput(Input):
    filter = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST, help_text=FILTER)
    expected = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_KEY, help_text="With a filter: how many pairs it finds."
    )
    pairs = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_KEY),
        required=False,
        min_length=1,
        max_length=MOST_PAIRS,
        help_text="In place of a filter: the pairs' numbers.",
    )
    because = serializers.CharField(
        max_length=excluding.LONGEST_REASON, help_text="Why, for whoever meets the pair later."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("pairs" in attrs) == ("filter" in attrs) or ("filter" in attrs) != ("expected" in attrs):
            raise serializers.ValidationError("Give the numbers of pairs, or a filter with the number it finds.")
        return attrs


class PutBackInput(Input):
    pairs = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_KEY),
        required=False,
        min_length=1,
        max_length=MOST_PAIRS,
        help_text="The pairs' numbers.",
    )
    at = serializers.CharField(
        required=False, max_length=40, help_text="In their place: the moment that names a batch, as the list has it."
    )


class CountOutput(serializers.Serializer[Any]):
    pairs = serializers.IntegerField(help_text="Pairs in play that pass, by the facts as they were last gathered.")
    version = serializers.IntegerField(help_text="Of the facts: it counts the gatherings.")
    gathered_at = serializers.DateTimeField()


class RowOutput(serializers.Serializer[Any]):
    pair = serializers.IntegerField(source="pair_id")
    name = serializers.CharField(help_text="Its identifier in the file it came with, or its number.")
    prompt = serializers.CharField(help_text="The beginning of the prompt's last message.")
    judgements = serializers.IntegerField()
    dissents = serializers.IntegerField(allow_null=True)
    agreement = serializers.FloatField(allow_null=True, help_text="Weighted; empty where it is not known.")
    item_agreement = serializers.FloatField(allow_null=True)
    strength = serializers.FloatField(allow_null=True)
    difficulty = serializers.FloatField(allow_null=True)
    margin = serializers.FloatField(allow_null=True)
    reward_margin = serializers.FloatField(allow_null=True)
    length_difference = serializers.IntegerField(allow_null=True)
    discretion = serializers.CharField(help_text="Empty without votes on principles.")
    reading = serializers.CharField(help_text="Empty where none applies.")
    tag = serializers.CharField()


class RowsOutput(serializers.Serializer[Any]):
    results = RowOutput(many=True)
    next = serializers.CharField(help_text="What to send as `after` for the next page; empty at the end.")
    found = serializers.IntegerField(help_text="All pairs that pass.")


class GroupsInput(FilterInput):
    by = serializers.CharField(max_length=20, help_text="A dimension with values: source, tag, discretion, reading, …")


class GroupOutput(serializers.Serializer[Any]):
    value = serializers.CharField(help_text="As a filter says it.")
    pairs = serializers.IntegerField()
    share = serializers.FloatField(help_text="Of the pairs that pass, 0 to 1.")
    agreement = serializers.FloatField(allow_null=True, help_text="Mean over the pairs of which it is known.")
    difficulty = serializers.FloatField(allow_null=True)
    strength = serializers.FloatField(allow_null=True)
    conflict = serializers.FloatField(
        allow_null=True, help_text="Of the pairs with votes on principles, the share in conflict."
    )
    filter = serializers.CharField(source="query", help_text="The filter of these pairs alone.")


class GroupsOutput(serializers.Serializer[Any]):
    results = GroupOutput(many=True)


class DoneOutput(serializers.Serializer[Any]):
    found = serializers.IntegerField(help_text="Pairs that were spoken of.")
    done = serializers.IntegerField(help_text="What changed: pairs, or slots that opened. 0 the second time.")


class BatchOutput(serializers.Serializer[Any]):
    at = serializers.SerializerMethodField(help_text="The moment, which names the batch.")
    pairs = serializers.IntegerField()
    because = serializers.CharField()
    actor = serializers.CharField()

    def get_at(self, batch: excluding.Batch) -> str:
        return batch.at.isoformat()


class BatchesOutput(serializers.Serializer[Any]):
    results = BatchOutput(many=True)


def _asked(request: Request, slug: str, text: str) -> tuple[Project, FactsState, tuple[Dimension, ...], Filter]:
    """The project, its facts and the pairs that a filter asks for.

    Raises:
        Refused: the facts were never gathered, or the board does not know the filter.
    """
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = browsing.state_of(project)
    if state is None:
        raise Refused(keeping.NO_FACTS)
    return project, state, browsing.dims_of(state), keeping.filter_of(state, keeping.query_of(text))


class Count(APIView):
    @extend_schema(operation_id="board_count", parameters=[FilterInput], responses={200: CountOutput, **ANSWERS})
    def get(self, request: Request, slug: str) -> Response:
        """How many pairs a filter of the board finds, and how old the facts are that it goes by."""
        access.project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known={"filter"})
        given = FilterInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        _, state, dims, asked = _asked(request, slug, given.validated_data["filter"])
        found = browsing.found(state=state, asked=asked, dims=dims)
        told = {"pairs": found, "version": state.version, "gathered_at": state.gathered_at}
        return Response(CountOutput(told).data)


class Rows(APIView):
    @extend_schema(operation_id="board_rows", parameters=[RowsInput], responses={200: RowsOutput, **ANSWERS})
    def get(self, request: Request, slug: str) -> Response:
        """The pairs that a filter of the board finds, fifty at a time, as its table has them."""
        access.project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known={"filter", "sort", "after"})
        given = RowsInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        _, state, dims, asked = _asked(request, slug, given.validated_data["filter"])
        order = parse_order(given.validated_data["sort"], dims)
        page = browsing.page(state=state, asked=asked, order=order, dims=dims, after=given.validated_data["after"])
        return Response(RowsOutput({"results": page.rows, "next": page.after, "found": page.found}).data)


class Groups(APIView):
    @extend_schema(operation_id="board_groups", parameters=[GroupsInput], responses={200: GroupsOutput, **ANSWERS})
    def get(self, request: Request, slug: str) -> Response:
        """The pairs that a filter of the board finds, by the values of one dimension, largest group first."""
        access.project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known={"filter", "by"})
        given = GroupsInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        _, state, dims, asked = _asked(request, slug, said["filter"])
        by, query = grouping.parse_by(said["by"], dims), keeping.query_of(said["filter"])
        found = grouping.groups(state=state, asked=asked, dims=dims, by=by, query=query)
        return Response(GroupsOutput({"results": found}).data)


class Gather(APIView):
    @extend_schema(operation_id="board_gather", request=GatherInput, responses={202: RunOutput, **ANSWERS})
    def post(self, request: Request, slug: str) -> Response:
        """Ask a worker to gather the facts of all pairs anew. Read the run to learn when they are there."""
        said = _given(GatherInput, request, slug)
        project = access.project_for(request.user, slug, role=Role.LEAD)
        run = gathering.ask_for_facts(project=project, model=said["model"], actor=access.account_of(request))
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


class _Act(APIView):
    """What is done to all pairs of a filter: how many it was said to find, and of how many it is true now."""

    def act(self, request: Request, slug: str, said: dict[str, Any], verb: Callable[..., int], **more: Any) -> Response:
        project, _, dims, asked = _asked(request, slug, said["filter"])
        done = verb(
            project=project,
            asked=asked,
            dims=dims,
            expected=said["expected"],
            because=said["filter"],
            actor=access.account_of(request),
            **more,
        )
        return Response(DoneOutput({"found": said["expected"], "done": done}).data)


class SendToAdjudication(_Act):
    @extend_schema(operation_id="board_adjudicate", request=ActInput, responses={200: DoneOutput, **ANSWERS})
    def post(self, request: Request, slug: str) -> Response:
        """Let the pairs wait for an adjudicator who has not judged them. One that waits already keeps its place."""
        said = _given(ActInput, request, slug)
        return self.act(request, slug, said, adjudicating.send_to_adjudication)


class AskAgain(_Act):
    @extend_schema(operation_id="board_ask_again", request=AskAgainInput, responses={200: DoneOutput, **ANSWERS})
    def post(self, request: Request, slug: str) -> Response:
        """Ask for more judgements of the pairs, of people who have not seen them. Open slots that there are count."""
        said = _given(AskAgainInput, request, slug)
        return self.act(request, slug, said, adjudicating.ask_again, more=said["more"])


class Excluded(APIView):
    @extend_schema(operation_id="board_excluded", responses={200: BatchesOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str) -> Response:
        """What was taken out of play and not put back as a whole, latest first."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known=set())
        return Response(BatchesOutput({"results": excluding.batches(project)}).data)

    @extend_schema(operation_id="board_exclude", request=ExcludeInput, responses={200: DoneOutput, **ANSWERS})
    def post(self, request: Request, slug: str) -> Response:
        """Take pairs out of play, with a reason. Nothing is deleted; the facts are gathered anew by a worker."""
        said = _given(ExcludeInput, request, slug)
        actor, because = access.account_of(request), said["because"]
        if "pairs" in said:
            project = access.project_for(request.user, slug, role=Role.LEAD)
            gone = excluding.exclude(project=project, pairs=said["pairs"], because=because, actor=actor)
            return Response(DoneOutput({"found": len({*said["pairs"]}), "done": gone}).data)
        project, _, dims, asked = _asked(request, slug, said["filter"])
        gone = adjudicating.exclude(
            project=project,
            asked=asked,
            dims=dims,
            expected=said["expected"],
            reason=because,
            because=said["filter"],
            actor=actor,
        )
        return Response(DoneOutput({"found": said["expected"], "done": gone}).data)


class PutBack(APIView):
    @extend_schema(operation_id="board_put_back", request=PutBackInput, responses={200: DoneOutput, **ANSWERS})
    def post(self, request: Request, slug: str) -> Response:
        """Put pairs back into play: these, or all that are still out of one batch."""
        said = _given(PutBackInput, request, slug)
        project, actor = access.project_for(request.user, slug, role=Role.LEAD), access.account_of(request)
        batch = excluding.read_moment(said["at"]) if "at" in said else None
        came = excluding.put_back(project=project, pairs=said.get("pairs"), batch=batch, actor=actor)
        return Response(DoneOutput({"found": len({*said["pairs"]}) if "pairs" in said else came, "done": came}).data)


def _given(form: type[serializers.Serializer[Any]], request: Request, slug: str) -> dict[str, Any]:
    """What was sent. Strangers hear of the project before they hear of their form."""
    access.project_for(request.user, slug, role=Role.LEAD)
    given = form(data=request.data)
    given.is_valid(raise_exception=True)
    said: dict[str, Any] = given.validated_data
    return said


urlpatterns = [
    path("projects/<slug:slug>/board/count", Count.as_view(), name="api_board_count"),
    path("projects/<slug:slug>/board/rows", Rows.as_view(), name="api_board_rows"),
    path("projects/<slug:slug>/board/groups", Groups.as_view(), name="api_board_groups"),
    path("projects/<slug:slug>/board/gather", Gather.as_view(), name="api_board_gather"),
    path("projects/<slug:slug>/board/adjudicate", SendToAdjudication.as_view(), name="api_board_adjudicate"),
    path("projects/<slug:slug>/board/ask-again", AskAgain.as_view(), name="api_board_ask_again"),
    path("projects/<slug:slug>/board/excluded", Excluded.as_view(), name="api_board_excluded"),
    path("projects/<slug:slug>/board/put-back", PutBack.as_view(), name="api_board_put_back"),
]
