"""Gold by API: what is right of which pairs, and whether they are examples or checks. For leads."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import marking_gold
from annotation.access import account_of, project_for
from annotation.api.errors import ErrorOutput
from annotation.api.inputs import Input
from annotation.api.paging import LARGEST_KEY
from annotation.models import Pair, Role

MOST_AT_ONCE = 1000


class GoldInput(Input):
    pair = serializers.IntegerField(
        min_value=1, max_value=LARGEST_KEY, default=None, allow_null=True, help_text="The pair, by its number here."
    )
    external_id = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="Or by its identifier in the file that it came with."
    )
    verdict = serializers.ChoiceField(
        choices=list(marking_gold.VERDICTS),
        required=False,
        help_text="Of gold. Of a pair named by its identifier, first is the first of that file; else the first that "
        "you read.",
    )
    use = serializers.ChoiceField(
        choices=list(marking_gold.USES),
        default=str(Pair.GoldUse.CHECK),
        help_text="Examples are explained and never handed out; checks are handed out like any other pair; none: the "
        "pair is gold no longer.",
    )
    why = serializers.CharField(
        max_length=marking_gold.LONGEST_WHY, default="", allow_blank=True, help_text="Why; an example needs it."
    )


class MarkGoldInput(Input):
    gold = serializers.ListField(child=GoldInput(), min_length=1, max_length=MOST_AT_ONCE)


class MarkedGoldOutput(serializers.Serializer[Any]):
    pairs = serializers.IntegerField(help_text="How many pairs were named: all of them.")


class MarkGold(APIView):
    @extend_schema(
        operation_id="gold_mark",
        request=MarkGoldInput,
        responses={200: MarkedGoldOutput, 400: ErrorOutput, 404: ErrorOutput},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Say of pairs what is right and what they are used for: all or none. Sending it again changes nothing."""
        project = project_for(request.user, slug, role=Role.LEAD)
        given = MarkGoldInput(data=request.data)
        given.is_valid(raise_exception=True)
        gold = [marking_gold.Gold(**one) for one in given.validated_data["gold"]]
        marked = marking_gold.mark_gold(project=project, gold=gold, actor=account_of(request))
        return Response(MarkedGoldOutput({"pairs": marked}).data)
