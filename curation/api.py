"""The REST API of curation: agreement as measured, releases, and the runs that make them."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import path
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import account_of, project_for, run_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import LARGEST_KEY, PAGE_PARAMETERS, paged
from annotation.api.runs import RunOutput
from annotation.errors import Refused
from annotation.models import Project, Role
from curation.criteria import LONGEST_LIST, LONGEST_VALUE, parse_all
from curation.cutting import cut_of
from curation.deciding import TIES
from curation.export.layouts import LAYOUTS
from curation.keeping import criteria_in
from curation.measuring import AgreementRequest, request_measurement
from curation.models import Measurement, Release, Selection
from curation.planning import DIFFICULTY, HARDER, MOST_HARMFUL
from curation.releasing import ANNOTATORS, RULES, request_release
from curation.subsetting import NGRAMS


class MeasurementOutput(serializers.ModelSerializer[Measurement]):
    class Meta:
        model = Measurement
        fields = [
            "id",
            "run",
            "metric",
            "pair",
            "annotator",
            "other",
            "candidate",
            "value",
            "reason",
            "low",
            "high",
            "n",
        ]


class MeasurementPage(serializers.Serializer[Any]):
    results = MeasurementOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class ReleaseOutput(serializers.ModelSerializer[Release]):
    manifest = serializers.DictField()
    selection = serializers.IntegerField(
        source="selection_id", allow_null=True, help_text="The saved selection that it used, in that version."
    )

    class Meta:
        model = Release
        fields = ["id", "version", "selection", "rule", "layout", "rows", "digest", "manifest", "run", "created_at"]


class ReleasePage(serializers.Serializer[Any]):
    results = ReleaseOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "number", "minimum": 0.001, "maximum": 0.999},
            {"type": "string", "maxLength": 400, "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,29}=.+:0?\.\d{1,6}$"},
        ]
    }
)
class CutInput(serializers.Field[Any, Any, Any, Any]):
    """A cut by difficulty: a share; or name, model and share."""

    def to_internal_value(self, data: Any) -> float | str:
        if isinstance(data, bool) or not isinstance(data, int | float | str):
            raise serializers.ValidationError("A cut is a number, or a text as small=MODEL:0.5.")
        try:
            cut = cut_of(data)
        except Refused as refusal:
            raise serializers.ValidationError(str(refusal)) from refusal
        if not 0.001 <= cut.share <= 0.999:
            raise serializers.ValidationError("The share of a cut is 0.001 to 0.999.")
        return cut.told


class ReleaseInput(Input):
    version = serializers.CharField(max_length=60, help_text="The release's name.")
    selection = serializers.IntegerField(
        min_value=1,
        max_value=LARGEST_KEY,
        required=False,
        help_text="The number of a saved selection, whose criteria stand before those of `where`.",
    )
    where = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_LIST + LONGEST_VALUE),
        required=False,
        max_length=50,
        help_text='Criteria, as "agreement>=0.66".',
    )
    rule = serializers.ChoiceField(choices=sorted(RULES), default="majority")
    layout = serializers.ChoiceField(choices=sorted(LAYOUTS), default="trl_dpo")
    annotators = serializers.ChoiceField(choices=sorted(ANNOTATORS), default="people")
    ties = serializers.ChoiceField(
        choices=sorted(TIES),
        required=False,
        help_text="What becomes of a tie. By default the rule's own way.",
    )
    least_probability = serializers.FloatField(
        min_value=0, max_value=1, default=0.0, help_text="How sure the rule dawid_skene must be."
    )
    test_share = serializers.FloatField(
        min_value=0, max_value=0.5, default=0.0, help_text="The share of prompts whose pairs go into the split test."
    )
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0, help_text="Of the draw of that split.")
    near_duplicates = serializers.FloatField(
        min_value=0, max_value=1, default=0.0, help_text="Drop the later of two pairs that are so similar; 0 for none."
    )
    quotas = serializers.DictField(
        child=serializers.IntegerField(min_value=0), required=False, help_text="At most how many pairs with a tag."
    )
    subset = serializers.IntegerField(
        min_value=0, default=0, help_text="At most so many pairs, those that say the most; 0 for all."
    )
    embedding = serializers.CharField(
        max_length=200, default=NGRAMS, help_text="By which vectors: ngrams, or a model whose embeddings were measured."
    )
    cuts = serializers.ListField(
        child=CutInput(),
        required=False,
        max_length=20,
        help_text="Shares of the easiest pairs, each a config of its own: 0.5, or small=MODEL:0.5 for a model.",
    )
    difficulty = serializers.ChoiceField(
        choices=sorted(HARDER), default=DIFFICULTY, help_text="The metric that says so."
    )
    difficulty_model = serializers.CharField(
        max_length=300,
        required=False,
        allow_blank=True,
        help_text="For which model it was measured. By default the one that was measured last.",
    )
    most_harmful = serializers.FloatField(
        min_value=0,
        max_value=1,
        default=MOST_HARMFUL,
        help_text="The share of the pairs that may be flagged as harmful without a reason.",
    )
    sign_off = serializers.CharField(
        max_length=500, required=False, allow_blank=True, help_text="Why a larger share may be flagged as harmful."
    )
    promised = serializers.IntegerField(
        min_value=0, required=False, help_text="With another number of pairs than this, nothing is released."
    )
    names = serializers.BooleanField(default=False, help_text="Tell annotators by their names, not by pseudonyms.")
    licence = serializers.CharField(max_length=60, required=False, allow_blank=True)
    limits = serializers.CharField(max_length=5000, required=False, allow_blank=True)


class Agreement(APIView):
    @extend_schema(operation_id="agreement_measure", request=None, responses={202: RunOutput, 404: ErrorOutput})
    def post(self, request: Request, slug: str) -> Response:
        """Ask a worker to measure how far the project's people agree. Read the run to learn when it is done."""
        project = project_for(request.user, slug, role=Role.LEAD)
        run = request_measurement(project=project, asked=AgreementRequest(), actor=account_of(request))
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


class Measurements(APIView):
    @extend_schema(
        operation_id="measurements_list",
        parameters=PAGE_PARAMETERS,
        responses={200: MeasurementPage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str, run_id: int) -> Response:
        """What a run measured: a value with its interval, or the reason why there is none."""
        run = run_for(request.user, slug, run_id)
        return paged(request, Measurement.objects.filter(run=run), MeasurementOutput)


class Releases(APIView):
    @extend_schema(
        operation_id="releases_list",
        parameters=PAGE_PARAMETERS,
        responses={200: ReleasePage, 400: ErrorOutput, 404: ErrorOutput},
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's releases, each with its manifest."""
        project = project_for(request.user, slug, role=Role.LEAD)
        return paged(request, Release.objects.filter(project=project), ReleaseOutput)

    @extend_schema(
        operation_id="releases_make",
        request=ReleaseInput,
        responses={202: RunOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask a worker for a release into the server's folder of releases. Read the run to learn when it is done."""
        project = project_for(request.user, slug, role=Role.LEAD)
        given = ReleaseInput(data=request.data)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        saved = _selection(project, asked.pop("selection", None))
        where = [*(criteria_in(saved) if saved else []), *parse_all(asked.pop("where", []))]
        run = request_release(project=project, actor=account_of(request), where=where, selection=saved, **asked)
        return Response(RunOutput(run).data, status=status.HTTP_202_ACCEPTED)


def _selection(project: Project, number: int | None) -> Selection | None:
    if number is None:
        return None
    saved = Selection.objects.filter(project=project, pk=number).first()
    if saved is None:
        raise Refused(f"This project has no saved selection {number}.")
    return saved


class OneRelease(APIView):
    @extend_schema(operation_id="releases_read", responses={200: ReleaseOutput, 404: ErrorOutput})
    def get(self, request: Request, slug: str, version: str) -> Response:
        """One release."""
        project = project_for(request.user, slug, role=Role.LEAD)
        release = Release.objects.filter(project=project, version=version).first() if "\0" not in version else None
        if release is None:
            raise Http404
        return Response(ReleaseOutput(release).data)


urlpatterns = [
    path("projects/<slug:slug>/agreement", Agreement.as_view(), name="api_agreement"),
    path("projects/<slug:slug>/runs/<key:run_id>/measurements", Measurements.as_view(), name="api_measurements"),
    path("projects/<slug:slug>/releases", Releases.as_view(), name="api_releases"),
    path("projects/<slug:slug>/releases/<str:version>", OneRelease.as_view(), name="api_release"),
]
