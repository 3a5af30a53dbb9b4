"""The board's saved selections over the API: listed, read, saved as their next version, compared."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import LARGEST_KEY, PageInput, paged, refuse_unknown
from annotation.errors import Refused
from annotation.models import Project, Role
from curation import browsing, comparing, keeping
from curation.criteria import Criterion
from curation.filters import LONGEST, Filter
from curation.models import FactsState, Selection

FILTER = "The filter as the board's address has it, without order: difficulty=0.55..0.97&discretion=conflict,unknown."


class SelectionOutput(serializers.ModelSerializer[Selection]):
    filter = serializers.CharField(
        source="query", help_text=f"{FILTER} Empty where a release was asked for in criteria: then `where` says it."
    )
    where = serializers.SerializerMethodField(help_text="The same as criteria, as a release takes them.")
    measures = serializers.DictField(
        help_text="For which model, by which run, what it reads was measured: difficulty, margin, reward."
    )
    owner = serializers.EmailField(source="owner.email", default=None, allow_null=True, help_text="Who saved it.")

    class Meta:
        model = Selection
        fields = ["id", "name", "version", "filter", "where", "measures", "owner", "created_at"]

    def get_where(self, selection: Selection) -> list[str]:
        return [Criterion(**one).text for one in selection.criteria]


class SelectionPage(serializers.Serializer[Any]):
    results = SelectionOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class SelectionsInput(PageInput):
    name = serializers.CharField(
        required=False, max_length=120, help_text="Only the versions of the selection of this name."
    )


class SelectionInput(Input):
    name = serializers.CharField(max_length=120, help_text="A name that is there already gets its next version.")
    filter = serializers.CharField(required=False, allow_blank=True, default="", max_length=LONGEST, help_text=FILTER)


class CompareInput(serializers.Serializer[Any]):
    first = serializers.IntegerField(
        min_value=0, max_value=LARGEST_KEY, required=False, help_text="A selection's number; 0 or absent: all pairs."
    )
    second = serializers.IntegerField(
        min_value=0, max_value=LARGEST_KEY, default=0, help_text="The other's; 0 or absent: all pairs."
    )
    filter = serializers.CharField(
        required=False, max_length=LONGEST, help_text=f"In place of the first, unsaved. {FILTER}"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "first" in attrs and "filter" in attrs:
            raise serializers.ValidationError("Give the number of the first selection or a filter, not both.")
        return attrs


class DifferenceOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["share", "mean"], help_text="A share is 0 to 1; a mean is in its own unit.")
    first = serializers.FloatField(allow_null=True, help_text="Empty where no pair has it.")
    n_first = serializers.IntegerField(help_text="Among how many pairs.")
    second = serializers.FloatField(allow_null=True)
    n_second = serializers.IntegerField()
    difference = serializers.FloatField(allow_null=True, help_text="First minus second.")
    low = serializers.FloatField(allow_null=True, help_text="The 95 % interval of the difference.")
    high = serializers.FloatField(allow_null=True)
    why_not = serializers.CharField(help_text="Why there is no interval; empty where there is.")


class ComparedOutput(serializers.Serializer[Any]):
    n_first = serializers.IntegerField()
    n_second = serializers.IntegerField()
    both = serializers.IntegerField(help_text="How many pairs are in both; the intervals allow for it.")
    lines = DifferenceOutput(many=True)


class Selections(APIView):
    @extend_schema(
        operation_id="selections_list",
        parameters=[SelectionsInput],
        responses={200: SelectionPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The saved selections, every version by itself, as they were saved."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        asked = SelectionsInput(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = Selection.objects.filter(project=project).select_related("owner")
        if "name" in asked.validated_data:
            found = found.filter(name=asked.validated_data["name"])
        return paged(request, found, SelectionOutput, filters=["name"])

    @extend_schema(
        operation_id="selections_save",
        request=SelectionInput,
        responses={201: SelectionOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Save a filter of the board under a name, with you as its owner. The latest version where nothing changed."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        given = SelectionInput(data=request.data)
        given.is_valid(raise_exception=True)
        state = browsing.state_of(project)
        query = keeping.query_of(given.validated_data["filter"])
        saved = keeping.save_selection(
            project=project,
            name=given.validated_data["name"],
            asked=keeping.filter_of(state, query),
            dims=browsing.dims_of(state) if state else (),
            query=keeping.address_text(query),
            actor=access.account_of(request),
        )
        return Response(SelectionOutput(saved).data, status=status.HTTP_201_CREATED)


class OneSelection(APIView):
    @extend_schema(operation_id="selections_read", responses={200: SelectionOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str, selection_id: int) -> Response:
        """One version of a saved selection."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        return Response(SelectionOutput(get_object_or_404(Selection, pk=selection_id, project=project)).data)


class CompareSelections(APIView):
    @extend_schema(
        operation_id="selections_compare",
        parameters=[CompareInput],
        responses={200: ComparedOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """How the pairs of two selections differ, each difference with its interval."""
        project = access.project_for(request.user, slug, role=Role.LEAD)
        refuse_unknown(request, known={"first", "second", "filter"})
        asked = CompareInput(data=request.query_params)
        asked.is_valid(raise_exception=True)
        state = browsing.state_of(project)
        if state is None:
            raise Refused(keeping.NO_FACTS)
        first, second = (_side(project, state, asked.validated_data, side) for side in ("first", "second"))
        compared = comparing.compare(project=project, first=first, second=second, dims=browsing.dims_of(state))
        return Response(ComparedOutput(compared).data)


def _side(project: Project, state: FactsState, asked: dict[str, Any], side: str) -> Filter:
    if number := asked.get(side):
        saved = get_object_or_404(Selection, pk=number, project=project)
        # Longer than what may be sent, where `other` is said by all its names.
        return keeping.filter_of(state, QueryDict(keeping.address_of(saved, browsing.dims_of(state))))
    return keeping.filter_of(state, keeping.query_of(asked.get("filter", "") if side == "first" else ""))


urlpatterns = [
    path("projects/<slug:slug>/selections", Selections.as_view(), name="api_selections"),
    path("projects/<slug:slug>/selections/compare", CompareSelections.as_view(), name="api_selections_compare"),
    path("projects/<slug:slug>/selections/<key:selection_id>", OneSelection.as_view(), name="api_selection"),
]
